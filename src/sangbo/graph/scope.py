"""What an operation may look at while it checks itself: the types of values and of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sangbo.errors import GraphError
from sangbo.graph.types import Kind, TensorType, ValueType


@dataclass(frozen=True, slots=True)
class Scope:
    """Types known at one place of a graph, with look-ups that say what was expected."""

    values: Mapping[str, ValueType]
    tensors: Mapping[str, TensorType]

    def value(self, name: str, *kinds: Kind) -> ValueType:
        """Type of value ``name``, which must be of one of ``kinds`` (any, if none is given)."""
        if name not in self.values:
            raise GraphError(f"expected a value named {name!r} before its use, found none")
        found = self.values[name]
        if kinds and found.kind not in kinds:
            raise GraphError(f"expected {name!r} to be {' or '.join(kinds)}, found {found}")
        return found

    def tensor(self, name: str, dtypes: tuple[str, ...], shape: tuple[int, ...]) -> TensorType:
        """Type of tensor ``name``, which must have one of ``dtypes`` and exactly ``shape``."""
        found = self.tensors.get(name)
        if found is None:
            raise GraphError(f"expected a tensor named {name!r}, found none")
        if found.dtype not in dtypes or found.shape != shape:
            expected = f"{' or '.join(dtypes)}{list(shape)}"
            raise GraphError(f"expected tensor {name!r} to be {expected}, found {found}")
        return found

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """Shape of tensor ``name``, which must have ``axes`` axes."""
        found = self.tensors.get(name)
        if found is None:
            raise GraphError(f"expected a tensor named {name!r}, found none")
        if len(found.shape) != axes:
            raise GraphError(f"expected tensor {name!r} to have {axes} axes, found {found}")
        return found.shape
