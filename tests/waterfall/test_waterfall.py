"""The waterfall of a small language model: steps that add up, and JSON of a fixed shape."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from networks import converted, letters, llama, tokens
from sangbo import chips
from sangbo.chips import Chip
from sangbo.engines import Native
from sangbo.errors import SangboError
from sangbo.ledger import Ledger
from sangbo.network import Network
from sangbo.report import waterfall_bars, waterfall_drawing, waterfall_page, waterfall_table
from sangbo.sources import Source
from sangbo.tasks.language import Text
from sangbo.waterfall import Costs, Step, Waterfall, waterfall
from sangbo.waterfall.dense import int8

KEYS = {
    "name", "compute_relative", "external_memory_relative", "external_bytes_relative",
    "total_pj_per_token",
    "perplexity_relative_change", "decode_tokens_per_second",
}  # fmt: skip
CHIP = "c-transformer-28nm"


def test_costs_are_split_by_where_they_arise() -> None:
    chip = chips.load(CHIP)
    energy = chips.Energy({"arithmetic": 3.0, "neurons": 1.0}, {"sram-8k": 5.0, "lpddr4": 7.0})
    assert Costs.of(energy, chip) == Costs(4.0, 7.0, 5.0)
    assert Costs.of(energy, chip).total == energy.total


def found(**changes: Any) -> Waterfall:
    dense = Step("dense int8", Costs(10.0, 100.0, 5.0))
    costs = Costs(4.0, 40.0, 5.0, decoding=10.0)
    evidence = {"exact_speculation": {"compared": 3, "different": 0, "additions_saved": 0.5}}
    last = Step("half", costs, 0.01, 7.0, evidence, ("A note.",))
    fields: dict[str, Any] = {"network": "n", "chip": CHIP, "tokens": 9, "steps": [dense, last]}
    return Waterfall(**(fields | changes))


def test_json_has_the_shape_that_scripts_rely_on() -> None:
    document = found().to_dict()
    parts = ("exact_speculation", "predictive_speculation", "lossless_big_little")
    assert document.keys() == {"steps", *parts}
    assert all(step.keys() == KEYS for step in document["steps"])
    assert document["lossless_big_little"] is None
    assert document["exact_speculation"]["different"] == 0
    first, last = document["steps"]
    assert (first["compute_relative"], first["external_memory_relative"]) == (1.0, 1.0)
    assert (last["compute_relative"], last["external_memory_relative"]) == (0.4, 0.5)
    assert last["external_bytes_relative"] == 0.4
    assert last["total_pj_per_token"] == 59.0


def test_everything_is_drawn() -> None:
    shown = found()
    assert waterfall_table(shown).row_count == 4  # two steps, two published
    assert waterfall_bars(shown).row_count == 2
    assert waterfall_drawing(shown).count("<rect") == 3 + 2 * 4
    page = waterfall_page(shown).html()
    assert all(text in page for text in ("0.40×", "0.21–0.33×", "A note."))


def small() -> Chip:
    """The chip with so little memory that even a tiny network's weights lie outside."""
    chip = chips.load(CHIP)
    return replace(chip, memory=(chip.memory[0], chip.memory[-1]))


def network(bits: int) -> Network:
    graph = converted(llama(), bits)
    ledger = Ledger()
    Text.of(tokens(40)).run(Native(graph, threads=1), ledger=ledger)
    return Network(graph, letters(), ledger)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_waterfall_begins_dense_and_measures_each_step(bits: int) -> None:
    text = letters().decode(tokens(60, seed=1)[tokens(60, seed=1) < 60])
    made = waterfall(network(bits), small(), text, original=Source(llama()), tokens=50, speed=False)
    names = [step.name for step in made.steps]
    held = ["4-bit weights"] if bits == 4 else []
    assert names == ["dense int8", *held, "switching core"]
    assert made.tokens == 50
    assert all(step.perplexity_change is not None for step in made.steps)
    dense = made.steps[0].to_dict(made.steps[0].costs)
    assert (dense["compute_relative"], dense["external_memory_relative"]) == (1.0, 1.0)


def test_dense_int8_reads_a_byte_for_each_weight() -> None:
    of, chip = network(4), small()
    external = chip.memory[-1].read
    assert external is not None
    begun = waterfall(of, chip, speed=False).steps[0]
    weights = sum(shaped.nest.weight_count for shaped in chips.weighted(of.graph).values())
    cache = begun.costs.external / external.value - weights
    assert 0 <= cache < 0.2 * weights


def test_a_chip_that_holds_all_weights_is_refused() -> None:
    with pytest.raises(SangboError, match="external memory"):
        waterfall(network(4), chips.load(CHIP), speed=False)


def test_weights_become_int8_and_the_graph_still_checks() -> None:
    graph = int8(converted(llama(), 4))
    assert {w.bits for o in graph.synaptic for w in o.weights()} == {8}


def test_a_network_without_text_is_refused() -> None:
    graph = converted(llama())
    with pytest.raises(SangboError, match="language model"):
        waterfall(Network(graph), chips.load(CHIP))
