from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import networks
import sangbo
from sangbo import Settings, chips, codes
from sangbo.errors import ConversionError
from sangbo.inspection import BOUNDS, BUCKETS, Inspection, Place, bucketed, inspect, place_of
from sangbo.ledger import Histogram
from sangbo.network import Network
from sangbo.report import layer_figures
from sangbo.report.layers import hardest, headline, layer_page, layer_table, sparkline
from sangbo.sources import Source

SOURCE = Source(networks.llama(seed=3, layers=3))


@pytest.fixture(scope="module")
def network() -> Network:
    return sangbo.convert(SOURCE, settings=Settings(sequences=3, length=32))


@pytest.fixture(scope="module")
def seen(network: Network) -> Inspection:
    return inspect(network)


def test_every_layer_is_seen_once(network: Network, seen: Inspection) -> None:
    assert {n.name for n in seen.neurons} == set(network.ledger.neurons)
    assert [s.name for s in seen.synaptic] == [o.output for o in network.graph.synaptic]
    assert all(s.error is not None for s in seen.synaptic)
    assert all((n.error is None) == (n.role == "probability") for n in seen.neurons)


def test_counts_are_those_of_the_price(network: Network, seen: Inspection) -> None:
    prices = {p.scheme: p for p in network.price("horowitz-45nm")}
    spiking, both = prices["spiking"], prices["complementary"]
    assert seen.synaptic_operations == pytest.approx(spiking.events.synaptic_operations)
    sent = [n for n in seen.neurons if n.role != "cached"]
    spikes = sum(n.values * n.spikes_per_value for n in sent)
    assert spikes == pytest.approx(spiking.events.spikes)
    nonzero = [n.values * (1 - n.histogram[0]) for n in sent]
    dense = sum(n.dense_fraction * count for n, count in zip(sent, nonzero, strict=True))
    assert dense / sum(nonzero) == pytest.approx(both.dense_fraction_levels)


def test_predictions_add_up_to_the_conversion_s(network: Network, seen: Inspection) -> None:
    assert seen.predicted == pytest.approx(network.conversion["summary"]["predicted_divergence"])
    assert seen.kl_divergence == network.conversion["measured"]["kl_divergence"]


def test_the_threshold_is_what_rounds(network: Network, seen: Inspection) -> None:
    for view in seen.neurons:
        if view.role == "probability":
            stored = network.graph.tensors[f"{view.name}.threshold"]
        else:
            stored = network.graph.tensors[view.name.removesuffix(".levels") + ".threshold"]
        assert view.threshold == pytest.approx(float(stored))


@given(st.lists(st.integers(-5000, 5000), min_size=1, max_size=60))
def test_buckets_are_those_of_numpy(values: list[int]) -> None:
    histogram = Histogram()
    histogram.add(np.array(values))
    expected, _ = np.histogram(np.abs(values), [*BOUNDS, 2**31])
    assert bucketed(histogram) == pytest.approx((expected / len(values)).tolist())
    assert len(BUCKETS) == len(BOUNDS)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("layers.3.mlp.gate", Place(3, "mlp.gate")), ("norm.levels", Place(None, "norm")),
        ("layers.12.attention.mix.levels", Place(12, "attention.mix")),
        ("encoder.layers.0.x.1.y", Place(0, "x.1.y")), ("logits", Place(None, "logits")),
        ("7.conv", Place(7, "conv")),
    ],
)  # fmt: skip
def test_places(name: str, place: Place) -> None:
    assert place_of(name) == place


def test_sparklines_show_what_there_is() -> None:
    assert sparkline([0, 0.001, 0.5, 1]) == " ▁▄█"
    assert sparkline([0.0, 0.0]) == "  "
    assert sparkline([]) == ""


def test_the_worst_is_named_first(seen: Inspection) -> None:
    worst = max(seen.neurons, key=lambda v: v.divergence or 0)
    dearest = max(seen.neurons, key=lambda v: v.synaptic_operations)
    first, second = hardest(seen).split("Most of the accumulates: ")
    assert first.startswith(f"Most of the loss: {worst.name.removesuffix('.levels')} ")
    assert second.startswith(dearest.name.removesuffix(".levels"))
    assert layer_table(seen).row_count == len(seen.neurons)


def test_the_page_stands_alone(seen: Inspection, tmp_path: Path) -> None:
    layer_page(seen).write(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert not re.search(r"(src|href)=\"(?!#|data:)", page)
    for name in [n.name for n in seen.neurons] + [s.name for s in seen.synaptic]:
        assert name.removesuffix(".levels") in page


def test_a_picture_is_a_png(seen: Inspection) -> None:
    content = layer_figures.png(layer_figures.overview(seen))
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert width > 1000 < height + 500


def test_a_network_without_a_record_is_still_seen(network: Network) -> None:
    old = {n: v for n, v in network.conversion.items() if n not in ("measured", "thresholds")}
    bare = inspect(replace(network, conversion=old))
    assert bare.predicted is None
    assert bare.kl_divergence is None
    assert bare.synaptic_operations == inspect(network).synaptic_operations
    assert "Most of the accumulates" in hardest(bare)
    assert layer_page(bare).html().count("<svg") == 3
    assert "0 tokens" not in headline(bare)


@pytest.mark.parametrize(
    "change",
    [
        {"thresholds": [{"layer": "a"}]}, {"thresholds": [3]}, {"measured": []},
        {"thresholds": [{"layer": "a", "divergence": float("nan")}]}, {"thresholds": 4},
    ],
)  # fmt: skip
def test_a_broken_record_is_refused(network: Network, change: Any) -> None:
    with pytest.raises(sangbo.SangboError, match="expected"):
        inspect(replace(network, conversion={**network.conversion, **change}))
    assert issubclass(ConversionError, sangbo.SangboError)


def test_the_code_changes_the_spikes(network: Network) -> None:
    settings = {**network.conversion["settings"], "code": "rate"}
    rate = inspect(replace(network, conversion={**network.conversion, "settings": settings}))
    for view in rate.neurons:
        if view.role != "cached":
            assert view.spikes_per_value == pytest.approx(view.mean_level)
    assert codes.code("rate").name == rate.code
    assert chips.load(rate.chip).name == rate.chip
