"""What a conversion may spend: lost perplexity, spikes, or energy."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias, get_args

from sangbo.errors import ConversionError
from sangbo.tasks.task import BEARS, Task

Kind: TypeAlias = Literal["perplexity", "spikes", "energy"]

_JOULES = {"pJ": 1e-12, "nJ": 1e-9, "uJ": 1e-6, "µJ": 1e-6, "mJ": 1e-3, "J": 1.0}
_FORM = re.compile(
    r"(?P<kind>[a-z]+)=(?P<number>[0-9.]+(?:e-?[0-9]+)?)(?P<unit>[%a-zA-Zµ]*)"
    r"(?:,dense=(?P<dense>[0-9.]+)%)?"
)
EXPECTED = "perplexity=0.2%, spikes=1.2, spikes=1.2,dense=5% or energy=50uJ"


@dataclass(frozen=True, slots=True)
class Budget:
    """A bound that the thresholds of a conversion must keep.

    Attributes:
        kind: ``perplexity``: relative rise that turning values into levels may cover, by
            prediction; ``spikes``: mean spikes per value that weights read, each value once;
            ``energy``: of the synaptic operations per token, without memory.
        amount: a share, a number, or joules.
        dense: for ``spikes``: share of the values, those of most spikes, that the dense side
            takes. Their spikes are not counted.
    """

    kind: Kind
    amount: float
    dense: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConversionError(f"expected a budget such as {EXPECTED}, found {self.kind!r}")
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise ConversionError(f"expected a budget above zero, found {self.amount}")
        if not 0 <= self.dense < 1 or (self.dense and self.kind != "spikes"):
            raise ConversionError(
                f"expected a dense share below 100 % in a budget of spikes alone, "
                f"found {self.dense:.0%} in one of {self.kind}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """The budget that ``perplexity=0.2%``, ``spikes=1.2`` or ``energy=50uJ`` names."""
        match = _FORM.fullmatch(text.strip())
        if match is None or match["kind"] not in get_args(Kind):
            raise ConversionError(f"expected a budget such as {EXPECTED}, found {text!r}")
        kind, unit = match["kind"], match["unit"]
        factors = {"perplexity": {"%": 0.01, "": 1.0}, "spikes": {"": 1.0}, "energy": _JOULES}[kind]
        if unit not in factors:
            raise ConversionError(
                f"expected a budget of {kind} in {' or '.join(u or 'no unit' for u in factors)}, "
                f"found {text!r}"
            )
        try:
            amount = float(match["number"])
            dense = float(match["dense"] or 0) * 0.01
        except ValueError:
            raise ConversionError(f"expected a number in the budget, found {text!r}") from None
        return cls(kind, amount * factors[unit], dense)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """As `parse` reads it."""
        if self.kind == "perplexity":
            return f"perplexity={100 * self.amount:g}%"
        if self.kind == "energy":
            return f"energy={self.amount:g}J"
        return f"spikes={self.amount:g}" + (f",dense={100 * self.dense:g}%" if self.dense else "")


DEFAULT = Budget("perplexity", BEARS)


def default(task: Task) -> Budget:
    """What a conversion for ``task`` spends where nothing is asked for."""
    return Budget("perplexity", task.bears)
