"""Conversions whose weights are generated or coded: whole folders, and the waterfall of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import networks
import sangbo
from sangbo import chips
from sangbo.chips import Chip
from sangbo.compress import Coded, Generated
from sangbo.convert import Settings
from sangbo.errors import ConversionError
from sangbo.sources import Source
from sangbo.waterfall import waterfall

SMALL = Settings(sequences=3, length=24, budget="perplexity=5%", generated=4.0, coded=True)


def small() -> Chip:
    """A chip with so little memory that even a tiny network's weights lie outside."""
    chip = chips.load("c-transformer-28nm")
    return replace(chip, memory=(chip.memory[0], chip.memory[-1]))


def source() -> Source:
    return Source(networks.llama(), networks.letters())


def test_generated_weights_are_written_read_and_shown(tmp_path: Path) -> None:
    made = sangbo.convert(source(), tmp_path / "n", SMALL)
    again = sangbo.load(tmp_path / "n")
    assert again.graph.sha256() == made.graph.sha256()
    kinds = {type(c) for c in again.compressed.values()}
    assert Generated in kinds
    assert kinds <= {Generated, Coded}
    names = {w.values for o in made.graph.synaptic for w in o.weights()}
    assert all(isinstance(again.compressed[name], Generated) for name in names)
    text = networks.letters().decode(networks.tokens(60, 1)[networks.tokens(60, 1) < 60])
    steps = waterfall(again, small(), text, original=source(), tokens=50, speed=False).steps
    assert steps[1].name == "generated weights, 4 bits"
    assert steps[1].perplexity_change is not None


@pytest.mark.parametrize("bits", [1.75, 5.25, 3.1])
def test_other_bits_are_refused(bits: float) -> None:
    with pytest.raises(ConversionError, match="generated weights"):
        replace(SMALL, generated=bits)


def test_two_kinds_of_weights_are_refused() -> None:
    with pytest.raises(ConversionError, match="no other weight bits"):
        replace(SMALL, weight_bits=8)
