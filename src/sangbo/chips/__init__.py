"""Chips: what they state, and what they make of a ledger."""

from sangbo.chips.chip import Chip, MemoryLevel, Quantity
from sangbo.chips.loading import load, names
from sangbo.chips.mapping import Access, accesses
from sangbo.chips.price import Baseline, Energy, Events, Price
from sangbo.chips.pricing import break_even, price
from sangbo.chips.splits import Prediction, SplitPrice, compare_splits
from sangbo.chips.verdict import verdict

__all__ = [
    "Access",
    "Baseline",
    "Chip",
    "Energy",
    "Events",
    "MemoryLevel",
    "Prediction",
    "Price",
    "Quantity",
    "SplitPrice",
    "accesses",
    "break_even",
    "compare_splits",
    "load",
    "names",
    "price",
    "verdict",
]
