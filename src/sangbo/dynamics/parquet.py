"""Recording to disk while a network runs: a folder of Parquet files."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from sangbo.dynamics.recording import Memory, Recorder, Sampling
from sangbo.errors import SimulationError
from sangbo.extras import need

EXTRA = "record"
PART_ROWS = 1 << 20
WAITING = 2
"""Parts that may wait to be written; the run waits for the disk where it falls behind further."""
LARGEST_ROWS = 1 << 31


Rows: TypeAlias = tuple[NDArray[Any], ...]
"""Columns: steps, neurons, and values of states."""


@dataclass(slots=True)
class _Stream:
    """One folder of parts: rows that wait, and how many parts there are."""

    folder: Path
    columns: tuple[str, ...]
    waiting: list[Rows] = field(default_factory=list)
    rows: int = 0
    parts: int = 0


@dataclass(slots=True)
class _Part:
    """Rows on their way to disk."""

    stream: _Stream
    rows: list[Rows]
    done: Future[None]


class ParquetFolder(Recorder):
    """A `Recorder` that writes to a folder in a thread of its own, while the network goes on.

    Spikes lie in ``spikes/population=NAME/part-*.parquet`` with columns ``time`` (ms) and
    ``neuron``, states in ``states/population=NAME/state=NAME/part-*.parquet`` with ``value`` beside
    them, so any reader of partitioned Parquet takes the folder whole. A part appears when it is
    whole. Where a part cannot be written, the run ends with an error that says until when
    everything is on disk; what waits stays in memory, and the next ``end`` tries again.

    >>> import tempfile
    >>> from sangbo import dynamics
    >>> network = dynamics.Network(step=1.0)
    >>> cells = network.population(3, dynamics.RegularSource(interval=5.0), name="cells")
    >>> network.record(cells)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = network.run(10.0, recorder=dynamics.ParquetFolder(folder + "/run"))
    ...     times, neurons = dynamics.read_recording(folder + "/run").spike_times("cells")
    >>> times.tolist()
    [5.0, 5.0, 5.0, 10.0, 10.0, 10.0]

    Args:
        path: a folder that is absent or empty.
        part_rows: rows to a part.
        after: go on with the recording in ``path`` after this time, ms, at which a run ended; parts
            of later times are removed, and anything else than a recording is left alone.

    Raises:
        MissingExtraError: pyarrow is not installed.
        SimulationError: the folder is not empty, or cannot be made.
    """

    def __init__(
        self, path: str | Path, *, part_rows: int = PART_ROWS, after: float | None = None
    ) -> None:
        need(EXTRA, "pyarrow")
        self.path, self._part_rows, self._step = Path(path), part_rows, 1.0
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if after is None and any(self.path.iterdir()):
                raise SimulationError(f"expected {path} to be absent or empty, found files there")
        except OSError as error:
            raise SimulationError(f"expected to write {path}, found: {error.strerror}") from None
        self._after = after
        self._streams: dict[tuple[str, ...], _Stream] = {}
        self._pool = ThreadPoolExecutor(1, "sangbo-recorder")
        self._writing: deque[_Part] = deque()
        self._failed: BaseException | None = None

    def begin(
        self, step: float, populations: dict[str, int], samplings: Sequence[Sampling]
    ) -> None:
        """Begin, or go on after an earlier run."""
        self._step = step
        for name in populations:
            self._stream(name)
        for s in samplings:
            self._stream(s.population, s.state)

    def spikes(
        self, population: str, steps: NDArray[np.uint64], neurons: NDArray[np.uint32]
    ) -> None:
        """Take these spikes."""
        self._add(self._stream(population), (steps, neurons))

    def states(self, sampling: Sampling, steps: NDArray[np.uint64], values: NDArray[Any]) -> None:
        """Take these samples."""
        neurons = np.tile(sampling.neurons, steps.size)
        rows = np.repeat(steps, sampling.neurons.size), neurons, values.ravel()
        self._add(self._stream(sampling.population, sampling.state), rows)

    def end(self) -> None:
        """Write what waits."""
        for stream in self._streams.values():
            self._flush(stream)
        while self._writing:
            self._check(self._writing.popleft())
        if any(stream.waiting for stream in self._streams.values()):
            self.end()

    def _stream(self, population: str, state: str | None = None) -> _Stream:
        key = (population,) if state is None else (population, state)
        if key not in self._streams:
            folder = self.path / ("spikes" if state is None else "states")
            folder /= f"population={quote(population, safe='')}"
            columns: tuple[str, ...] = ("time", "neuron")
            if state is not None:
                folder, columns = folder / f"state={quote(state, safe='')}", (*columns, "value")
            kept = 0 if self._after is None else _kept_parts(folder, self._after)
            self._streams[key] = _Stream(folder, columns, parts=kept)
        return self._streams[key]

    def _add(self, stream: _Stream, rows: Rows) -> None:
        stream.waiting.append(rows)
        stream.rows += rows[0].size
        if stream.rows >= self._part_rows:
            self._flush(stream)
        while self._writing and (len(self._writing) > WAITING or self._writing[0].done.done()):
            self._check(self._writing.popleft())

    def _flush(self, stream: _Stream) -> None:
        if stream.waiting:
            rows, stream.waiting, stream.rows = stream.waiting, [], 0
            done = self._pool.submit(self._write, stream, rows)
            self._writing.append(_Part(stream, rows, done))

    def _write(self, stream: _Stream, rows: list[Rows]) -> None:
        """Write one part, in the recorder's thread; none after one that failed, to keep order."""
        if self._failed is not None:
            raise self._failed
        try:
            self._write_part(stream, rows)
        except BaseException as error:
            self._failed = error
            raise

    def _write_part(self, stream: _Stream, rows: list[Rows]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        target = stream.folder / f"part-{stream.parts:06}.parquet"
        new = target.with_suffix(".writing")
        columns = [np.concatenate(parts) for parts in zip(*rows, strict=True)]
        columns[0] = columns[0] * self._step
        stream.folder.mkdir(parents=True, exist_ok=True)
        try:
            table = pa.table(dict(zip(stream.columns, columns, strict=True)))
            parquet.write_table(table, new, compression="zstd", use_dictionary=["time"])
            new.rename(target)
        finally:
            new.unlink(missing_ok=True)
        stream.parts += 1

    def _check(self, part: _Part) -> None:
        """Wait for a part; where it failed, put back its rows and all later ones."""
        error = part.done.exception()
        if error is None:
            return
        failed = [part]
        while self._writing:
            later = self._writing.popleft()
            later.done.exception()
            failed.append(later)
        self._failed = None
        for part in reversed(failed):
            part.stream.waiting = part.rows + part.stream.waiting
            part.stream.rows += sum(rows[0].size for rows in part.rows)
        if not isinstance(error, OSError):
            raise error
        first = min(s.waiting[0][0][0] for s in self._streams.values() if s.waiting)
        reason = os.strerror(error.errno) if error.errno else str(error).partition("\n")[0]
        raise SimulationError(
            f"expected to write to {self.path}, found: {reason}; everything before "
            f"{int(first) * self._step:g} ms is there"
        )


def _kept_parts(folder: Path, after: float) -> int:
    """How many parts there are once those that begin later than ``after`` ms are removed."""
    from pyarrow import ArrowInvalid, parquet

    kept = 0
    for part in sorted(folder.glob("part-*.parquet")):
        try:
            times = parquet.read_table(part, columns=["time"])["time"].to_numpy()
        except (OSError, KeyError, ArrowInvalid) as error:
            raise SimulationError(f"expected a part of a recording in {part}: {error}") from None
        if times.size and times[0] <= after < times[-1]:
            raise SimulationError(
                f"expected a part that ends by {after:g} ms in {part}, found {times[-1]:g} ms"
            )
        if times.size and times[0] > after:
            part.unlink()
        else:
            kept += 1
    return kept


def read_recording(path: str | Path) -> Memory:
    """What a `ParquetFolder` holds, in memory.

    Raises:
        MissingExtraError: pyarrow is not installed.
        SimulationError: it is no such folder, or too large for memory.
    """
    need(EXTRA, "pyarrow")
    import pyarrow as pa

    root, found = Path(path), Memory()
    try:
        for folder in sorted(root.glob("spikes/population=*")):
            time, neuron = _columns(folder, ("time", "neuron"))
            found.add_spikes(_name(folder), time, neuron.astype(np.uint32))
        for folder in sorted(root.glob("states/population=*/state=*")):
            time, neuron, value = _columns(folder, ("time", "neuron", "value"))
            width = max(1, int((time == time[0]).sum())) if time.size else 1
            if time.size % width or (time.reshape(-1, width) != time[::width, np.newaxis]).any():
                raise SimulationError(f"expected as many values at each time in {folder}")
            at, values = time[::width], value.reshape(-1, width)
            found.add_samples(_name(folder.parent), _name(folder), at, values)
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise SimulationError(f"expected a recording in {path}, found: {error}") from None
    if not root.is_dir():
        raise SimulationError(f"expected a recording in {path}, found none")
    return found


def _name(folder: Path) -> str:
    return unquote(folder.name.partition("=")[2])


def _columns(folder: Path, names: tuple[str, ...]) -> list[NDArray[Any]]:
    from pyarrow import parquet

    files = [parquet.ParquetFile(p) for p in sorted(folder.glob("part-*.parquet"))]
    rows = sum(f.metadata.num_rows for f in files)
    if rows > LARGEST_ROWS:
        raise SimulationError(f"expected at most {LARGEST_ROWS} rows in {folder}, found {rows}")
    tables = [f.read(columns=list(names)) for f in files]
    if not tables:
        return [np.zeros(0) for _ in names]
    return [np.concatenate([t[name].to_numpy() for t in tables]) for name in names]
