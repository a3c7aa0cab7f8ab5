"""What an operation sees while a graph runs, and the loop over a graph's operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import TypeVar

import numpy as np

from sangbo.engines import numerics
from sangbo.engines.base import Array, Product, Segment, check_segments
from sangbo.engines.counting import count_tallies
from sangbo.engines.reference.cache import ReferenceCache
from sangbo.errors import EngineError, GraphError, UnsupportedError
from sangbo.graph import Dimension, Graph, Linear, Operation
from sangbo.ledger import Ledger


@dataclass
class State:
    """What an operation sees while a graph runs."""

    graph: Graph
    values: dict[str, Array]
    segments: Sequence[Segment[ReferenceCache]]
    ledger: Ledger | None
    product: Product = numerics.integer_product
    sizes: Mapping[Dimension, int] = field(default_factory=dict)

    def tensor(self, name: str) -> Array:
        """A tensor of the graph."""
        return self.graph.tensors[name]

    def threshold(self, value: str) -> np.float32 | None:
        """θ of a value that holds levels, None of a real one."""
        name = self.graph.values[value].threshold
        return None if name is None else np.float32(self.tensor(name)[()])

    def forget(self, name: str) -> None:
        """Let go of a value that no later operation reads."""
        self.values.pop(name, None)


S = TypeVar("S", bound=State)


def execute(
    state: S, evaluate: Callable[[Operation, S], Array], keep: Sequence[str]
) -> dict[str, Array]:
    """Run all operations in order; return the graph's outputs and ``keep``."""
    graph = state.graph
    try:
        state.sizes = graph.check_inputs(state.values)
    except GraphError as error:
        raise EngineError(str(error)) from None
    for name, kind in graph.inputs.items():
        if kind.kind == "real":
            state.values[name] = np.asarray(state.values[name], np.float32)
    if state.segments:
        check_segments(state.sizes, graph.axis, state.segments)
    wanted = frozenset(graph.outputs) | frozenset(keep)
    tallied = state.ledger is not None and state.ledger.tallies is not None
    gates = {o.gate for o in graph.operations if isinstance(o, Linear)} if tallied else set()
    last_use = {name: step for step, o in enumerate(graph.operations) for name in o.inputs()}
    with np.errstate(over="ignore", invalid="ignore", under="ignore", divide="ignore"):
        for step, operation in enumerate(graph.operations):
            state.values[operation.output] = evaluate(operation, state)
            for name in dict.fromkeys(operation.inputs()):
                if last_use[name] > step:
                    continue
                if state.ledger is not None and graph.values[name].kind == "levels":
                    count_tallies(name, state, state.ledger)
                if name not in wanted and name not in gates:
                    state.forget(name)
    for segment in state.segments:
        segment.cache.advance({graph.axis: segment.rows})
        segment.cache.advance(segment.others)
    if state.ledger is not None:
        state.ledger.samples += state.sizes[graph.axis]
    return {name: state.values[name] for name in wanted}


@singledispatch
def evaluate(operation: Operation, state: State) -> Array:
    """The result of ``operation``; one function per type of operation, in the other modules."""
    raise UnsupportedError(f"the reference engine has no {type(operation).__name__} operation")
