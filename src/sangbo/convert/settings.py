"""What a conversion may be told."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from sangbo import codes, tallies
from sangbo.errors import ConversionError

DEFAULT_BUDGET = 0.002
"""Nats per token that encoding may cost: perplexity moves by about as much, here 0.2 %."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to convert.

    Attributes:
        weight_bits: 8 (int8 per output channel) or 4 (groups of 32; a file's own grid is kept).
        budget: Kullback–Leibler divergence in nats per token that turning values into levels may
            cost by prediction; the thresholds spend it where it saves the most spikes.
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

    weight_bits: int = 8
    budget: float = DEFAULT_BUDGET
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
        if self.weight_bits not in (4, 8):
            raise ConversionError(f"expected weights of 4 or 8 bits, found {self.weight_bits}")
        if self.cache_bits not in (8, 16):
            raise ConversionError(
                f"expected cached levels of 8 or 16 bits, found {self.cache_bits}"
            )
        if not (math.isfinite(self.budget) and self.budget > 0):
            raise ConversionError(f"expected a budget above zero, found {self.budget}")
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
