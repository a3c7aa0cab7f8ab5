"""What a conversion may be told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sangbo import codes, tallies
from sangbo.convert import budget
from sangbo.errors import ConversionError


@dataclass(frozen=True, slots=True)
class Settings:
    """How to convert.

    Attributes:
        weight_bits: 8 (int8 per output channel) or 4 (groups of 32; a file's own grid is kept).
            None keeps every grid that the file holds, to the bit, and gives 8 bits to the rest.
        generated: bits per weight, 2 to 5 in quarters, of weights that a generator makes again from
            seeds (see `sangbo.compress.generated`); None for weights that are stored.
        allotted: bits per weight, 1 to 8, that steps of their own for every weight may take in the
            mean (see `sangbo.convert.allot`); None for the same step everywhere in a group.
        coded: whether stored integers and scales are entropy-coded in the folder, without loss.
        budget: what thresholds may spend: ``perplexity=0.2%`` (what turning values into levels
            may add, by prediction), ``spikes=1.2`` (per value that weights read; with
            ``,dense=5%`` beside so many values on the dense side), or ``energy=50uJ`` (of
            synaptic operations per token, on the chip). None for what suits the task; see
            `sangbo.tasks.task.Task.bears`.
        second_order: whether weights that get a new grid are rounded to second order; see
            `sangbo.convert.rounding`.
        levels: largest magnitude of a level that is sent, or None for what the layer needs.
        cache_bits: 16 or 8, what one level of a cached key or value takes.
        code: spike code that the thresholds are chosen for.
        split: split that the network is meant for; see `sangbo.tallies.SPLITS`. It changes no
            result and no threshold: thresholds are chosen for a split by value.
        chip: chip whose price of spikes and MACs they are chosen for.
        sequences: calibration texts.
        length: tokens in each.
        seed: of the calibration.
    """

    weight_bits: int | None = None
    generated: float | None = None
    allotted: float | None = None
    coded: bool = False
    budget: str | None = None
    second_order: bool = True
    levels: int | None = None
    cache_bits: int = 16
    code: str = "csd"
    split: str = "value"
    chip: str = "horowitz-45nm"
    sequences: int = 8
    length: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        codes.code(self.code)
        tallies.split(self.split)
        if self.budget is not None:
            budget.Budget.parse(self.budget)
        if self.weight_bits not in (None, 4, 8):
            raise ConversionError(f"expected weights of 4 or 8 bits, found {self.weight_bits}")
        if self.generated is not None and (
            self.weight_bits is not None
            or not 2 <= self.generated <= 5
            or not (4 * self.generated).is_integer()
        ):
            raise ConversionError(
                "expected generated weights of 2 to 5 bits in quarters, and no other weight bits, "
                f"found {self.generated}"
            )
        if self.allotted is not None and (
            self.generated is not None or self.weight_bits == 4 or not 1 <= self.allotted <= 8
        ):
            raise ConversionError(
                "expected 1 to 8 bits of allotted weights, neither 4-bit nor generated ones, found "
                f"{self.allotted}"
            )
        if self.cache_bits not in (8, 16):
            raise ConversionError(
                f"expected cached levels of 8 or 16 bits, found {self.cache_bits}"
            )
        if self.levels is not None and self.levels < 1:
            raise ConversionError(f"expected levels up to at least 1, found {self.levels}")
        if self.sequences < 1 or self.length < 2:
            raise ConversionError(
                f"expected calibration texts of at least two tokens, found {self.sequences} of "
                f"{self.length}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return asdict(self)
