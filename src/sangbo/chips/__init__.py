"""Chips: what they state, and what they make of a ledger."""

from sangbo.chips.break_even import LayerBreakEven, break_even, layer_break_evens
from sangbo.chips.chip import Chip, MemoryLevel, Quantity
from sangbo.chips.fit import Breach, Fit, Layer, fit, layers_of
from sangbo.chips.loading import load, names
from sangbo.chips.memory import Access, Moved, moved
from sangbo.chips.price import Baseline, Energy, Events, Price, Timing
from sangbo.chips.pricing import price, price_all
from sangbo.chips.published import Threshold, thresholds
from sangbo.chips.shapes import nests_of, weighted
from sangbo.chips.sides import SidePrices, side_prices
from sangbo.chips.splits import Prediction, SplitPrice, compare_splits
from sangbo.chips.verdict import verdict

__all__ = [
    "Access",
    "Baseline",
    "Breach",
    "Chip",
    "Energy",
    "Events",
    "Fit",
    "Layer",
    "LayerBreakEven",
    "MemoryLevel",
    "Moved",
    "Prediction",
    "Price",
    "Quantity",
    "SidePrices",
    "SplitPrice",
    "Threshold",
    "Timing",
    "break_even",
    "compare_splits",
    "fit",
    "layer_break_evens",
    "layers_of",
    "load",
    "moved",
    "names",
    "nests_of",
    "price",
    "price_all",
    "side_prices",
    "thresholds",
    "verdict",
    "weighted",
]
