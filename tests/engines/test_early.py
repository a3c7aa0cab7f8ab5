from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import networks
from sangbo import codes
from sangbo.engines import Reference
from sangbo.engines.early import Early, Margin, Saved, Skips
from sangbo.engines.early.sums import Digits, Norms
from sangbo.errors import EngineError
from sangbo.graph import Graph, Neuron
from sangbo.tasks.language import Text

ROWS = 24


@pytest.fixture(scope="module")
def graph() -> Graph:
    return networks.converted(networks.llama(heads=4, key_heads=2))


def neurons(graph: Graph) -> list[str]:
    return [o.output for o in graph.operations if isinstance(o, Neuron)]


@pytest.mark.parametrize("code", ["csd", "radix"])
def test_a_proof_changes_no_level_and_no_likeliest_token(graph: Graph, code: str) -> None:
    reading = Text.of(networks.tokens(ROWS))
    engine = Early(graph, code)
    expected = reading.run(Reference(graph), keep=neurons(graph))
    found = reading.run(engine, keep=neurons(graph))
    for name in neurons(graph):
        assert np.array_equal(found[name], expected[name]), name
    assert np.array_equal(found["logits"].argmax(-1), expected["logits"].argmax(-1))
    total = engine.saved.total
    assert total.different == 0
    assert total.levels > ROWS
    assert 0 < total.additions_skipped < total.additions
    assert 0 < total.reads_skipped < total.reads


def test_fewer_deviations_skip_more_and_change_levels(graph: Graph) -> None:
    reading = Text.of(networks.tokens(ROWS))
    shares, wrong = [], []
    for deviations in (None, 3.0, 1.0, 0.0):
        margin = Margin(deviations)
        engine = Early(graph, margin=margin, head_margin=margin)
        reading.run(engine)
        shares.append(engine.saved.additions_share)
        wrong.append(engine.saved.total.different)
    assert shares == sorted(shares)
    assert wrong[0] == 0
    assert wrong[-1] > 0


@settings(max_examples=60)
@given(
    levels=st.lists(st.integers(-300, 300), min_size=1, max_size=40),
    code=st.sampled_from(["csd", "radix"]),
    seed=st.integers(0, 99),
)
def test_sums_stay_within_reach_after_every_digit(levels: list[int], code: str, seed: int) -> None:
    n = np.array([levels], np.int32)
    weights = np.random.default_rng(seed).normal(size=(5, len(levels))).astype(np.float32)
    whole = n @ weights.T.astype(np.float64)
    norms = Norms.of(weights)
    for _, come, rest in Digits.of(n, codes.code(code)).stages():
        assert np.array_equal(come + rest, n)
        reach = Margin().reach(norms, rest, n)
        assert (np.abs(whole - come @ weights.T.astype(np.float64)) <= reach).all()


def test_what_is_skipped_is_counted_spike_by_spike() -> None:
    planes = np.array([[[1, 0, 0]], [[-1, 0, 1]], [[0, 0, 1]]])  # digits, row, inputs
    skips = Skips()
    skips.count(planes, np.array([[0, 1, 3]]))
    assert (skips.additions, skips.additions_skipped) == (12, 4 + 3)
    assert (skips.reads, skips.reads_skipped) == (6, 2 + 1)
    assert (skips.steps, skips.steps_skipped) == (9, 3 + 2)
    assert (skips.outputs, skips.decided) == (3, 2)
    seen = Skips()
    seen.count(planes, np.array([[0, 1, 3]]), np.array([[False, True, True]]))
    assert (seen.additions, seen.additions_skipped) == (8, 3)
    both = Saved({"layers.1.up": skips}).merged(Saved({"layers.2.up": seen}, other_additions=20))
    assert both.by_role()["up"].additions == 20
    assert both.additions_share == 10 / 40


def test_it_refuses_what_has_no_digits_by_place(graph: Graph) -> None:
    with pytest.raises(EngineError, match="csd or radix"):
        Early(graph, "rate")
    with pytest.raises(EngineError, match="complementary"):
        Early(networks.llama())
    with pytest.raises(EngineError, match="standard deviations"):
        Margin(-1.0)
