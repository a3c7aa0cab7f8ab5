"""Tables of prices in a terminal of 80 columns: every figure whole."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from sangbo import chips, report
from sangbo.ledger import Ledger

NAMES = ("c-transformer-28nm", "horowitz-45nm", "loihi-1-silicon", "a100", "loihi-2")


def ledger() -> Ledger:
    found = Ledger(samples=4)
    for name in ("layers.0.attention.mix.scores", "layers.11.attention.mix.scores"):
        found.neuron(f"{name}.in").add(np.arange(512).reshape(4, 128) % 40)
        count = found.operation(name, f"{name}.in", 128 * 4096)
        count.rows, count.rescales = 4, 4 * 4096
        count.pairs.merge(found.neuron(f"{name}.in"), 4096)
    return found


def shown(table: Table, width: int = 80) -> str:
    output = io.StringIO()
    Console(file=output, width=width).print(table)
    return output.getvalue()


@pytest.fixture(scope="module")
def prices() -> list[chips.Price]:
    return chips.price_all(ledger(), [chips.load(name) for name in NAMES])


def test_no_figure_is_cut(prices: list[chips.Price]) -> None:
    known = {name: chips.load(name) for name in NAMES}
    layers = [b for chip in known.values() for b in chips.layer_break_evens(ledger(), chip)]
    by_batch = {NAMES[0]: {1: prices[:3], 16: prices[:3]}}
    for table in (
        report.energy_table(prices), report.budget_table(prices, known),
        report.budget_bars(prices, known), report.batch_table(by_batch),
        report.break_even_table(layers),
    ):  # fmt: skip
        text = shown(table)
        assert shown(table, 200).count("…") == text.count("…")  # those of the picture's axis
        assert NAMES[0] in text
    assert shown(report.budget_bars(prices, known)).count("█") > 20


def test_the_bars_are_the_budget(prices: list[chips.Price]) -> None:
    known = {name: chips.load(name) for name in NAMES}
    budget, bars = (
        shown(make(prices, known)) for make in (report.budget_table, report.budget_bars)
    )
    for price in prices:
        if price.energy is not None:
            assert report.energy.format_energy(price.energy.total) in bars
            for spent in report.budget.shares(price.energy, known[price.chip]).values():
                assert not spent or report.energy.format_energy(spent) in budget
    assert "loihi-2" not in budget
