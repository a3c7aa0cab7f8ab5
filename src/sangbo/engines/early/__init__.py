"""The early engine: digit by digit, the highest first, as far as levels depend on them."""

from sangbo.engines.early import attention, linear
from sangbo.engines.early.engine import PLACES, Early
from sangbo.engines.early.record import Saved, Skips
from sangbo.engines.early.sums import Margin

__all__ = ["PLACES", "Early", "Margin", "Saved", "Skips", "attention", "linear"]
