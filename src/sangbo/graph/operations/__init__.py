"""The typed operations that a graph is made of.

Each is a frozen dataclass: fields name values, tensors and constants; the docstring holds the
equation; ``check`` returns the type of the result or raises `GraphError`. Arithmetic between
integers is exact; between reals it is float32 in the order that ``docs/exactness.md`` states, so
that every engine gives the same bits.
"""

from sangbo.graph.operations.base import LARGEST_LEVEL, Operation
from sangbo.graph.operations.convolution import Convolution, Pool, Window
from sangbo.graph.operations.layout import Concatenate, Constant, Reshape, Take, Transpose
from sangbo.graph.operations.products import Attention, Linear
from sangbo.graph.operations.recurrent import GATES, Cell, Recurrent
from sangbo.graph.operations.rows import (
    Activation,
    Add,
    Affine,
    Embedding,
    Multiply,
    Neuron,
    Norm,
    Rotary,
    Select,
    Softmax,
)

OPERATIONS: dict[str, type[Operation]] = {
    cls.__name__: cls
    for cls in (
        Embedding, Select, Linear, Convolution, Attention, Recurrent, Neuron, Norm, Activation,
        Affine, Softmax, Add, Multiply, Rotary, Pool, Reshape, Transpose, Take, Concatenate,
        Constant,
    )
}  # fmt: skip
"""Every operation that a graph may hold, by the name that `graph.json` uses."""

__all__ = [
    "GATES",
    "LARGEST_LEVEL",
    "OPERATIONS",
    "Activation",
    "Add",
    "Affine",
    "Attention",
    "Cell",
    "Concatenate",
    "Constant",
    "Convolution",
    "Embedding",
    "Linear",
    "Multiply",
    "Neuron",
    "Norm",
    "Operation",
    "Pool",
    "Recurrent",
    "Reshape",
    "Rotary",
    "Select",
    "Softmax",
    "Take",
    "Transpose",
    "Window",
]
