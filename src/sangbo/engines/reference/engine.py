"""The reference engine itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sangbo.engines import numerics
from sangbo.engines.base import Array, Product, Segment
from sangbo.engines.reference.cache import ReferenceCache
from sangbo.engines.reference.state import State, evaluate, execute
from sangbo.errors import EngineError
from sangbo.graph import Graph
from sangbo.ledger import Ledger


class ArrayEngine:
    """What engines that walk a graph with NumPy share.

    Args:
        graph: what is run.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def cache(self, capacity: int) -> ReferenceCache:
        """An empty cache for one sequence of at most ``capacity`` rows."""
        return ReferenceCache(capacity, self.graph.axis)

    def ledger(self) -> Ledger:
        """An empty ledger."""
        return Ledger()


class LevelEngine(ArrayEngine):
    """One that runs complementary graphs only.

    Args:
        graph: a complementary graph.

    Raises:
        EngineError: where the graph is not complementary.
    """

    def __init__(self, graph: Graph) -> None:
        if not graph.complementary:
            raise EngineError(
                f"expected a complementary graph, found {graph.name!r} with synaptic operations "
                "on reals: convert it first"
            )
        super().__init__(graph)


class Reference(ArrayEngine):
    """Runs a graph with NumPy. See `sangbo.engines.base.Engine`.

    Args:
        graph: a float or a complementary graph.
        product: how levels meet integers; `sangbo.engines.sides.Split` really splits them between
            a spiking and a dense side. Every product gives the same sums.

    >>> import numpy as np
    >>> from sangbo.graph import Add, Graph, ValueType
    >>> graph = Graph("double", {"x": ValueType("real", ("rows", 2))}, (Add("y", "x", "x"),),
    ...               ("y",), {})
    >>> Reference(graph).run({"x": np.ones((1, 2), np.float32)}, [])["y"].tolist()
    [[2.0, 2.0]]
    """

    def __init__(self, graph: Graph, product: Product = numerics.integer_product) -> None:
        super().__init__(graph)
        self._product = product

    def run(
        self,
        inputs: Mapping[str, Array],
        segments: Sequence[Segment[ReferenceCache]],
        *,
        ledger: Ledger | None = None,
        keep: Sequence[str] = (),
    ) -> dict[str, Array]:
        """Evaluate the graph; ``keep`` names further values to return beside the outputs."""
        state = State(self.graph, dict(inputs), segments, ledger, self._product)
        return execute(state, evaluate, keep)
