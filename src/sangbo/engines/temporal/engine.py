"""The temporal engine itself, and when its layers fire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sangbo.engines.activity import Activity
from sangbo.engines.base import Array, Segment
from sangbo.engines.firing import Coding
from sangbo.engines.reference import LevelEngine, ReferenceCache, execute
from sangbo.engines.temporal.state import Firing, evaluate
from sangbo.errors import EngineError
from sangbo.graph import Attention, Graph, Linear, Neuron, Recurrent
from sangbo.ledger import Ledger


class Temporal(LevelEngine):
    """Runs a complementary graph spike by spike. See `sangbo.engines.base.Engine`.

    Args:
        graph: a complementary graph.
        code: name of the spike code.
        steps: time steps of every neuron layer, and
        largest_spiking: largest level that spikes; see `sangbo.engines.firing.Coding`.

    Raises:
        EngineError: where the graph is not complementary or the steps are too few.
        CodeError: where there is no such code.
    """

    def __init__(
        self,
        graph: Graph,
        code: str = "csd",
        *,
        steps: int | None = None,
        largest_spiking: int | None = None,
    ) -> None:
        super().__init__(graph)
        self.coding = Coding.of(code, steps, largest_spiking)

    def run(
        self,
        inputs: Mapping[str, Array],
        segments: Sequence[Segment[ReferenceCache]],
        *,
        ledger: Ledger | None = None,
        activity: Activity | None = None,
        keep: Sequence[str] = (),
    ) -> dict[str, Array]:
        """Evaluate the graph; see `sangbo.engines.base.Engine.run`.

        Args:
            inputs: one array per input of the graph.
            segments: which rows belong to which sequence.
            ledger: where levels are counted; nothing is counted without one.
            activity: where every step's spikes are counted, and watched operations recorded.
            keep: names of further values to return beside the outputs.

        Raises:
            EngineError: as any engine; also where a level does not fit the time steps, or what is
                watched is too large or no linear operation.
        """
        if activity is not None:
            linear = {o.output for o in self.graph.operations if isinstance(o, Linear)}
            unknown = [n for n in activity.watched if n not in linear]
            if unknown:
                raise EngineError(f"expected linear operations to watch, found {unknown}")
        state = Firing(
            self.graph, dict(inputs), segments, ledger, coding=self.coding, activity=activity
        )
        return execute(state, evaluate, keep)

    @property
    def steps(self) -> dict[str, int]:
        """Time steps T of every neuron layer.

        ``NAME.probability`` are those of attention, ``NAME.state`` of recurrent cells, row by row.
        """
        found = {}
        for operation in self.graph.operations:
            if isinstance(operation, Neuron):
                found[operation.output] = self.coding.steps_of(operation.lowest, operation.highest)
            elif isinstance(operation, Attention):
                name = f"{operation.output}.probability"
                found[name] = self.coding.steps_of(0, operation.highest)
            elif isinstance(operation, Recurrent) and operation.threshold is not None:
                name = f"{operation.output}.state"
                found[name] = self.coding.steps_of(operation.lowest, operation.highest)
        return found


def timeline(graph: Graph, steps: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """When each neuron layer begins to fire, and when the outputs are ready, in time steps.

    A layer begins once all that it depends on has settled; layers that do not depend on each other
    fire at once. So the outputs take the longest way through the layers. Recurrent cells are taken
    as having one row.

    Args:
        graph: a complementary graph.
        steps: time steps of every neuron layer, as `Temporal.steps`.
    """
    ready = dict.fromkeys(graph.inputs, 0)
    begins = {}
    for operation in graph.operations:
        after = max((ready[n] for n in operation.inputs()), default=0)
        layer = operation.output
        if isinstance(operation, Attention):
            layer = f"{operation.output}.probability"
        elif isinstance(operation, Recurrent):
            layer = f"{operation.output}.state"
        if layer in steps:
            begins[layer] = after
            after += steps[layer]
        ready[operation.output] = after
    return begins, max(ready[n] for n in graph.outputs)
