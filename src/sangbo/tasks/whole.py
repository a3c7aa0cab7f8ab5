"""What most tasks of whole readings share; each overrides what it knows better."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sangbo.engines.base import Array
from sangbo.engines.reading import Part, Reading
from sangbo.errors import ConversionError
from sangbo.graph import Embedding, Graph
from sangbo.progress import Progress
from sangbo.sources import Source
from sangbo.tasks.likelihood import Categorical, Likelihood
from sangbo.tasks.task import BEARS, DOUBT, Amount, Draft

SKETCH_ROWS = 16


class WholeTask:
    """A task whose readings are whole: pictures, recordings, texts. See `sangbo.tasks.task.Task`.

    Attributes:
        name: of the task.
        inputs: that a graph made for it takes, all or some.
    """

    name: ClassVar[str]
    inputs: ClassVar[frozenset[str]] = frozenset()
    writes: ClassVar[bool] = True
    bears: ClassVar[float] = BEARS

    def check(self, graph: Graph) -> None:
        """Raise `ConversionError` unless ``graph`` takes the task's inputs and no others."""
        if self.inputs and not (graph.inputs.keys() <= self.inputs):
            raise ConversionError(
                f"expected a network made to {self.name}, with inputs among "
                f"{sorted(self.inputs)}, found {sorted(graph.inputs)}"
            )

    def output(self, graph: Graph) -> str:
        """The first output."""
        return graph.outputs[0]

    def likelihood(self, graph: Graph) -> Likelihood:
        """Logits of classes, of which a network may be surer than it is right."""
        return Categorical(DOUBT)

    def sketch(self, graph: Graph, seed: int) -> Reading:
        """Normal numbers and random indices: one sample, or a few rows of one sequence."""
        generator = np.random.default_rng(seed)
        tables = {
            o.input: graph.tensors[o.weight.values].shape[0]
            for o in graph.operations
            if isinstance(o, Embedding)
        }
        inputs, others, rows = dict[str, Array](), dict[str, int](), 0
        for name, kind in graph.inputs.items():
            count = 1 if len(kind.shape) > 2 or kind.shape[0] == "samples" else SKETCH_ROWS
            shape = (count, *(d for d in kind.shape[1:] if isinstance(d, int)))
            if kind.shape[0] == graph.axis:
                rows = count
            elif name != "selected":
                others[str(kind.shape[0])] = count
            if kind.kind == "real":
                inputs[name] = generator.standard_normal(shape).astype(np.float32)
            elif name.endswith(("positions", "selected")):
                inputs[name] = np.arange(count, dtype=np.int32)
            else:
                inputs[name] = generator.integers(0, tables.get(name, 1), shape).astype(np.int32)
        parts = (Part(rows, others),) if graph.axis == "rows" else ()
        return Reading(inputs, parts)

    def written(
        self, source: Source, amount: Amount, count: int, draft: Draft, progress: Progress
    ) -> list[Reading]:
        """Nothing here: raises `ConversionError`."""
        raise ConversionError(
            f"expected readings to calibrate {source.graph.name} with, found none"
        )

    def given(self, source: Source, text: str, amount: Amount) -> list[Reading]:
        """Nothing here: raises `ConversionError`."""
        raise ConversionError(
            f"expected no text to calibrate {source.graph.name} with, made to {self.name}: "
            "it reads none"
        )
