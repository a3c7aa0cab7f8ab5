"""The network as typed operations on named values: checked, saved, loaded, printed."""

from sangbo.graph.graph import Graph
from sangbo.graph.operations import (
    LARGEST_LEVEL,
    OPERATIONS,
    Activation,
    Add,
    Attention,
    Embedding,
    Linear,
    Multiply,
    Neuron,
    Norm,
    Operation,
    Rotary,
    Select,
)
from sangbo.graph.scope import Scope
from sangbo.graph.storage import GRAPH_FILE, WEIGHTS_FILE, load, map_tensors, save
from sangbo.graph.types import TensorType, ValueType
from sangbo.graph.weight import Weight

__all__ = [
    "GRAPH_FILE",
    "LARGEST_LEVEL",
    "OPERATIONS",
    "WEIGHTS_FILE",
    "Activation",
    "Add",
    "Attention",
    "Embedding",
    "Graph",
    "Linear",
    "Multiply",
    "Neuron",
    "Norm",
    "Operation",
    "Rotary",
    "Scope",
    "Select",
    "TensorType",
    "ValueType",
    "Weight",
    "load",
    "map_tensors",
    "save",
]
