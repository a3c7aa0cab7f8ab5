"""The native engine: complementary graphs in C++, bit for bit as the reference engine."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatchmethod

import numpy as np

from sangbo import _native
from sangbo.engines.base import Array, Segment, check_segments
from sangbo.engines.counted import NativeLedger, add_counts
from sangbo.errors import EngineError, UnsupportedError
from sangbo.graph import (
    Activation,
    Add,
    Attention,
    Embedding,
    Graph,
    Linear,
    Multiply,
    Neuron,
    Norm,
    Operation,
    Rotary,
    Select,
    Weight,
)
from sangbo.ledger import Ledger

LANES = 16
ISA_VARIABLE = "SANGBO_ISA"
THREADS_VARIABLE = "SANGBO_THREADS"


def instruction_sets() -> list[str]:
    """Instruction sets that this machine has kernels for, the fastest first."""
    names: list[str] = _native.available_kernels()
    return names


class NativeCache:
    """Keys and values of one sequence as levels, in native memory; grows as rows come."""

    def __init__(self, native: _native.Cache, engine: Native) -> None:
        self.native = native
        self.engine = engine

    @property
    def length(self) -> int:
        """Rows held so far."""
        length: int = self.native.length
        return length

    @property
    def capacity(self) -> int:
        """Rows that fit."""
        capacity: int = self.native.capacity
        return capacity

    @property
    def nbytes(self) -> int:
        """Bytes of the levels held so far."""
        size: int = self.native.bytes
        return size

    def truncate(self, length: int) -> None:
        """Forget all rows from ``length`` on."""
        if not 0 <= length <= self.length:
            raise EngineError(f"expected a length within 0…{self.length}, found {length}")
        self.native.truncate(length)


class Native:
    """Runs a complementary graph in native code. See `sangbo.engines.base.Engine`.

    A whole run happens without Python and without its lock. Several threads may share one engine,
    each with caches of its own; their runs take turns, each on all of the engine's threads.

    Args:
        graph: a complementary graph.
        threads: how many threads work on a run; by default ``SANGBO_THREADS``, or else all
            processors that this process may use.
        isa: which of `instruction_sets` to use; by default ``SANGBO_ISA``, or else the fastest.

    Raises:
        EngineError: where the graph is not complementary, or this machine lacks ``isa``.
        UnsupportedError: where the graph holds an operation that this engine does not have.
    """

    def __init__(self, graph: Graph, *, threads: int | None = None, isa: str | None = None) -> None:
        if not graph.complementary:
            raise EngineError(
                f"expected a complementary graph, found {graph.name!r} with synaptic operations "
                "on reals: convert it first, or run it with the reference engine"
            )
        self.graph = graph
        self._program = _native.Program(
            isa if isa is not None else os.environ.get(ISA_VARIABLE, ""),
            _thread_count(threads),
        )
        self._domains: dict[str | int, int] = {}
        self._ids: dict[str, int] = {}
        self._packed: dict[tuple[str, ...], int] = {}
        self._kept: list[Array] = []
        self._heads = {w.tensors() for o in graph.operations if isinstance(o, Linear)
                       for w in o.weights()}  # fmt: skip
        self._build()
        _release(graph)

    @property
    def isa(self) -> str:
        """The instruction set in use."""
        name: str = self._program.isa
        return name

    @property
    def threads(self) -> int:
        """How many threads work on a run."""
        count: int = self._program.threads
        return count

    @property
    def packed_bytes(self) -> int:
        """Bytes of the weights as this engine holds them."""
        size: int = self._program.packed_bytes
        return size

    def cache(self, capacity: int) -> NativeCache:
        """An empty cache for one sequence of at most ``capacity`` rows."""
        if capacity <= 0:
            raise EngineError(f"expected a cache of at least one row, found {capacity}")
        return NativeCache(self._program.cache(capacity), self)

    def ledger(self) -> Ledger:
        """An empty ledger that this engine fills in native memory until somebody reads it.

        A run may count into any ledger; into one of these it costs next to nothing.
        """
        return NativeLedger(self.graph, self._program.counts(), self._tallies())

    def run(
        self,
        inputs: Mapping[str, Array],
        segments: Sequence[Segment[NativeCache]],
        *,
        ledger: Ledger | None = None,
        stop: _native.Stop | None = None,
    ) -> dict[str, Array]:
        """Evaluate the graph and extend the caches; see `sangbo.engines.base.Engine.run`.

        Args:
            inputs: one array per input of the graph.
            segments: which rows belong to which sequence.
            ledger: where to count; nothing is counted without one.
            stop: another thread may ``set`` it, and the run ends with `EngineError`, leaving the
                caches as they were.
        """
        if ledger is not None and ledger.tallies is not None:
            raise EngineError(
                "expected a ledger without tallies, found one with them: the native engine counts "
                "no groups, the reference engine does"
            )
        arrays, sizes = self._check_inputs(inputs)
        if segments or any(isinstance(o, Attention) for o in self.graph.operations):
            check_segments(sizes, self.graph.axis, segments)
            if any(s.cache.engine is not self for s in segments):
                raise EngineError("expected a cache of this engine, found one of another")
        outputs = {name: self._output(name, sizes) for name in self._written}
        own = isinstance(ledger, NativeLedger) and ledger.graph is self.graph
        counts = None
        if isinstance(ledger, NativeLedger) and own:
            counts = ledger.counts
        elif ledger is not None:
            counts = self._program.counts()
        self._program.run(
            [sizes[d] for d in self._domains],
            arrays,
            list(outputs.values()),
            [(s.cache.native, s.rows) for s in segments],
            counts,
            stop,
        )
        if ledger is not None and counts is not None and not own:
            add_counts(ledger, self.graph, counts, self._tallies())
        results = {n: a[:, : self.graph.values[n].channels] for n, a in outputs.items()}
        return results | {n: inputs[n] for n in self.graph.outputs if n in inputs}

    def _check_inputs(
        self, inputs: Mapping[str, Array]
    ) -> tuple[list[Array], dict[str | int, int]]:
        """Inputs as the program reads them, in its order, and the size of each named axis."""
        if inputs.keys() != self.graph.inputs.keys():
            raise EngineError(
                f"expected inputs {sorted(self.graph.inputs)}, found {sorted(inputs)}"
            )
        arrays, sizes = [], dict[str | int, int]()
        for name, kind in self.graph.inputs.items():
            given = np.asarray(inputs[name])
            axis = kind.shape[0]
            size = axis if isinstance(axis, int) else sizes.setdefault(axis, len(given))
            shape = (size, *kind.shape[1:])
            wanted = "iu" if kind.kind == "index" else "f"
            if given.shape != shape or given.dtype.kind not in wanted:
                raise EngineError(
                    f"expected {name!r} to be {kind} with {axis} = {size}, "
                    f"found {given.dtype.name}{list(given.shape)}"
                )
            sizes[axis] = size
            arrays.append(_index(name, given) if kind.kind == "index" else _padded(given))
        return arrays, sizes

    def _output(self, name: str, sizes: Mapping[str | int, int]) -> Array:
        kind = self.graph.values[name]
        shape = (sizes[kind.shape[0]], -(-kind.channels // LANES) * LANES)
        return np.empty(shape, np.int32 if kind.kind == "levels" else np.float32)

    def _tallies(self) -> dict[str, int]:
        """Which tally of the program counts which value; ``NAME.probability`` for attention."""
        tallies = {}
        for operation in self.graph.operations:
            name = operation.output
            if isinstance(operation, Neuron | Attention):
                tallies[name] = self._program.tally(self._ids[name], 0)
            if isinstance(operation, Attention):
                tallies[f"{name}.probability"] = self._program.tally(self._ids[name], 1)
        return tallies

    def _build(self) -> None:
        for name, kind in self.graph.inputs.items():
            if kind.kind not in ("real", "index") or len(kind.shape) != (1 + (kind.kind == "real")):
                raise UnsupportedError(
                    f"expected {name!r} to be rows of reals or one index a row, found {kind}; "
                    "the native engine takes no other inputs"
                )
            self._ids[name] = self._program.input(
                name,
                kind.kind == "index",
                self._domain(kind.shape[0]),
                kind.channels if kind.kind == "real" else 1,
            )
        for operation in self.graph.operations:
            _check_form(operation, self.graph)
            self._ids[operation.output] = self._add(operation)
        self._written = [n for n in dict.fromkeys(self.graph.outputs) if n not in self.graph.inputs]
        for name in self._written:
            self._program.output(self._ids[name])
        self._program.finish()

    def _domain(self, axis: str | int) -> int:
        if axis not in self._domains:
            self._domains[axis] = self._program.domain()
        return self._domains[axis]

    def _tensor(self, name: str) -> Array:
        return np.ascontiguousarray(self.graph.tensors[name])

    def _reals(self, name: str) -> Array:
        return self._tensor(name).reshape(-1)

    def _bias(self, name: str | None) -> Array | None:
        return None if name is None else self._reals(name)

    def _number(self, name: str | None) -> np.float32:
        return np.float32(self.graph.tensors[str(name)][()])

    def _threshold(self, value: str) -> np.float32:
        return self._number(self.graph.values[value].threshold)

    def _weight(self, weight: Weight) -> int:
        key = weight.tensors()
        if key not in self._packed:
            self._packed[key] = self._program.weight(*self._stored(weight))
        return self._packed[key]

    def _stored(self, weight: Weight) -> tuple[Array, int, int, Array | None, Array | None]:
        scale, minimum = (
            None if n is None else self._tensor(n) for n in (weight.scale, weight.minimum)
        )
        return self._tensor(weight.values), weight.bits, weight.group, scale, minimum

    @singledispatchmethod
    def _add(self, operation: Operation) -> int:
        """The native value that ``operation`` writes; one method below per type of operation."""
        raise UnsupportedError(f"the native engine has no {type(operation).__name__} operation")

    @_add.register
    def _(self, operation: Embedding) -> int:
        index = self._ids[operation.input]
        weight = operation.weight
        if weight.bits < 32 and weight.tensors() in self._heads:
            shared: int = self._program.embedding(operation.output, index, self._weight(weight))
            return shared
        stored = self._stored(weight)
        self._kept += [array for array in stored if isinstance(array, np.ndarray)]
        table: int = self._program.table(operation.output, index, *stored)
        return table

    @_add.register
    def _(self, operation: Select) -> int:
        value: int = self._program.select(
            operation.output, self._ids[operation.input], self._ids[operation.rows]
        )
        return value

    @_add.register
    def _(self, operation: Linear) -> int:
        value: int = self._program.linear(
            operation.output,
            self._ids[operation.input],
            self._weight(operation.weight),
            float(self._threshold(operation.input)),
            self._bias(operation.bias),
        )
        return value

    @_add.register
    def _(self, operation: Neuron) -> int:
        value: int = self._program.neuron(
            operation.output,
            self._ids[operation.input],
            self._reals(operation.inverse),
            operation.lowest,
            operation.highest,
        )
        return value

    @_add.register
    def _(self, operation: Norm) -> int:
        value: int = self._program.norm(
            operation.output,
            self._ids[operation.input],
            operation.form == "layer",
            self._reals(operation.weight),
            self._bias(operation.bias),
            operation.epsilon,
        )
        return value

    @_add.register
    def _(self, operation: Activation) -> int:
        value: int = self._program.activation(
            operation.output, self._ids[operation.input], operation.function == "gelu_tanh"
        )
        return value

    @_add.register
    def _(self, operation: Add | Multiply) -> int:
        value: int = self._program.binary(
            operation.output,
            self._ids[operation.left],
            self._ids[operation.right],
            isinstance(operation, Multiply),
        )
        return value

    @_add.register
    def _(self, operation: Rotary) -> int:
        tables = self._tensor(operation.cosine), self._tensor(operation.sine)
        self._kept += tables
        value: int = self._program.rotary(
            operation.output,
            self._ids[operation.input],
            self._ids[operation.positions],
            *tables,
            operation.heads,
        )
        return value

    @_add.register
    def _(self, operation: Attention) -> int:
        theta_q, theta_k, theta_v = (self._threshold(n) for n in operation.inputs())
        value: int = self._program.attention(
            operation.output,
            self._ids[operation.query],
            self._ids[operation.key],
            self._ids[operation.value],
            operation.heads,
            operation.key_heads,
            operation.causal,
            operation.highest,
            float((theta_q * theta_k) * np.float32(operation.scale)),
            float(self._number(operation.inverse)),
            float(theta_v),
        )
        return value


def _check_form(operation: Operation, graph: Graph) -> None:
    """Raise `UnsupportedError` where this engine has the operation, but not in this form."""
    kinds = [graph.values[n] for n in operation.inputs()]
    lacking = len(kinds[0].shape) > 2
    if isinstance(operation, Attention):
        axes = {kind.shape[0] for kind in kinds}
        lacking = lacking or operation.distances is not None or len(axes) > 1
    elif isinstance(operation, Linear):
        lacking = lacking or operation.gate is not None
    elif isinstance(operation, Multiply):
        lacking = lacking or kinds[0] != kinds[1]
    elif isinstance(operation, Activation):
        lacking = lacking or operation.function not in ("silu", "gelu_tanh")
    if lacking:
        raise UnsupportedError(
            f"the native engine has no {type(operation).__name__} of the form of "
            f"{operation.output!r}"
        )


def default_threads() -> int:
    """``SANGBO_THREADS``, or else all processors that this process may use."""
    text = os.environ.get(THREADS_VARIABLE, "")
    if text and not text.isdecimal():
        raise EngineError(f"expected {THREADS_VARIABLE} to be a whole number, found {text!r}")
    if text:
        return int(text)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _thread_count(threads: int | None) -> int:
    count = default_threads() if threads is None else threads
    if not 1 <= count <= 1024:
        raise EngineError(f"expected 1 to 1024 threads, found {count}")
    return count


def _index(name: str, given: Array) -> Array:
    limits = np.iinfo(np.int32)
    if given.size and not limits.min <= given.min() <= given.max() <= limits.max:
        raise EngineError(f"expected {name!r} within 32 bits, found {given.min()}…{given.max()}")
    return np.ascontiguousarray(given, np.int32)


def _padded(given: Array) -> Array:
    short = -given.shape[1] % LANES
    return np.ascontiguousarray(np.pad(given, [(0, 0), (0, short)]), np.float32)


def _release(graph: Graph) -> None:
    """Let go of the pages of mapped files that packing has read; they come back when touched."""
    advice = getattr(mmap, "MADV_DONTNEED", None)
    if advice is not None:
        for mapped in {id(m): m for t in graph.tensors.values() for m in _mappings(t)}.values():
            mapped.madvise(advice)


def _mappings(tensor: object) -> Iterator[mmap.mmap]:
    """The read-only file mapping that ``tensor`` is a view of, if it is one."""
    while tensor is not None and not isinstance(tensor, mmap.mmap):
        if isinstance(tensor, np.memmap) and tensor.mode != "r":
            return  # what was written into a private mapping would be lost
        tensor = tensor.obj if isinstance(tensor, memoryview) else getattr(tensor, "base", None)
    if tensor is not None:
        yield tensor
