"""What all operations have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sangbo.errors import GraphError
from sangbo.graph.scope import Scope
from sangbo.graph.types import ValueType
from sangbo.graph.weight import Weight

LARGEST_LEVEL = 2**20
"""Levels stay within ±this: float32 holds them exactly and sums of many still fit 32 bits."""


@dataclass(frozen=True, slots=True)
class Operation(ABC):
    """One step of a graph: reads named values, writes one named value."""

    synaptic: ClassVar[bool] = False
    """Whether the operation consumes levels through weights or through other levels."""

    output: str

    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Names of the values that the operation reads."""

    def weights(self) -> tuple[Weight, ...]:
        """Weights that the operation uses."""
        return ()

    def parameters(self) -> tuple[str, ...]:
        """Names of the tensors that the operation uses beside its weights."""
        return ()

    def learned(self) -> tuple[str, ...]:
        """Those of its parameters that training made; tables and thresholds are not."""
        return self.parameters()

    def spiking(self, values: Mapping[str, ValueType]) -> bool:
        """Whether everything that its weights meet comes as levels."""
        return all(values[n].kind == "levels" for n in self.inputs())

    @abstractmethod
    def check(self, scope: Scope) -> ValueType:
        """Type of the result; raises `GraphError` saying what was expected and what was found."""


def check_range(lowest: int, highest: int) -> None:
    """Raise `GraphError` unless ``lowest ≤ 0 < highest`` and both fit the largest level."""
    if not -LARGEST_LEVEL <= lowest <= 0 < highest <= LARGEST_LEVEL:
        raise GraphError(
            f"expected levels within ±{LARGEST_LEVEL} that include 0 and 1, "
            f"found {lowest} to {highest}"
        )
