"""The processes that simulate one network together, through MPI.

Every process runs the same script; each owns a slice of every population. What is said here of MPI
is from the MPI standard 4.1, chapters 6 (collective communication) and 9 (errors).
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import SimulationError
from sangbo.extras import need

if TYPE_CHECKING:
    from mpi4py import MPI

EXTRA = "mpi"
LAUNCHED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE", "MPI_LOCALNRANKS")
"""What launchers tell the processes that they start."""
TIMEOUT = "SANGBO_RANKS_TIMEOUT"
_PATIENCE = 300.0  # seconds, where nobody says
_SPINS = 500  # looks, about a microsecond each, before others get the processor
_NAP = 50e-6  # seconds
_FIRST_WORDS = 1024

T = TypeVar("T", bound=np.generic)


class Ranks(Protocol):
    """Processes that simulate one network; what is said collective, all of them must call."""

    @property
    def rank(self) -> int:
        """Which one this is, 0 to ``size`` − 1."""
        ...

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    @property
    def local(self) -> int:
        """How many of them share this machine."""
        ...

    @property
    def waited(self) -> float:
        """Seconds that this one waited for spikes so far."""
        ...

    def send(self, words: NDArray[np.uint32]) -> None:
        """Begin to send ``words``, shape (words,), to all; collective."""
        ...

    def receive(self) -> NDArray[np.uint32]:
        """Wait for what all sent: a row for each, first how many words follow; collective.

        Raises:
            SimulationError: one of them is gone.
        """
        ...

    def all_of(self, values: NDArray[T]) -> list[NDArray[T]]:
        """The ``values`` of each rank, shape (any,), of one type; collective."""
        ...

    def abort(self) -> None:
        """End all of them, with an error."""
        ...


class Alone:
    """The `Ranks` of a network that one process simulates."""

    rank, size, local, waited = 0, 1, 1, 0.0

    def send(self, words: NDArray[np.uint32]) -> None:
        """Nobody is there to send to."""

    def receive(self) -> NDArray[np.uint32]:
        """Nothing."""
        return np.zeros((0, 1), np.uint32)

    def all_of(self, values: NDArray[T]) -> list[NDArray[T]]:
        """Its own alone."""
        return [values]

    def abort(self) -> None:
        """Nobody to end."""


class World:
    """The `Ranks` of ``MPI.COMM_WORLD``, or of another communicator.

    Spikes go in one collective operation that does not block. All ranks send equally many words;
    where one has more to say than fits, all learn it from the first word of its row, and send
    again with more room, which stays.

    Args:
        communicator: a duplicate of ``MPI.COMM_WORLD`` if None.
        patience: seconds to wait for spikes; ``SANGBO_RANKS_TIMEOUT`` or 300 if None.

    Raises:
        MissingExtraError: mpi4py is not installed.
    """

    def __init__(
        self, communicator: MPI.Intracomm | None = None, *, patience: float | None = None
    ) -> None:
        need(EXTRA, "mpi4py")
        from mpi4py import MPI

        if MPI.Query_thread() < MPI.THREAD_SERIALIZED:
            raise SimulationError("expected an MPI that threads may call in turn, found less")
        self._mpi = MPI
        self._comm: MPI.Intracomm = (communicator or MPI.COMM_WORLD).Dup()
        self._comm.Set_errhandler(MPI.ERRORS_RETURN)
        self._patience = _patience() if patience is None else patience
        self.rank, self.size = self._comm.Get_rank(), self._comm.Get_size()
        self.local = self._comm.Split_type(MPI.COMM_TYPE_SHARED).Get_size()
        self.waited = 0.0
        self._request: MPI.Request = MPI.REQUEST_NULL
        self._words: NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._make_room(_FIRST_WORDS)

    def _make_room(self, words: int) -> None:
        self._out = np.zeros(words, np.uint32)
        self._in = np.zeros((self.size, words), np.uint32)

    def send(self, words: NDArray[np.uint32]) -> None:
        """Begin to send ``words``; see `Ranks`."""
        self._words = np.array(words)
        self._start()

    def _start(self) -> None:
        fits = min(self._words.size, self._out.size - 1)
        self._out[0] = self._words.size
        self._out[1 : 1 + fits] = self._words[:fits]
        try:
            self._request = self._comm.Iallgather(self._out, self._in)
        except self._mpi.Exception as error:
            raise _gone(str(error)) from None

    def receive(self) -> NDArray[np.uint32]:
        """Wait for what all sent; see `Ranks`."""
        start = time.perf_counter()
        self._wait(start)
        most = int(self._in[:, 0].max())
        if most >= self._out.size:
            self._make_room(1 << most.bit_length())
            self._start()
            self._wait(start)
        self.waited += time.perf_counter() - start
        return self._in

    def _wait(self, start: float) -> None:
        spins = 0
        try:
            while not self._request.Test():
                spins += 1
                if spins < _SPINS:
                    continue
                if time.perf_counter() - start > self._patience:
                    raise _gone(f"no word from one of them for {self._patience:g} s")
                time.sleep(_NAP)
        except self._mpi.Exception as error:
            raise _gone(str(error)) from None

    def all_of(self, values: NDArray[T]) -> list[NDArray[T]]:
        """The ``values`` of each rank; see `Ranks`."""
        own = np.ascontiguousarray(values).view(np.uint8)
        sizes = np.zeros(self.size, np.int64)
        try:
            self._comm.Allgather(np.array([own.size], np.int64), sizes)
            bytes_ = np.zeros(int(sizes.sum()), np.uint8)
            self._comm.Allgatherv(own, (bytes_, sizes))
        except self._mpi.Exception as error:
            raise _gone(str(error)) from None
        ends = np.cumsum(sizes)
        parts = [bytes_[b - n : b] for b, n in zip(ends, sizes, strict=True)]
        return [part.view(values.dtype) for part in parts]

    def abort(self) -> None:
        """End all of them; see `Ranks`."""
        self._comm.Abort(1)


def default_ranks() -> Ranks:
    """All processes that ``mpiexec`` started with this one, or this one alone.

    Raises:
        MissingExtraError: there are several, and mpi4py is not installed.
    """
    global _world
    if _world is None:
        sizes = [os.environ.get(name, "") for name in LAUNCHED]
        several = any(size.isdecimal() and int(size) > 1 for size in sizes)
        _world = World() if several else Alone()
    return _world


_world: Ranks | None = None


def _patience() -> float:
    text = os.environ.get(TIMEOUT, "")
    try:
        found = float(text) if text else _PATIENCE
    except ValueError:
        found = 0.0
    if not found > 0:
        raise SimulationError(f"expected {TIMEOUT} to be seconds above 0, found {text!r}")
    return found


def _gone(why: str) -> SimulationError:
    return SimulationError(f"expected all ranks to go on, found one gone: {why}")


def joined(ranks: Ranks, own: NDArray[T]) -> NDArray[T]:
    """What all ranks have of an array of neurons, in the order of neurons; collective."""
    return np.concatenate(ranks.all_of(own))


def gathered(ranks: Ranks, own: NDArray[T], neurons: NDArray[np.uint32], end: int) -> NDArray[T]:
    """Samples of all ranks, shape (steps, neurons), in the order of ``neurons``; collective.

    Args:
        ranks: where they are.
        own: of those of ``neurons`` that are this rank's, shape (steps, own).
        neurons: whose samples they are, in any order.
        end: the neuron after this rank's last one.
    """
    if ranks.size == 1:
        return own
    ends = np.concatenate(ranks.all_of(np.array([end])))
    parts = [part.reshape(len(own), -1) for part in ranks.all_of(own.ravel())]
    found = np.empty((len(own), neurons.size), own.dtype)
    found[:, np.argsort(np.searchsorted(ends, neurons, side="right"), kind="stable")] = (
        np.concatenate(parts, axis=1)
    )
    return found


def totals(ranks: Ranks, values: Sequence[int]) -> list[int]:
    """Sums over all ranks; collective."""
    found = np.sum(ranks.all_of(np.array(values, np.int64)), axis=0)
    return [int(each) for each in found]


def told(ranks: Ranks, text: str) -> list[str]:
    """What each rank says; collective."""
    said = ranks.all_of(np.frombuffer(text.encode(), np.uint8))
    return [each.tobytes().decode() for each in said]
