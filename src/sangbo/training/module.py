"""A graph as a PyTorch module, with straight-through gradients where it rounds.

A float graph computes what it always does. A complementary graph sends levels as floats that hold
integers: rounding and clamping pass gradients as if they were not there, inside their range
(Bengio, Léonard and Courville 2013, arXiv 1308.3432), for neurons and for weights on their grids.
So the network can be fine-tuned as it will run, and `Trainable.graph` is the graph of what was
learned.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sangbo.engines.reference import weight_integers
from sangbo.errors import SangboError
from sangbo.graph import Graph, Neuron, Weight
from sangbo.training.operations import State, apply


class Trainable(nn.Module):
    """Runs a graph with PyTorch; all rows of an input with two axes are one whole sequence.

    Args:
        graph: a float or a complementary graph.

    >>> import numpy as np, torch
    >>> from sangbo.graph import Add, Graph, ValueType
    >>> graph = Graph("double", {"x": ValueType("real", ("samples", 2))}, (Add("y", "x", "x"),),
    ...               ("y",), {})
    >>> Trainable(graph)(torch.ones(1, 2)).tolist()
    [[2.0, 2.0]]
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph
        self._names: dict[str, str] = {}
        self._grids: dict[str, Weight] = {}
        weights = {w.values: w for o in graph.operations for w in o.weights()}
        inverses = {o.inverse: o for o in graph.operations if isinstance(o, Neuron)}
        learned = {n for o in graph.operations for n in o.learned()}
        learned |= {o.threshold for o in inverses.values()}
        for name, weight in weights.items():
            matrix = graph.tensors[name] if weight.bits == 32 else _reals(weight, graph)
            self._keep(name, matrix, trained=True)
            if weight.bits < 32:
                self._grids[name] = weight
        grids = {n for w in weights.values() for n in w.tensors()}
        for operation in graph.operations:
            for name in operation.parameters():
                if name not in grids and name not in self._names:
                    self._keep(name, graph.tensors[name], trained=name in learned)
        for name in grids - weights.keys():
            self._keep(name, graph.tensors[name], trained=False)

    def _keep(self, name: str, values: Any, *, trained: bool) -> None:
        held = torch.from_numpy(np.array(values, np.float32))
        attribute = f"t{len(self._names)}"
        self._names[name] = attribute
        if trained:
            self.register_parameter(attribute, nn.Parameter(held))
        else:
            self.register_buffer(attribute, held, persistent=False)

    def tensor(self, name: str) -> Tensor:
        """The current values of a tensor of the graph: weights on a grid as reals on it."""
        held: Tensor = getattr(self, self._names[name])
        return _on_grid(held, self._grids[name], self) if name in self._grids else held

    def forward(self, *given: Tensor) -> Any:
        """The graph's outputs, one tensor or several.

        Args:
            given: one tensor per input of the graph, in its order and layout (channel last).
        """
        if len(given) != len(self._graph.inputs):
            raise SangboError(
                f"expected {len(self._graph.inputs)} inputs {list(self._graph.inputs)}, "
                f"found {len(given)}"
            )
        state = State(self._graph, dict(zip(self._graph.inputs, given, strict=True)), self.tensor)
        for operation in self._graph.operations:
            state.values[operation.output] = apply(operation, state)
        outputs = tuple(state.values[n] for n in self._graph.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def graph(self) -> Graph:
        """The graph with the tensors as they are now: weights rounded to their grids."""
        tensors = dict(self._graph.tensors)
        for name, attribute in self._names.items():
            held = getattr(self, attribute).detach().cpu().numpy().astype(np.float32)
            if name in self._grids:
                tensors[name] = _integers(held, self._grids[name], self._graph)
            elif tensors[name].dtype == np.float32:
                tensors[name] = held.reshape(tensors[name].shape)
        for operation in self._graph.operations:
            if isinstance(operation, Neuron) and tensors[operation.inverse].shape == ():
                theta = np.float32(tensors[operation.threshold])
                if not theta > 0:
                    raise SangboError(
                        f"expected a positive threshold of {operation.output!r} after training, "
                        f"found {theta}"
                    )
                tensors[operation.inverse] = np.array(np.float32(1) / theta, np.float32)
        return replace(self._graph, tensors=tensors)


def to_torch(graph: Graph) -> Trainable:
    """The graph as a PyTorch module; see `Trainable`."""
    return Trainable(graph)


def _reals(weight: Weight, graph: Graph) -> Any:
    scale = graph.tensors[str(weight.scale)].astype(np.float32)
    q = weight_integers(weight, graph).reshape(*scale.shape, weight.group).astype(np.float32)
    values = q * scale[..., None]
    if weight.minimum is not None:
        values = values + graph.tensors[weight.minimum].astype(np.float32)[..., None]
    return values.reshape(len(scale), -1)


def _limits(weight: Weight) -> tuple[int, int]:
    return (0, 15) if weight.bits == 4 else (-127, 127)


def _on_grid(held: Tensor, weight: Weight, module: Trainable) -> Tensor:
    scale = module.tensor(str(weight.scale))[..., None]
    minimum = 0 if weight.minimum is None else module.tensor(weight.minimum)[..., None]
    grouped = held.reshape(*scale.shape[:2], weight.group)
    steps = (grouped - minimum) / scale
    rounded = torch.round(steps).clamp(*_limits(weight)) * scale + minimum
    return (grouped + (rounded - grouped).detach()).reshape(held.shape)


def _integers(held: Any, weight: Weight, graph: Graph) -> Any:
    scale = graph.tensors[str(weight.scale)].astype(np.float32)
    grouped = held.reshape(*scale.shape, weight.group)
    if weight.minimum is not None:
        grouped = grouped - graph.tensors[weight.minimum].astype(np.float32)[..., None]
    q = np.clip(np.rint(grouped / scale[..., None]), *_limits(weight)).reshape(held.shape)
    if weight.bits == 8:
        return q.astype(np.int8)
    packed = q.astype(np.uint8)
    return packed[:, 0::2] | (packed[:, 1::2] << 4)
