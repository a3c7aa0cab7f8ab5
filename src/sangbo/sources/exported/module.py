"""Turns an exported PyTorch module into a float graph."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sangbo.errors import GraphError, SourceError, UnsupportedError
from sangbo.extras import need
from sangbo.graph import Embedding, Graph, ValueType
from sangbo.sources.exported import parts, recurrent, spatial  # noqa: F401 - they enter handlers
from sangbo.sources.exported.axes import Traced, batch_axis, plain
from sangbo.sources.exported.folding import fold
from sangbo.sources.exported.operations import HANDLERS
from sangbo.sources.exported.tracer import Tracer
from sangbo.sources.source import Source

if TYPE_CHECKING:
    import torch

SAMPLES = "samples"
_BATCH = 2
"""Samples that a module is traced with."""


def from_torch(
    module: torch.nn.Module,
    example_inputs: Sequence[torch.Tensor],
    *,
    name: str = "module",
    metadata: dict[str, Any] | None = None,
) -> Source:
    """The float graph of a PyTorch module.

    The module is traced by `torch.export` in evaluation mode. The first axis of every input is the
    batch, which stays free; all other sizes are those of the examples. Our values keep the channel
    last: an input (batch, channels, height, width) becomes ``samples``, height, width, channels.

    Args:
        module: any static module whose operators have a place in the graph.
        example_inputs: tensors as the module takes them; only shapes and types matter.
        name: of the network.
        metadata: facts about it.

    Raises:
        MissingExtraError: where PyTorch is not installed.
        UnsupportedError: where an operator has no place in the graph; the message names it and
            where in the module it stands. Nothing is skipped.
        SourceError: where the module cannot be exported.

    >>> import torch                                                         # doctest: +SKIP
    >>> from_torch(torch.nn.Linear(4, 2), [torch.zeros(1, 4)]).graph.outputs  # doctest: +SKIP
    ('linear',)
    """
    need("torch", "torch")
    import torch

    examples = tuple(_batch(t) for t in example_inputs)
    was_training = module.training
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the exporter does inside
            exported = torch.export.export(module.eval(), examples)
    except Exception as error:  # noqa: BLE001 - the exporter raises whatever the module does
        raise SourceError(
            f"expected torch.export to trace {type(module).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from None
    finally:
        module.train(was_training)
    net = Tracer()
    inputs, outputs = _trace(exported, net)
    operations, tensors = fold(net.operations, net.tensors, outputs)
    try:
        graph = Graph(name, inputs, operations, outputs, tensors, metadata or {})
        graph.check_finite()
    except GraphError as error:
        raise SourceError(f"{name}: {error}") from None
    origin = {"kind": "torch.export", "module": type(module).__qualname__,
              "torch": torch.__version__}  # fmt: skip
    return Source(graph, origin=origin)


def _batch(example: torch.Tensor) -> torch.Tensor:
    if example.ndim < 1 or example.shape[0] < 1:
        raise SourceError(f"expected an example with a batch, found shape {tuple(example.shape)}")
    return example[:1].expand(_BATCH, *example.shape[1:]).contiguous()


def _trace(
    exported: torch.export.ExportedProgram, net: Tracer
) -> tuple[dict[str, ValueType], tuple[str, ...]]:
    """Types of the inputs and names of the outputs; the operations are collected in ``net``."""
    signature = exported.graph_signature
    held: dict[str, Any] = {
        **{n: exported.state_dict[t] for n, t in signature.inputs_to_parameters.items()},
        **{
            n: exported.state_dict[t] if t in exported.state_dict else exported.constants[t]
            for n, t in signature.inputs_to_buffers.items()
        },
        **{
            n: exported.constants[t] for n, t in signature.inputs_to_lifted_tensor_constants.items()
        },
    }
    inputs: dict[str, ValueType] = {}
    found: dict[torch.fx.Node, Any] = {}
    for node in exported.graph.nodes:
        if node.op == "placeholder":
            if node.name in held:
                found[node] = held[node.name].detach()
            else:
                found[node] = _input(net, node, inputs)
        elif node.op == "output":
            outputs = [o for o in node.args[0] if o is not None]
            return inputs, tuple(_output(net, found[o]) for o in outputs)
        else:
            found[node] = _call(net, node, found)
    raise SourceError("expected an exported graph with an output, found none")


def _input(net: Tracer, node: torch.fx.Node, inputs: dict[str, ValueType]) -> Traced:
    value = node.meta["val"]
    shape = tuple(int(n) for n in value.shape)
    name = net.name(node.name)
    if not value.dtype.is_floating_point:
        inputs[name] = ValueType("index", (SAMPLES, *shape[1:]))
        return plain(name, shape)
    space = shape[2:]
    inputs[name] = ValueType("real", (SAMPLES, *space, *(shape[1:2] or (1,))))
    traced = plain(name, shape)
    if len(shape) > 2:
        return Traced(name, traced.axes, (traced.axes[0], *traced.axes[2:], traced.axes[1]))
    return traced if len(shape) == 2 else Traced(name, traced.axes, (*traced.axes, ()))


def _output(net: Tracer, value: Any) -> str:
    if not isinstance(value, Traced):
        raise UnsupportedError("expected outputs that depend on the input, found a constant")
    whole = net.padded(value)
    batch, count = batch_axis(whole), len(whole.axes)
    if count > 2:
        return net.channel_last(whole, 1)[0]
    return net.arrange(whole, [[batch], [i for i in range(count) if i != batch]])


def _call(net: Tracer, node: torch.fx.Node, found: dict[torch.fx.Node, Any]) -> Any:
    """The result of one operator: computed at once where all it reads is constant."""
    import torch

    args = torch.fx.node.map_arg(node.args, lambda n: found[n])
    kwargs = torch.fx.node.map_arg(node.kwargs, lambda n: found[n])
    leaves = torch.utils._pytree.tree_leaves((args, kwargs))
    if not any(isinstance(leaf, Traced) for leaf in leaves):
        target: Any = node.target
        return target(*args, **kwargs)
    if node.target is operator.getitem:
        return args[0][args[1]]
    schema = str(node.target)
    if schema.startswith("aten.embedding"):
        return _embedding(net, _name_of(node), args[0], args[1])
    handler = HANDLERS.get(schema.removeprefix("aten."))
    if handler is None:
        raise UnsupportedError(f"no operation is known for {schema} in {_place(node)}")
    try:
        return handler(net, _name_of(node), *args, **kwargs)
    except UnsupportedError as error:
        raise UnsupportedError(f"{schema} in {_place(node)}: {error}") from None


def _embedding(net: Tracer, name: str, table: Any, index: Traced) -> Traced:
    from sangbo.sources.exported.axes import atom

    output = net.add(Embedding(net.name(name), index.name, net.weight(name, table)))
    width = (atom(table.shape[1]),)
    return Traced(output, (*index.axes, width), (*index.held, width))


def _place(node: torch.fx.Node) -> str:
    """Where in the module an operator stands."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]) if stack and stack[-1][0] else "the module itself"


def _name_of(node: torch.fx.Node) -> str:
    """The submodule's name for an operator that has tensors of its own, else the operator's."""
    place = _place(node)
    owns = any(
        getattr(a, "op", None) == "placeholder" and a.name.startswith(("p_", "b_"))
        for a in node.all_input_nodes
    )
    return place.removeprefix("L__self___") if owns and place != "the module itself" else node.name
