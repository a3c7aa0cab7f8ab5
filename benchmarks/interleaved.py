"""Engines that take turns, each in a process of its own that builds its network once."""

from __future__ import annotations

import multiprocessing
import statistics
import sys
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import Any

Serve = Callable[[str, str, Connection], None]
"""Builds a case with one engine, then calls `answer`; a function of the script itself."""


def answer(built: float, simulate: Callable[[float], Any], pipe: Connection) -> None:
    """Say how long building took, then what runs of the asked durations did, until the end."""
    pipe.send(built)
    while True:
        try:
            pipe.send(simulate(pipe.recv()))
        except EOFError:
            return


def take_turns(
    serve: Serve, case: str, names: Iterable[str], duration: float, rounds: int
) -> tuple[dict[str, float], dict[str, list[Any]]]:
    """How long each engine took to build ``case``, and what it did in each round."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    built: dict[str, float] = {}
    for name in names:
        print(f"building {case} with {name} …", file=sys.stderr)
        ours, theirs = context.Pipe()
        context.Process(target=serve, args=(case, name, theirs), daemon=True).start()
        theirs.close()
        pipes[name] = ours
        built[name] = ours.recv()
    runs: dict[str, list[Any]] = {name: [] for name in pipes}
    for _ in range(rounds):
        for name, pipe in pipes.items():
            pipe.send(duration)
            runs[name].append(pipe.recv())
    for pipe in pipes.values():
        pipe.close()
    return built, runs


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.3g} ({min(values):.3g}–{max(values):.3g})"
