"""What a conversion asks of what people do with a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from sangbo.engines.base import Engine
from sangbo.engines.reading import Reading
from sangbo.errors import ConversionError
from sangbo.graph import Graph
from sangbo.progress import Progress
from sangbo.sources import Source
from sangbo.tasks.likelihood import Categorical, Likelihood

DOUBT = 0.02
"""Share of answers of which a network must be thought unsure: one that answers what it has learnt
by heart shows no gradients there, and 0 gave thresholds much too coarse."""

Draft: TypeAlias = Callable[[], Engine[Any]]
"""Makes an engine that runs a network well enough to write with, before it is converted."""


BEARS = 0.0015
"""Relative rise of perplexity that encoding may add, where the task says nothing of its own."""


class Amount(Protocol):
    """How much to read; the settings of a conversion say it."""

    @property
    def sequences(self) -> int:
        """How many readings."""

    @property
    def length(self) -> int:
        """Rows of each, where that can be chosen."""

    @property
    def seed(self) -> int:
        """Of what is drawn."""


class Task(Protocol):
    """One thing that people do with networks. A new task is one module and one entry in `TASKS`."""

    @property
    def name(self) -> str:
        """As ``graph.metadata["task"]`` has it."""

    @property
    def writes(self) -> bool:
        """Whether a network makes its own readings, from no data."""

    @property
    def bears(self) -> float:
        """Relative rise of perplexity that encoding may add unless a conversion is told more."""

    def check(self, graph: Graph) -> None:
        """Raise `ConversionError` where ``graph`` is not made for this task."""

    def output(self, graph: Graph) -> str:
        """The value that the task is about."""

    def likelihood(self, graph: Graph) -> Likelihood:
        """What that value says."""

    def sketch(self, graph: Graph, seed: int) -> Reading:
        """A reading of random inputs, which shows ranges where there is nothing better yet."""

    def written(
        self, source: Source, amount: Amount, count: int, draft: Draft, progress: Progress
    ) -> list[Reading]:
        """``count`` readings that the network makes itself."""

    def given(self, source: Source, text: str, amount: Amount) -> list[Reading]:
        """Readings of a text that the user gives."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A task of which nothing is known but a likelihood: readings are always given.

    Attributes:
        name: of the task.
        meaning: what the first output says.
    """

    name: str = "plain"
    meaning: Likelihood = Categorical(DOUBT)  # noqa: RUF009 - frozen

    @property
    def writes(self) -> bool:
        """It does not."""
        return False

    @property
    def bears(self) -> float:
        """As much as most."""
        return BEARS

    def check(self, graph: Graph) -> None:
        """Any graph will do."""

    def output(self, graph: Graph) -> str:
        """The first output."""
        return graph.outputs[0]

    def likelihood(self, graph: Graph) -> Likelihood:
        """The one that was given."""
        return self.meaning

    def sketch(self, graph: Graph, seed: int) -> Reading:
        """Normal numbers, and random rows of tables, for one sample."""
        generator = np.random.default_rng(seed)
        inputs = {}
        for name, kind in graph.inputs.items():
            shape = tuple(d if isinstance(d, int) else 1 for d in kind.shape)
            drawn = generator.standard_normal(shape)
            inputs[name] = drawn.astype(np.float32 if kind.kind == "real" else np.int32)
        return Reading(inputs)

    def written(
        self, source: Source, amount: Amount, count: int, draft: Draft, progress: Progress
    ) -> list[Reading]:
        """Nothing: raises `ConversionError`."""
        raise _needs_data(source)

    def given(self, source: Source, text: str, amount: Amount) -> list[Reading]:
        """Nothing: raises `ConversionError`."""
        raise _needs_data(source)


def _needs_data(source: Source) -> ConversionError:
    return ConversionError(
        f"expected readings to calibrate {source.graph.name} with, found none: it cannot make its "
        "own"
    )


def kept_apart(readings: Sequence[Reading], most: int) -> tuple[list[Reading], list[Reading]]:
    """Given readings to calibrate on, and a quarter of them, ``most`` at most, to measure on."""
    if len(readings) < 2:
        raise ConversionError(
            f"expected at least two readings, one to measure on, found {len(readings)}"
        )
    apart = min(most, max(1, len(readings) // 4))
    return list(readings[:-apart]), list(readings[-apart:])
