"""What an operation sees while a graph runs digit by digit, and which sums may stop early."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np

from sangbo.codes import Code
from sangbo.engines import reference
from sangbo.engines.base import Array, Real
from sangbo.engines.early.record import Saved
from sangbo.engines.early.sums import Margin, Norms
from sangbo.engines.reference import State
from sangbo.graph import Activation, Graph, Linear, Multiply, Neuron, Operation


@dataclass(frozen=True, slots=True)
class Gated:
    """Two sums whose product, one of them through an activation, a neuron takes."""

    gate: Linear
    activation: Activation
    up: Linear
    neuron: Neuron


@dataclass(frozen=True, slots=True)
class Plan:
    """Which sums of a graph may stop before their last digit, by the name of the operation.

    Attributes:
        gates: sums that are negligible where an activation shuts them, whatever the other is.
        ups: the other sums, which matter by the size of the activation.
        direct: sums that a neuron takes as they are.
        heads: sums of which only the largest is wanted.
    """

    gates: dict[str, Gated]
    ups: dict[str, Gated]
    direct: dict[str, Neuron]
    heads: frozenset[str]

    @classmethod
    def of(cls, graph: Graph) -> Plan:
        """The plan of a complementary graph."""
        by_output = {o.output: o for o in graph.operations}
        uses = Counter(n for o in graph.operations for n in o.inputs())
        uses.update(graph.outputs)

        def sole(name: str) -> Linear | None:
            found = by_output.get(name)
            plain = isinstance(found, Linear) and found.gate is None and uses[name] == 1
            return found if plain and isinstance(found, Linear) else None

        plan = cls({}, {}, {}, frozenset(n for n in graph.outputs if sole(n) is not None))
        for neuron in graph.operations:
            if not isinstance(neuron, Neuron):
                continue
            taken = by_output.get(neuron.input)
            if sole(neuron.input) is not None:
                plan.direct[neuron.input] = neuron
            elif isinstance(taken, Multiply) and uses[taken.output] == 1:
                for inner, other in ((taken.left, taken.right), (taken.right, taken.left)):
                    activation, up = by_output.get(inner), sole(other)
                    if isinstance(activation, Activation) and uses[inner] == 1 and up is not None:
                        gate = sole(activation.input)
                        if gate is not None and gate.input == up.input:
                            found = Gated(gate, activation, up, neuron)
                            plan.gates[gate.output] = plan.ups[up.output] = found
        return plan


@dataclass
class Growing(State):
    """What an operation sees while a graph runs: beside all levels, how sums may stop."""

    code: Code = field(kw_only=True)
    margin: Margin = field(kw_only=True)
    head_margin: Margin = field(kw_only=True)
    plan: Plan = field(kw_only=True)
    saved: Saved = field(kw_only=True)
    weights: Callable[[Linear], tuple[Real, Norms]] = field(kw_only=True)
    whole_logits: bool = field(kw_only=True)
    gates: dict[str, tuple[Real, Real, Array]] = field(default_factory=dict)
    """By the other factor: the gate's sums as they stopped, whole, and which are shut."""


@singledispatch
def evaluate(operation: Operation, state: Growing) -> Array:
    """The result of ``operation``; what cannot stop early is left to the reference engine."""
    return reference.evaluate(operation, state)


def spikes(levels: Array, code: Code) -> int:
    """How many spikes ``levels`` are."""
    return int(code.spikes(levels.astype(np.int64)).sum())
