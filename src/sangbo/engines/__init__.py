"""Three engines that must agree: reference (NumPy), temporal (spike by spike), native (C++)."""

from sangbo.engines.base import Cache, Engine, Segment
from sangbo.engines.native import Native
from sangbo.engines.reference import Reference
from sangbo.engines.temporal import Temporal

__all__ = ["Cache", "Engine", "Native", "Reference", "Segment", "Temporal"]
