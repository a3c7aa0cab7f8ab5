"""The reference engine: NumPy, readable, the oracle of the others.

It runs float graphs (the original network) and complementary graphs (int32 accumulators). Each
module but `engine`, `state`, `cache` and `weights` holds the operations of one kind.
"""

from sangbo.engines.reference import attention, convolution, layout, linear, recurrent, rows
from sangbo.engines.reference.cache import ReferenceCache
from sangbo.engines.reference.engine import LevelEngine, Reference
from sangbo.engines.reference.state import State, evaluate, execute
from sangbo.engines.reference.weights import dequantise, largest_integer, settle, weight_integers

__all__ = [
    "LevelEngine",
    "Reference",
    "ReferenceCache",
    "State",
    "attention",
    "convolution",
    "dequantise",
    "evaluate",
    "execute",
    "largest_integer",
    "layout",
    "linear",
    "recurrent",
    "rows",
    "settle",
    "weight_integers",
]
