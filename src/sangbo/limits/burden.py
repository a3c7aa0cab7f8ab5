"""How much computation a network took: two measures and the line between them.

Thompson, Greenewald, Lee and Manso, "The Computational Limits of Deep Learning" (2020, 2022):

    network operations = Σ over phases of epochs × FLOP per pass × passes
    hardware burden    = Σ over phases of processors × computation rate × time

Both are in FLOP. The hardware burden is an upper bound: it charges the peak rate all the time.
"""

from __future__ import annotations

import math

import numpy as np
import statsmodels.api as sm
from numpy.typing import NDArray

from sangbo.errors import DataError

MIN_PAIRS = 3
PUBLISHED_LINE = (2.7580, 0.8935)
"""Thompson et al.'s line for COCO, whose table has no network with both computations."""


def hardware_burden(processors: float, rate: float, seconds: float) -> float:
    """Processors × rate × time of one phase, in FLOP.

    Args:
        processors: how many processors were held.
        rate: peak rate of one, in FLOP/s.
        seconds: how long they were held.

    Raises:
        DataError: one of them is negative or not finite.
    """
    for name, value in (("processors", processors), ("rate", rate), ("seconds", seconds)):
        if not (math.isfinite(value) and value >= 0):
            raise DataError(f"expected {name} of 0 or more, found {value}")
    return processors * rate * seconds


def network_operations(epochs: float, flop_per_pass: float, passes: float) -> float:
    """Epochs × FLOP per pass × passes of one phase, in FLOP.

    Args:
        epochs: times the training set was gone through.
        flop_per_pass: FLOP of one forward pass of one sample.
        passes: passes an epoch: samples × 3 when a backward pass counts as two forward ones.

    Raises:
        DataError: one of them is negative or not finite.
    """
    for name, value in (("epochs", epochs), ("FLOP per pass", flop_per_pass), ("passes", passes)):
        if not (math.isfinite(value) and value >= 0):
            raise DataError(f"expected {name} of 0 or more, found {value}")
    return epochs * flop_per_pass * passes


def impute_line(
    operations: NDArray[np.float64], burden: NDArray[np.float64]
) -> tuple[float, float] | None:
    """The line log10(burden) = intercept + slope · log10(operations), by least squares.

    Args:
        operations: (n,) network operations in FLOP, NaN where unknown.
        burden: (n,) hardware burden in FLOP, NaN where unknown.

    Returns:
        intercept and slope, or None where fewer than three rows have both.
    """
    both = (operations > 0) & (burden > 0)
    if both.sum() < MIN_PAIRS:
        return None
    design = sm.add_constant(np.log10(operations[both]), has_constant="add")
    intercept, slope = sm.OLS(np.log10(burden[both]), design).fit().params
    return float(intercept), float(slope)
