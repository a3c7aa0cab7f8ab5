"""Chips: what they state, and what they make of a ledger."""

from sangbo.chips.chip import Chip, MemoryLevel, Quantity
from sangbo.chips.loading import load, names

__all__ = ["Chip", "MemoryLevel", "Quantity", "load", "names"]
