"""The native engine: complementary graphs in C++, bit for bit as the reference engine."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from sangbo import _native
from sangbo.engines.base import Array, Segment, check_segments
from sangbo.engines.counted import NativeLedger, add_counts
from sangbo.engines.native_build import LANES, Builder
from sangbo.errors import EngineError, GraphError
from sangbo.graph import Attention, Dimension, Graph, Recurrent
from sangbo.ledger import Ledger

ISA_VARIABLE = "SANGBO_ISA"
THREADS_VARIABLE = "SANGBO_THREADS"


def instruction_sets() -> list[str]:
    """Instruction sets that this machine has kernels for, the fastest first."""
    names: list[str] = _native.available_kernels()
    return names


class NativeCache:
    """Keys, values and states of one sequence in native memory; grows as rows come."""

    def __init__(self, native: _native.Cache, engine: Native) -> None:
        self.native = native
        self.engine = engine

    @property
    def length(self) -> int:
        """Rows of the main axis held so far."""
        length: int = self.native.length
        return length

    @property
    def capacity(self) -> int:
        """Rows of the main axis that fit."""
        capacity: int = self.native.capacity
        return capacity

    @property
    def nbytes(self) -> int:
        """Bytes of the levels and states held so far."""
        size: int = self.native.bytes
        return size

    def truncate(self, length: int) -> None:
        """Forget all rows of the main axis from ``length`` on."""
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
        self._builder = Builder(graph, self._program)
        self._builder.build()
        self._sequential = any(
            isinstance(o, Attention | Recurrent) and len(graph.values[o.output].shape) == 2
            for o in graph.operations
        )
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
        return NativeLedger(self.graph, self._program.counts(), self._builder.places())

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
        try:
            sizes = self.graph.check_shapes(inputs)
        except GraphError as error:
            raise EngineError(str(error)) from None
        axes = self._builder.axes
        if segments or self._sequential:
            check_segments(sizes, self.graph.axis, segments)
            if any(s.cache.engine is not self for s in segments):
                raise EngineError("expected a cache of this engine, found one of another")
        arrays = [_given(name, inputs[name]) for name in self.graph.inputs]
        outputs = {name: self._output(name, sizes) for name in self._builder.written}
        own = isinstance(ledger, NativeLedger) and ledger.graph is self.graph
        counts = None
        if isinstance(ledger, NativeLedger) and own:
            counts = ledger.counts
        elif ledger is not None:
            counts = self._program.counts()
        self._program.run(
            [sizes[axis] for axis in axes],
            arrays,
            list(outputs.values()),
            [(s.cache.native, [s.along(axis, self.graph.axis) for axis in axes]) for s in segments],
            counts,
            stop,
        )
        if ledger is not None and counts is not None and not own:
            add_counts(ledger, self.graph, counts, self._builder.places())
        results = {n: a[..., : self.graph.values[n].channels] for n, a in outputs.items()}
        return results | {n: inputs[n] for n in self.graph.outputs if n in inputs}

    def _output(self, name: str, sizes: Mapping[Dimension, int]) -> Array:
        kind = self.graph.values[name]
        shape = (sizes[kind.shape[0]], *kind.inner()[:-1], -(-kind.channels // LANES) * LANES)
        return np.empty(shape, np.int32 if kind.kind == "levels" else np.float32)


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


def _given(name: str, given: Array) -> Array:
    """An input as the program reads it."""
    if given.dtype.kind == "f":
        return np.ascontiguousarray(given, np.float32)
    limits = np.iinfo(np.int32)
    if given.size and not limits.min <= given.min() <= given.max() <= limits.max:
        raise EngineError(f"expected {name!r} within 32 bits, found {given.min()}…{given.max()}")
    return np.ascontiguousarray(given, np.int32)


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
