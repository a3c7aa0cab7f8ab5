"""How the weights of a synaptic operation are stored: float, or integers on a stated grid."""

from __future__ import annotations

from dataclasses import dataclass

from sangbo.errors import GraphError
from sangbo.graph.scope import Scope

REAL_TYPES = ("float32",)
GRID_TYPES = ("float16", "float32")


@dataclass(frozen=True, slots=True)
class Weight:
    """A matrix W of shape (outputs, inputs), kept in one of three forms.

    * ``bits = 32``: float32 values, no grid.
    * ``bits = 8``: int8 values q in −127…127; W = scale·q (+ minimum).
    * ``bits = 4``: values q in 0…15, two to a byte (even input in the low half); W = scale·q +
      minimum.

    ``scale`` and ``minimum`` have shape (outputs, inputs // group): each run of ``group`` inputs of
    an output shares one of each. A grid per output channel is the case ``group == inputs``.

    Attributes:
        values: name of the tensor of values, (outputs, inputs), or (outputs, inputs // 2) for 4
            bits.
        bits: 32, 8 or 4.
        group: inputs that share one scale; 0 for float weights.
        scale: name of the tensor of scales, float16 or float32.
        minimum: name of the tensor of minima, same shape and type as the scales.
    """

    values: str
    bits: int = 32
    group: int = 0
    scale: str | None = None
    minimum: str | None = None

    def tensors(self) -> tuple[str, ...]:
        """Names of all tensors that hold this weight."""
        return tuple(n for n in (self.values, self.scale, self.minimum) if n is not None)

    def check(self, scope: Scope) -> tuple[int, int]:
        """Return (outputs, inputs); raise `GraphError` where the tensors do not fit."""
        rows, columns = scope.shape(self.values, 2)
        if self.bits == 32:
            scope.tensor(self.values, REAL_TYPES, (rows, columns))
            if self.scale or self.minimum or self.group:
                raise GraphError(f"expected no grid beside the float weight {self.values!r}")
            return rows, columns
        if self.bits not in (4, 8):
            raise GraphError(f"expected {self.values!r} to have 4, 8 or 32 bits, found {self.bits}")
        scope.tensor(self.values, ("uint8",) if self.bits == 4 else ("int8",), (rows, columns))
        inputs = columns * 2 if self.bits == 4 else columns
        if self.group <= 0 or inputs % self.group:
            raise GraphError(
                f"expected the group of {self.values!r} to divide {inputs}, found {self.group}"
            )
        if self.scale is None:
            raise GraphError(f"expected a scale beside the integer weight {self.values!r}")
        if self.bits == 4 and (self.minimum is None or self.group % 2):
            raise GraphError(f"expected a minimum and an even group beside {self.values!r}")
        for name in (self.scale, self.minimum):
            if name is not None:
                scope.tensor(name, GRID_TYPES, (rows, inputs // self.group))
        return rows, inputs
