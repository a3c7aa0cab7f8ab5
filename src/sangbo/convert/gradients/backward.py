"""One pass backwards through a float graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import singledispatch

from sangbo.engines.base import Array, Real
from sangbo.errors import UnsupportedError
from sangbo.graph import Graph, Operation


def backward(
    graph: Graph, values: Mapping[str, Array], output: str, seed: Real, wanted: Collection[str]
) -> dict[str, Real]:
    """Gradients of Σ seed·values[output] with respect to the values named in ``wanted``.

    Args:
        graph: a float graph; one sequence, or whole samples, ran through it from empty caches.
        values: every value of that run.
        output: the value whose gradient is ``seed``.
        seed: same shape as the output.
        wanted: names of values, or ``NAME.probability`` for the unnormalised probabilities
            e = exp(s − max s) of attention ``NAME``, or ``NAME.state`` for what cells ``NAME`` send
            through their weights; see `inner`.

    Raises:
        UnsupportedError: where an operation has no gradient here.
    """
    gradients: dict[str, Real] = {output: seed}
    found: dict[str, Real] = {}
    for operation in reversed(graph.operations):
        gradient = gradients.pop(operation.output, None)
        if gradient is None:
            continue
        if operation.output in wanted:
            found[operation.output] = gradient
        for name, part in vjp(operation, graph, values, gradient).items():
            if name not in graph.values:
                if name in wanted:
                    found[name] = part
                continue
            gradients[name] = gradients[name] + part if name in gradients else part
    found.update({n: g for n, g in gradients.items() if n in wanted})
    return found


@singledispatch
def inner(operation: Operation, graph: Graph, values: Mapping[str, Array]) -> dict[str, Real]:
    """What a float ``operation`` would turn into levels within itself, by name; mostly nothing.

    ``NAME.probability``: e = exp(s − max s) of attention, (samples, heads, rows, keys), 0 where
    hidden; one sample where values have two axes. ``NAME.state``: the state before each row of
    recurrent cells, of the shape of their result.
    """
    return {}


@singledispatch
def vjp(
    operation: Operation, graph: Graph, values: Mapping[str, Array], gradient: Real
) -> dict[str, Real]:
    """Gradient for each real input of ``operation``, given the gradient of its output.

    Beside them, under the names that `inner` uses, the gradients for those values.
    """
    raise UnsupportedError(f"no gradient is known for a {type(operation).__name__} operation")
