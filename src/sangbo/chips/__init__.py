"""Chips: what they state, and what they make of a ledger."""

from sangbo.chips.break_even import break_even
from sangbo.chips.chip import Chip, MemoryLevel, Quantity
from sangbo.chips.loading import load, names
from sangbo.chips.memory import Access, Moved, moved
from sangbo.chips.price import Baseline, Energy, Events, Price, Timing
from sangbo.chips.pricing import price, price_all
from sangbo.chips.splits import Prediction, SplitPrice, compare_splits
from sangbo.chips.verdict import verdict

__all__ = [
    "Access",
    "Baseline",
    "Chip",
    "Energy",
    "Events",
    "MemoryLevel",
    "Moved",
    "Prediction",
    "Price",
    "Quantity",
    "SplitPrice",
    "Timing",
    "break_even",
    "compare_splits",
    "load",
    "moved",
    "names",
    "price",
    "price_all",
    "verdict",
]
