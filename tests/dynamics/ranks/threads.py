"""Ranks that are threads of this process: what MPI does, where there is none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
PATIENCE = 60.0  # seconds


class _Meeting:
    def __init__(self, size: int) -> None:
        self.all: list[Any] = [None] * size
        self.barrier = threading.Barrier(size, timeout=PATIENCE)


class Thread:
    """One of them."""

    def __init__(self, rank: int, size: int, meeting: _Meeting, spikes: _Meeting) -> None:
        self.rank, self.size, self.local, self.waited = rank, size, size, 0.0
        self._meeting, self._spikes = meeting, spikes
        self._words = np.zeros(0, np.uint32)

    def _met(self, meeting: _Meeting, value: T) -> list[T]:
        meeting.all[self.rank] = value
        meeting.barrier.wait()
        found = list(meeting.all)
        meeting.barrier.wait()
        return found

    def send(self, words: np.ndarray[Any, Any]) -> None:
        self._words = np.array(words)

    def receive(self) -> np.ndarray[Any, Any]:
        every = self._met(self._spikes, self._words)
        rows = np.zeros((self.size, 1 + max(each.size for each in every)), np.uint32)
        for row, words in zip(rows, every, strict=True):
            row[0], row[1 : 1 + words.size] = words.size, words
        return rows

    def all_of(self, values: np.ndarray[Any, Any]) -> list[Any]:
        return self._met(self._meeting, np.array(values))

    def abort(self) -> None:
        self._meeting.barrier.abort()
        self._spikes.barrier.abort()


def run(size: int, work: Callable[[Any], T]) -> list[T]:
    """What ``work`` returns of each of ``size`` ranks."""
    meeting, spikes = _Meeting(size), _Meeting(size)
    ranks = [Thread(rank, size, meeting, spikes) for rank in range(size)]

    def one(rank: Thread) -> T:
        try:
            return work(rank)
        except BaseException:
            rank.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(one, ranks))
