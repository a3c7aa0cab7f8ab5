"""Loihi's integer neuron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sangbo.dynamics.model import States
from sangbo.dynamics.receptors import Parameters, number
from sangbo.dynamics.values import Floats, Value
from sangbo.errors import SimulationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Loihi:
    """A compartment of Loihi, bit for bit as Lava models it (``PyLifModelBitAcc``).

    With dec(x, d) = sign(x)·((|x|·(4096 − d)) >> 12), in whole numbers, wrap₂₄ into −2²³ + 1 … 2²³:

    u = wrap₂₄(dec(u, du + 1) + (Σ weights << 6)); v = clip(dec(v, dv) + u + bias, ±(2²³ − 1));
    bias = bias_mantissa·2^bias_exponent; a spike where v > (v_th << 6), then v = 0.

    Time is in steps; a network of these takes any ``step``.

    Attributes:
        du: decay of the current, 0 … 4095.
        dv: decay of the potential, 0 … 4096.
        v_th: threshold, 0 … 131071 (17 bits).
        bias_mantissa: −4096 … 4095 (13 bits).
        bias_exponent: 0 … 7 (3 bits).
        u, v: at the start.
    """

    du: Value = 4095.0
    dv: Value = 0.0
    v_th: Value = 100.0
    bias_mantissa: Value = 0.0
    bias_exponent: Value = 0.0
    u: Value = 0.0
    v: Value = 0.0

    @property
    def kernel(self) -> str:
        """The name that the engine knows it by."""
        return "loihi"

    def parameters(self, step: float) -> Parameters:
        """What the engine needs."""
        return {
            "du": _whole("du", self.du, 0, 4095) + 1,
            "dv": _whole("dv", self.dv, 0, 4096),
            "bias": _whole("bias_mantissa", self.bias_mantissa, -4096, 4095)
            * 2 ** _whole("bias_exponent", self.bias_exponent, 0, 7),
            "threshold": _whole("v_th", self.v_th, 0, 2**17 - 1) * 64,
        }

    def states(self, step: float) -> States:
        """Current and potential."""
        return {"u": _whole("u", self.u, -(2**23), 2**23 - 1), "v": number(self.v)}


def _whole(name: str, value: Value, low: int, high: int) -> Floats:
    array = number(value)
    if (array != np.round(array)).any() or (array < low).any() or (array > high).any():
        raise SimulationError(
            f"expected {name} to be whole numbers of {low} to {high}, found {array.min()} to "
            f"{array.max()}"
        )
    return array
