"""Does this table need deep learning? Everything tried honestly, the cheapest good one advised."""

from sangbo.advise._requires import EXTRA as EXTRA
from sangbo.advise.advisor import Advisor

__all__ = ["Advisor"]
