from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import networks
import sangbo
from sangbo import Settings
from sangbo.certificate import divergence_limit, layer_limit, write_certificate
from sangbo.convert import written
from sangbo.convert.layers import Measured, promised
from sangbo.engines import Reference
from sangbo.errors import CertificateError, ConversionError
from sangbo.network import Network
from sangbo.progress import silent
from sangbo.recheck import against, check_certificate, flatten, read_certificate, recheck, tolerance
from sangbo.sources import Source
from sangbo.tasks.language import windows
from sangbo.verify import compare, measure_rounding

SOURCE = Source(networks.llama(seed=3, layers=3))
SMALL = Settings(sequences=4, length=48)
ALLOWED = 0.5
TEMPORAL = {"tokens": 9, "rate_steps": 15, "codes": [{"name": "csd"}]}


@pytest.fixture(scope="module")
def network() -> Network:
    return sangbo.convert(SOURCE, settings=SMALL)


@pytest.fixture(scope="module")
def certificate(network: Network) -> sangbo.Certificate:
    return sangbo.verify(network, original=SOURCE, tokens=120, allowed=ALLOWED)


@pytest.fixture(scope="module")
def document(certificate: sangbo.Certificate) -> Any:
    return json.loads(json.dumps(certificate.to_dict()))


def damaged(network: Network, site: str, factor: int = 8) -> Network:
    """The same network with one threshold ``factor`` times as large, as if converted so."""
    tensors = dict(network.graph.tensors)
    tensors[f"{site}.threshold"] = tensors[f"{site}.threshold"] * np.float32(factor)
    tensors[f"{site}.inverse"] = tensors[f"{site}.inverse"] / np.float32(factor)
    graph = replace(network.graph, tensors=tensors)
    return Network(graph, network.tokenizer, network.ledger, network.conversion)


def test_a_network_is_held_to_what_it_was_allotted_where_little_was_measured(
    network: Network,
) -> None:
    record = copy.deepcopy(dict(network.conversion))
    measured = Measured.from_dict(record["measured"])
    for allotted in (0.0, 2 * measured.kl_divergence):
        record["summary"]["predicted_divergence"] = allotted
        kept = replace(measured, kl_divergence=max(allotted, measured.kl_divergence))
        assert promised(record) == kept
    for broken in (None, "much", -1.0, math.nan, math.inf):
        record["summary"]["predicted_divergence"] = broken
        with pytest.raises(ConversionError, match="allotted"):
            promised(record)
    assert promised({}) is None


def test_a_sound_network_holds(certificate: sangbo.Certificate) -> None:
    assert certificate.failures() == []
    assert certificate.passed
    for name in ("native", "temporal"):
        assert certificate.engines[name].different == 0
        assert certificate.engines[name].compared > 0
    found = certificate.to_dict()
    assert {
        "original", "converted", "perplexity", "top1_agreement", "kl_divergence", "engines",
        "passed",
    } <= set(found)  # fmt: skip
    assert found["original"]["graph_sha256"] == found["expected_original_sha256"]
    assert "holds" in certificate.to_markdown()


@pytest.mark.parametrize(
    "site",
    [
        "layers.0.attention.norm", "layers.1.attention.query.rotary",
        "layers.2.attention.key.rotary", "layers.1.attention.value", "layers.0.mlp.product", "norm",
    ],
)  # fmt: skip
def test_one_threshold_times_eight_is_caught_and_named(network: Network, site: str) -> None:
    found = sangbo.verify(damaged(network, site), original=SOURCE, tokens=120, allowed=ALLOWED)
    assert not found.passed
    assert any(f"layer {site}.levels: expected at most" in line for line in found.failures())
    named = [limit.what for limit in found.limits if not limit.holds and "." in limit.what]
    where = [o for o in network.graph.operations if o.output == f"{site}.levels"]
    readers = {o.output for o in network.graph.operations if where[0].output in o.inputs()}
    assert set(named) <= {f"{site}.levels"} | readers


def test_a_threshold_of_probabilities_names_their_attention(network: Network) -> None:
    worse = damaged(network, "layers.1.attention.mix.probability", 64)
    found = sangbo.verify(worse, original=SOURCE, tokens=120, allowed=ALLOWED)
    assert any("layer layers.1.attention.mix: " in line for line in found.failures())


def test_another_original_is_caught(network: Network) -> None:
    other = Source(networks.llama(seed=4, layers=3))
    found = sangbo.verify(network, original=other, tokens=40, allowed=1e9)
    assert "expected the original with SHA-256" in found.failures()[0]


def test_where_no_layer_is_to_blame_the_worst_are_named(certificate: sangbo.Certificate) -> None:
    lines = replace(certificate, allowed=-1.0).failures()
    assert lines[0].startswith("relative change of perplexity: expected at most -1")
    worst = max(certificate.layers, key=lambda e: e.local)
    assert lines[1].startswith(f"layers that lose most: {worst.name} ")


def test_nothing_that_is_not_a_number_holds(certificate: sangbo.Certificate) -> None:
    lost = replace(certificate.layers[0], local=math.nan)
    assert not replace(certificate, layers=(lost,)).passed


@pytest.mark.parametrize("seed", range(3))
def test_a_sound_network_holds_on_few_tokens(seed: int) -> None:
    """Whatever it was calibrated on: eight letters in a row are unlike what the network writes."""
    source = Source(networks.llama(seed=seed), networks.letters())
    network = sangbo.convert(source, settings=SMALL, calibration="ABCDEFGH" * 12)
    found = sangbo.verify(network, original=source, tokens=20, allowed=10)
    assert found.failures() == []


def test_what_a_conversion_measures_is_on_text_that_it_was_not_fitted_to() -> None:
    """So it is what any other text shows, within three standard errors."""
    network = sangbo.convert(SOURCE, settings=SMALL)
    measured = Measured.from_dict(network.conversion["measured"])
    texts = written(SOURCE, replace(SMALL, seed=9), 12, silent)
    fresh = [w for text in texts for w in windows(text.inputs["tokens"], SMALL.length)]
    found = compare(Reference(SOURCE.graph), network.engine, fresh)
    spread = math.hypot(measured.kl_error, found.kl_error)
    assert abs(measured.kl_divergence - found.kl_divergence) < 3 * spread
    assert found.kl_error < measured.kl_error < 0.3 * measured.kl_divergence


def test_limits_of_the_divergence_are_reached_by_chance_once_in_a_thousand() -> None:
    """Means of few tokens from one skewed distribution, as divergences are, and from one worse."""
    rng = np.random.default_rng(0)

    def passed(worse: float) -> float:
        held = 0
        for _ in range(2000):
            sides = rng.gamma(1.0, 1.0, 500), worse * rng.gamma(1.0, 1.0, 500)
            (m0, e0), (m, e) = ((s.mean(), s.std(ddof=1) / np.sqrt(500)) for s in sides)
            held += bool(m <= divergence_limit(Measured(500, m0, e0, ()), e))
        return held / 2000

    assert passed(1.0) == 1
    assert passed(1.5) > 0.99
    assert passed(2.2) < 0.01


def test_limits_leave_room_and_never_all() -> None:
    assert layer_limit(0.01, "neuron") == pytest.approx(0.02)
    assert layer_limit(0.01, "synaptic") == pytest.approx(0.03)
    assert 0 < layer_limit(0.0, "neuron") < 1e-3
    for share in np.linspace(0, 0.999, 50):
        assert share <= layer_limit(share, "neuron") <= layer_limit(share, "synaptic") < 1


def test_a_certificate_is_found_again(network: Network, document: Any) -> None:
    again = recheck(network, document, original=SOURCE)
    assert again.differences == ()
    assert again.passed
    assert again.compared > len(document["layers"]) * 4


def test_a_damaged_network_is_not(network: Network, document: Any) -> None:
    again = recheck(damaged(network, "layers.1.mlp.norm"), document, original=SOURCE)
    lines = {d.line for d in again.differences}
    assert not again.passed
    assert {
        "converted/graph_sha256", "logits_sha256", "perplexity/converted",
        "layers/layers.1.mlp.norm.levels/local", "engines/native/accumulators_sha256",
    } <= lines  # fmt: skip
    assert "layers/layers.0.mlp.norm.levels/local" not in lines
    assert "original/graph_sha256" not in lines
    assert "converted/graph_sha256: expected" in str(again)


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("tokens", 1), ("engines/native/compared", 1), ("perplexity/converted", 1e-6),
        ("engines/temporal/codes/csd/different", 1),
        ("perplexity/original", 1e-2), ("kl_divergence", 1e-2), ("layers/logits/local", 1e-3),
        ("text/tokens", 1), ("top1_agreement", -0.2),
    ],
)  # fmt: skip
def test_every_changed_line_is_listed(
    certificate: sangbo.Certificate, document: Any, path: str, change: float
) -> None:
    old = copy.deepcopy(document)
    entry, *inner = path.split("/")
    holder, key = old, entry
    for key_ in inner:
        holder = holder[key]
        if isinstance(holder, list):
            holder = {e["name"]: e for e in holder}
        key = key_
    holder[key] = holder[key] + change
    found = against(certificate, old)
    assert [d.line for d in found.differences] == [path]


def test_other_machines_are_told_and_forgiven(
    certificate: sangbo.Certificate, document: Any
) -> None:
    old = copy.deepcopy(document)
    old["versions"]["numpy"], old["machine"] = "2.0.0", "Plan9 mips"
    old["perplexity"]["original"] *= 1 + document["rounding"]
    found = against(certificate, old)
    assert found.passed
    assert {d.line for d in found.elsewhere} == {"versions/numpy", "machine"}


def test_tolerances_follow_from_the_rounding(document: Any) -> None:
    assert document["rounding"] > 0
    twice = document | {"rounding": 2 * document["rounding"]}
    for line in ("perplexity/original", "perplexity/relative_change", "kl_divergence"):
        assert tolerance(line, twice) == pytest.approx(2 * tolerance(line, document))
    assert tolerance("tokens", document) == tolerance("logits_sha256", document) == 0


def test_rounding_is_small_and_that_of_float32() -> None:
    read = next(windows(networks.tokens(30), 64))
    found = measure_rounding(Reference(SOURCE.graph), read)
    assert 0 < found < 1e-4
    assert measure_rounding(Reference(networks.converted(SOURCE.graph)), read) == 0


def test_predictions_that_are_not_finite_are_refused() -> None:
    graph = networks.llama()
    huge = replace(
        graph, tensors={**graph.tensors, "norm": graph.tensors["norm"] * np.float32(1e5)}
    )
    engines = Reference(graph), Reference(huge)
    with pytest.raises(sangbo.SangboError, match="finite predictions"):
        compare(*engines, [*windows(networks.tokens(20), 64)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 7}, "format"), ({"tokens": "many"}, "tokens"), ({"tokens": 2**40}, "tokens"),
        ({"context": 0}, "context"), ({"rounding": 1.0}, "rounding"),
        ({"rounding": float("inf")}, "rounding"), ({"close_calls": 1.0}, "close_calls"),
        ({"engines": {"abacus": {}}}, "engines"),
        ({"engines": {"native": {"tokens": -1}}}, "native"), ({"engines": 5}, "engines"),
        ({"engines": {"temporal": {"tokens": 9}}}, "codes of engine temporal"),
        ({"engines": {"temporal": TEMPORAL | {"codes": [7]}}}, "engine temporal"),
        ({"engines": {"temporal": TEMPORAL | {"codes": [{"name": "morse"}]}}}, "morse"),
        ({"engines": {"temporal": TEMPORAL | {"codes": [{"name": "csd"}] * 2}}}, "each once"),
        ({"engines": {"temporal": TEMPORAL | {"rate_steps": 2**40}}}, "rate_steps"),
        ({"engines": {"temporal": TEMPORAL | {"rate_steps": True}}}, "rate_steps"),
        ({"text": {"kind": "sung"}}, "text"), ({"passed": "yes"}, "passed"),
        ({"perplexity": {"original": 0.0, "converted": 5.0}}, "perplexity/original"),
        ({"layers": [[0]] * 2**20}, "values"),
    ],
)  # fmt: skip
def test_hostile_certificates_are_refused(document: Any, change: Any, message: str) -> None:
    check_certificate(document)
    with pytest.raises(CertificateError, match=message):
        check_certificate(document | change)


@pytest.mark.parametrize(
    "ids", [None, [], [[]], [[1]], [[1, -2]], [[1, 2.5]], [["a", "b"]], [[1, 2**40]], 7]
)
def test_hostile_tokens_are_refused(document: Any, ids: Any) -> None:
    with pytest.raises(CertificateError, match=r"text\.ids"):
        check_certificate(document | {"text": document["text"] | {"ids": ids}})


def test_tokens_of_another_vocabulary_are_refused(network: Network, document: Any) -> None:
    text = document["text"] | {"ids": [[1, networks.VOCABULARY]]}
    with pytest.raises(CertificateError, match="below 61"):
        recheck(network, document | {"text": text}, original=SOURCE)


@pytest.mark.parametrize(
    "content",
    [b"", b"[", b"[" * 100_000, b"\xff\xfe", b"[]", b'{"format": NaN}', b'{"format": 1}'],
)
def test_broken_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "certificate.json"
    path.write_bytes(content)
    with pytest.raises(CertificateError, match=r"certificate\.json"):
        read_certificate(path)
    with pytest.raises(CertificateError, match="absent"):
        read_certificate(tmp_path / "absent")


def test_writing_is_all_or_nothing(certificate: sangbo.Certificate, tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    write_certificate(certificate, path)
    assert read_certificate(path) == certificate.to_dict()
    path.unlink()
    path.mkdir()
    with pytest.raises(sangbo.SangboError, match="expected to write"):
        write_certificate(certificate, path)
    assert [p.name for p in tmp_path.iterdir()] == ["certificate.json"]


def test_leaves_have_paths_by_name() -> None:
    tree = {"a": [{"name": "x.y", "b": 1}, 2], "c": {"d": None}}
    assert dict(flatten(tree)) == {"a/x.y/name": "x.y", "a/x.y/b": 1, "a/1": 2, "c/d": None}
