from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import networks
import sangbo
from sangbo import Settings
from sangbo.convert.budget import default
from sangbo.convert.layers import Measured
from sangbo.convert.weights import four_bit
from sangbo.engines import Reference
from sangbo.errors import ConversionError, GraphError
from sangbo.files import replaced_folder
from sangbo.graph import Linear
from sangbo.progress import silent
from sangbo.sources import Source
from sangbo.tasks.language import windows
from sangbo.tasks.translate import Translate
from sangbo.tasks.writing import self_generated
from sangbo.verify import compare

SMALL = Settings(sequences=3, length=24)


def source(family: Any = networks.llama, **options: Any) -> Source:
    return Source(family(**options))


@pytest.mark.parametrize("family", [networks.llama, networks.gpt2])
@pytest.mark.parametrize("bits", [4, 8])
def test_conversion_is_deterministic(family: Any, bits: int) -> None:
    settings = replace(SMALL, weight_bits=bits, budget="perplexity=5%")
    first, second = (sangbo.convert(source(family), settings=settings) for _ in range(2))
    assert first.graph.sha256() == second.graph.sha256()
    assert first.ledger == second.ledger
    other = sangbo.convert(source(family), settings=replace(settings, seed=7))
    assert other.graph.sha256() != first.graph.sha256()


@pytest.mark.parametrize("family", [networks.llama, networks.gpt2])
def test_the_divergence_is_what_was_predicted(family: Any) -> None:
    """The second-order prediction against a measurement, thresholds alone (weights left fine)."""
    original = family(seed=4, layers=2)
    readings = [w for i in range(8) for w in windows(networks.tokens(60, i), 60)]
    fine = replace(SMALL, sequences=12, length=60)
    tight, loose = (
        sangbo.convert(Source(original), settings=replace(fine, budget=f"perplexity={b}"))
        for b in (1e-3, 2e-2)
    )
    found = [
        compare(Reference(original), Reference(n.graph), readings).kl_divergence
        for n in (tight, loose)
    ]
    predicted = [n.conversion["summary"]["predicted_divergence"] for n in (tight, loose)]
    assert predicted[0] <= 1e-3
    assert predicted[1] <= 2e-2
    assert found[1] - found[0] == pytest.approx(predicted[1] - predicted[0], rel=0.5)


@pytest.mark.parametrize("misjudged", [1, 2, 10])
def test_a_conversion_that_loses_far_more_than_predicted_is_tightened(
    monkeypatch: pytest.MonkeyPatch, misjudged: int
) -> None:
    """``misjudged`` measurements in a row say that nats were lost; the next are as they are."""
    pipeline = sys.modules["sangbo.convert.pipeline"]
    measure, told = pipeline.measure_layers, []

    def measured(*args: Any) -> Measured:
        told.append(1)
        found: Measured = measure(*args)
        lost = 100 * 0.3 ** len(told)
        return replace(found, kl_divergence=lost, kl_error=0.0) if len(told) <= misjudged else found

    monkeypatch.setattr(pipeline, "measure_layers", measured)
    settings = replace(SMALL, budget="perplexity=5%")
    network = sangbo.convert(source(), settings=settings)
    rounds = min(misjudged, pipeline.ROUNDS)
    assert len(told) == rounds + 1
    bound = math.log1p(0.05 / pipeline.FINER**rounds)
    assert bound / 2 < network.conversion["summary"]["predicted_divergence"] <= bound
    assert network.conversion["settings"]["budget"] == "perplexity=5%"


def test_what_thresholds_do_not_lose_tightens_none(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = sys.modules["sangbo.convert.pipeline"]
    expected = sangbo.convert(source(), settings=SMALL)
    measure = pipeline.measure_layers
    monkeypatch.setattr(
        pipeline, "measure_layers", lambda *args: replace(measure(*args), kl_divergence=1.0)
    )
    assert sangbo.convert(source(), settings=SMALL).graph.sha256() == expected.graph.sha256()


def test_a_looser_budget_never_costs_more_spikes() -> None:
    spikes = [
        sangbo.convert(source(), settings=replace(SMALL, budget=f"perplexity={b}")).conversion[
            "summary"
        ]["spikes_per_value"]["by_targets"]
        for b in (0.003, 0.03, 0.3)
    ]
    assert spikes == sorted(spikes, reverse=True)
    assert spikes[0] > spikes[-1]


def test_levels_bound_what_is_sent() -> None:
    network = sangbo.convert(source(), settings=replace(SMALL, budget="perplexity=172%", levels=7))
    sources = {o.source for o in network.ledger.operations.values()}
    assert max(int(network.ledger.neurons[s].magnitudes.max()) for s in sources) == 7


def test_a_converted_network_is_written_and_loaded_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "model"
    network = sangbo.convert(source(networks.gpt2), target, SMALL)
    again = sangbo.load(target)
    assert again.graph.sha256() == network.graph.sha256()
    assert again.ledger == network.ledger
    assert again.conversion == network.conversion
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_the_default_budget_is_the_task_s_and_recorded() -> None:
    asked = sangbo.convert(source(), settings=replace(SMALL, budget="perplexity=1%"))
    network = sangbo.convert(source(), settings=SMALL)
    assert asked.conversion["settings"]["budget"] == "perplexity=1%"
    assert network.conversion["settings"]["budget"] == "perplexity=0.15%"
    assert str(default(Translate())) == "perplexity=0.02%"


@pytest.mark.parametrize("origin", [{}, {"name": "marian-tiny-en-pt"}])
def test_an_opened_source_says_where_it_is_found_again(origin: dict[str, str]) -> None:
    opened = Source(networks.llama(), origin=origin)
    network = sangbo.convert(opened, settings=SMALL)
    assert network.conversion["origin"]["spec"] == origin.get("name")


def test_a_failed_conversion_leaves_the_earlier_model(tmp_path: Path) -> None:
    target = tmp_path / "model"
    network = sangbo.convert(source(), target, SMALL)
    with pytest.raises(ConversionError, match="budget of at least"):
        sangbo.convert(source(seed=1), target, replace(SMALL, budget="perplexity=1e-12"))
    with pytest.raises(RuntimeError), replaced_folder(target, "graph.json"):
        raise RuntimeError("killed")
    assert sangbo.load(target).graph.sha256() == network.graph.sha256()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_networks_with_broken_weights_are_refused() -> None:
    original = networks.llama()
    for value in (np.nan, np.inf):
        broken = original.tensors["layers.1.mlp.up"].copy()
        broken[0, 0] = value
        damaged = replace(original, tensors={**original.tensors, "layers.1.mlp.up": broken})
        with pytest.raises(GraphError, match=r"layers\.1\.mlp\.up"):
            sangbo.convert(Source(damaged), settings=SMALL)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight_bits": 3}, "4 or 8 bits, found 3"), ({"cache_bits": 4}, "8 or 16 bits, found 4"),
        ({"budget": "spikes=0"}, "above zero"), ({"budget": "0.002"}, "perplexity=0.2%"),
        ({"levels": 0}, "at least 1, found 0"),
        ({"code": "morse"}, "morse"), ({"sequences": 0}, "two tokens"),
    ],
)  # fmt: skip
def test_settings_are_checked(fields: Any, message: str) -> None:
    with pytest.raises(sangbo.SangboError, match=message):
        Settings(**fields)


def test_a_complementary_network_is_not_converted_again() -> None:
    done = networks.converted(networks.llama())
    with pytest.raises(sangbo.SangboError):
        sangbo.convert(Source(done), settings=SMALL)


def test_a_conversion_keeps_the_grid_of_its_file() -> None:
    """Without a width asked for, what the file held stays to the bit."""
    original = networks.llama(layers=1, channels=32, hidden=64)
    name = next(o.weight.values for o in original.operations if isinstance(o, Linear))
    held = {name: four_bit(original.tensors[name])}
    tensors = {**original.tensors, name: held[name].reals()}
    source = Source(replace(original, tensors=tensors), grids=held)
    network = sangbo.convert(source, settings=Settings(sequences=2, length=16))
    assert np.array_equal(network.graph.tensors[name], held[name].values)
    weights = {o.weight.values: o.weight for o in network.graph.operations if isinstance(o, Linear)}
    assert weights.pop(name).bits == 4
    assert {w.bits for w in weights.values()} == {8}


@pytest.mark.parametrize("openings", [[], [[3, 1, 4]], [[3, 1, 4], [5], [9, 2]]])
def test_texts_begin_as_they_are_told(openings: list[list[int]]) -> None:
    network = sangbo.convert(source(), settings=SMALL)
    barred = set(range(0, 40, 2))
    texts = self_generated(
        network.engine, networks.VOCABULARY, sequences=3, length=12, openings=openings,
        excluded=barred, progress=silent,
    )  # fmt: skip
    assert [len(t) for t in texts] == [12] * 3
    for text, opening in zip(texts, openings, strict=False):
        assert text[: len(opening)].tolist() == opening
    for text in texts[len(openings) :]:
        assert not barred & set(text.tolist())
