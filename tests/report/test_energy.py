"""Tables and JSON show what the prices say, nothing else."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from sangbo import chips
from sangbo.chips import Price
from sangbo.chips.price import LABELS
from sangbo.ledger import Ledger
from sangbo.report import energy_markdown, energy_table, price_document, run_energy


@pytest.fixture
def prices() -> list[Price]:
    ledger = Ledger(samples=2)
    ledger.neuron("n").add(np.array([[5, 0], [-900, 1]]))
    count = ledger.operation("o", "n", 20)
    count.rows = 2
    count.pairs.merge(ledger.neuron("n"), 10)
    return [p for n in ("horowitz-45nm", "loihi-1") for p in chips.price(ledger, chips.load(n))]


def test_price_document(prices: list[Price]) -> None:
    document = json.loads(json.dumps(price_document(prices), allow_nan=False))
    assert len(document["entries"]) == len(prices) == 6
    for entry, price in zip(document["entries"], prices, strict=True):
        assert entry.keys() >= {
            "chip", "scheme", "code", "split", "dense_fraction", "events", "energy_pj",
            "relative_to_dense",
        }  # fmt: skip
        assert entry["events"].keys() == {
            "macs", "synaptic_operations", "neuron_updates", "spikes",
        }  # fmt: skip
        energy = entry["energy_pj"]
        assert energy.keys() >= {"compute", "memory", "total"}
        if price.energy is None:
            assert energy["total"] is entry["relative_to_dense"] is None
        else:
            assert energy["total"] == pytest.approx(energy["compute"] + energy["memory"])
            assert energy["memory"] == pytest.approx(sum(energy["levels"].values()))
        labels = {text.split(",")[0].split(":")[0] for text in entry["basis"].values()}
        assert labels <= set(LABELS)
    assert document["entries"][0]["relative_to_dense"] == 1


def test_run_energy(prices: list[Price]) -> None:
    entries = run_energy(prices, per="sample")
    assert [(e["chip"], e["scheme"]) for e in entries] == [
        ("horowitz-45nm", "dense"),
        ("horowitz-45nm", "spiking"),
        ("horowitz-45nm", "complementary"),
        ("loihi-1", "spiking"),
    ]
    for entry in entries:
        assert entry.keys() == {
            "chip", "scheme", "compute_pj", "memory_pj", "total_pj", "per", "basis",
        }  # fmt: skip
        assert entry["total_pj"] == pytest.approx(entry["compute_pj"] + entry["memory_pj"])
        assert entry["per"] == "sample"
        assert entry["basis"].startswith("modelled: ")


def test_table_and_markdown_show_every_scheme_and_baseline(prices: list[Price]) -> None:
    output = io.StringIO()
    Console(file=output, width=200).print(energy_table(prices))
    markdown = energy_markdown(prices)
    for text in (output.getvalue(), markdown):
        assert "per token" in text
        for scheme in ("dense", "spiking", "complementary", "dense, quantised, zero skipping"):
            assert scheme in text
        assert "loihi-1 " in text
        assert "no unit" in text
    rows = [line.split("|")[1:-1] for line in markdown.splitlines() if line.startswith("| ")]
    assert {len(row) for row in rows} == {7}
    assert len(rows) == 1 + 6 + 3
    notes = [line for line in markdown.splitlines() if line.startswith("- ")]
    assert len(notes) == len(set(notes)) > 0


@pytest.mark.parametrize(
    ("scale", "shown"),
    [(1, "36 pJ"), (100, "3.6 nJ"), (10**5, "3.6 µJ"), (10**8, "3.6 mJ"), (10**11, "3.6 J")],
)
def test_energies_are_shown_in_units_that_read_well(scale: int, shown: str) -> None:
    ledger = Ledger(samples=1)
    ledger.neuron("n")
    count = ledger.operation("o", "n")
    count.pairs.counts[1] = 120 * scale  # each MAC 0.3 pJ
    markdown = energy_markdown(chips.price(ledger, chips.load("horowitz-45nm")))
    dense = markdown.splitlines()[2].split(" | ")
    assert (dense[3], dense[5]) == (shown, shown)
