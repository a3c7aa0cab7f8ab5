"""The network as Sangbo holds it: operations on named values, and the tensors they use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import GraphError
from sangbo.graph.operations import Embedding, Operation
from sangbo.graph.scope import Scope
from sangbo.graph.types import Dimension, TensorType, ValueType

Tensors = Mapping[str, NDArray[Any]]

MAIN_AXIS = "rows"
_KINDS = {"index": "iu", "real": "f", "levels": ""}


@dataclass(frozen=True)
class Graph:
    """A checked list of operations in the order in which they run.

    Attributes:
        name: what people call the network.
        inputs: type of each value that a run must be given.
        operations: in order of execution; each value is written once, before it is read.
        outputs: names of the values that a run returns.
        tensors: weights, biases, thresholds and tables by name.
        metadata: facts about the network that operations do not need (task, context, source …);
            JSON values only.

    Raises:
        GraphError: on construction, where a name is missing, written twice, or a shape or type
            does not fit; the message names the operation.
    """

    name: str
    inputs: Mapping[str, ValueType]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]
    tensors: Tensors
    metadata: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, ValueType] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", self._check())

    def _check(self) -> dict[str, ValueType]:
        types = {name: TensorType(t.dtype.name, t.shape) for name, t in self.tensors.items()}
        values = dict(self.inputs)
        for operation in self.operations:
            if operation.output in values:
                raise GraphError(f"expected {operation.output!r} to be written once, found twice")
            try:
                values[operation.output] = operation.check(Scope(values, types))
            except GraphError as error:
                kind = type(operation).__name__
                raise GraphError(f"{kind} {operation.output!r}: {error}") from None
        missing = [name for name in self.outputs if name not in values]
        if missing or not self.outputs:
            raise GraphError(f"expected outputs that some operation writes, found {missing}")
        return values

    @property
    def synaptic(self) -> tuple[Operation, ...]:
        """The synaptic operations, in order."""
        return tuple(o for o in self.operations if o.synaptic)

    @property
    def complementary(self) -> bool:
        """Whether every synaptic operation consumes levels."""
        return all(o.spiking(self.values) for o in self.synaptic)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all tensors that hold weights of operations, each counted once."""
        names = {n for o in self.operations for w in o.weights() for n in w.tensors()}
        return sum(self.tensors[n].nbytes for n in names)

    @property
    def parameter_count(self) -> int:
        """Number of weights and other trained parameters, each counted once."""
        counts: dict[str, int] = {}
        for operation in self.operations:
            for weight in operation.weights():
                packed = 2 if weight.bits == 4 else 1
                counts[weight.values] = self.tensors[weight.values].size * packed
            for name in operation.learned():
                counts[name] = self.tensors[name].size
        return sum(counts.values())

    def check_finite(self) -> None:
        """Raise `GraphError` where a tensor holds NaN or infinity; reads every tensor once."""
        for name, tensor in self.tensors.items():
            if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
                raise GraphError(
                    f"expected finite values in tensor {name!r}, found NaN or infinity"
                )

    def sha256(self) -> str:
        """Hash over operations and tensors, the same for the same network wherever it lies."""
        digest = hashlib.sha256()
        for operation in self.operations:
            digest.update(repr(operation).encode())
        for name in sorted(self.tensors):
            tensor = np.ascontiguousarray(self.tensors[name])
            digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
            digest.update(tensor.data)
        return digest.hexdigest()

    @property
    def axes(self) -> tuple[Dimension, ...]:
        """First axis of each input, each once."""
        return tuple(dict.fromkeys(kind.shape[0] for kind in self.inputs.values()))

    @property
    def axis(self) -> Dimension:
        """The main axis: ``"rows"`` where an input has it, or else the first axis of the first."""
        return MAIN_AXIS if MAIN_AXIS in self.axes else self.axes[0]

    def check_shapes(self, inputs: Mapping[str, NDArray[Any]]) -> dict[Dimension, int]:
        """Size of each first axis in ``inputs``.

        Raises:
            GraphError: unless they are what the graph takes, of sizes that agree.
        """
        if inputs.keys() != self.inputs.keys():
            raise GraphError(f"expected inputs {sorted(self.inputs)}, found {sorted(inputs)}")
        sizes: dict[Dimension, int] = {}
        for name, kind in self.inputs.items():
            axis, given = kind.shape[0], inputs[name]
            found = given.shape[0] if given.ndim else 0
            size = axis if isinstance(axis, int) else sizes.setdefault(axis, found)
            if given.shape != (size, *kind.shape[1:]) or given.dtype.kind not in _KINDS[kind.kind]:
                raise GraphError(
                    f"expected {name!r} to be {kind} with {axis} = {size}, "
                    f"found {given.dtype.name}{list(given.shape)}"
                )
            sizes[axis] = size
        return sizes

    def check_inputs(self, inputs: Mapping[str, NDArray[Any]]) -> dict[Dimension, int]:
        """As `check_shapes`, and raises `GraphError` where an index is outside its table."""
        sizes = self.check_shapes(inputs)
        for operation in self.operations:
            if isinstance(operation, Embedding):
                rows = self.tensors[operation.weight.values].shape[0]
                index = inputs.get(operation.input)
                if index is not None and index.size and not 0 <= index.min() <= index.max() < rows:
                    raise GraphError(
                        f"expected {operation.input!r} within 0…{rows - 1}, "
                        f"found {index.min()}…{index.max()}"
                    )
        return sizes

    def summary(self) -> str:
        """A printable table: one line per operation with its result's type and weight format."""
        width = max((len(o.output) for o in self.operations), default=0)
        lines = [
            f"{self.name}: {len(self.operations)} operations, {len(self.synaptic)} synaptic, "
            f"{self.parameter_count / 1e6:.1f} M parameters, "
            f"{self.weight_bytes / 1e6:.1f} MB of weights"
        ]
        for operation in self.operations:
            formats = " ".join(
                f"{w.bits}-bit" + (f"/{w.group}" if w.group else "") for w in operation.weights()
            )
            lines.append(
                f"  {operation.output:<{width}}  {type(operation).__name__:<10} "
                f"{self.values[operation.output]!s:<24} {formats}".rstrip()
            )
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()
