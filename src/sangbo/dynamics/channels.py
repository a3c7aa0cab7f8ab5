"""Neurons with the channels of Hodgkin and Huxley."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sangbo.dynamics.model import States
from sangbo.dynamics.receptors import (
    ConductanceExponential,
    Parameters,
    Receptors,
    number,
    positive,
)
from sangbo.dynamics.values import Floats, Value
from sangbo.errors import SimulationError

LONGEST_STEP = 0.1
"""ms; the gates of the sodium channel need steps no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HodgkinHuxley:
    """Hodgkin and Huxley's squid axon (1952), a patch of ``area`` at 6.3 °C.

    C dV/dt = −g_Na·m³·h·(V − E_Na) − g_K·n⁴·(V − E_K) − g_L·(V − E_L) + I_syn + I_e;
    dx/dt = α_x(V)·(1 − x) − β_x(V)·x for x = m, h, n, with the rates of NEURON's ``hh``:

    α_m = 0.1·(V+40)/(1 − e^(−(V+40)/10)), β_m = 4·e^(−(V+65)/18); α_h = 0.07·e^(−(V+65)/20),
    β_h = 1/(1 + e^(−(V+35)/10)); α_n = 0.01·(V+55)/(1 − e^(−(V+55)/10)),
    β_n = 0.125·e^(−(V+65)/80), in 1/ms.

    Gates are half a step ahead of V, and each relaxes exactly for the other's value at mid-step:
    second order. A spike is V crossing ``v_spike`` upwards.

    Attributes:
        area: µm²; currents and conductances are densities times it.
        c_m: µF/cm².
        g_na, g_k, g_l: S/cm².
        e_na, e_k, e_l: mV.
        i_e: constant current, pA.
        v_spike: mV.
        t_ref: least time between two spikes, ms.
        v: initial potential, mV; the gates start settled there.
        receptors: how weights act.
    """

    area: Value = 1000.0
    c_m: Value = 1.0
    g_na: Value = 0.12
    g_k: Value = 0.036
    g_l: Value = 0.0003
    e_na: Value = 50.0
    e_k: Value = -77.0
    e_l: Value = -54.3
    i_e: Value = 0.0
    v_spike: Value = 0.0
    t_ref: Value = 1.0
    v: Value = -65.0
    receptors: Receptors = field(default_factory=ConductanceExponential)

    @property
    def kernel(self) -> str:
        """The name that the engine knows it by."""
        return f"hodgkin_huxley/{self.receptors.kernel}"

    def parameters(self, step: float) -> Parameters:
        """What the engine needs for steps of ``step`` ms."""
        area = positive("area", self.area)
        # µF/cm² · µm² = 10⁻² pF, S/cm² · µm² = 10 nS.
        return {
            **_membrane(self, step, positive("c_m", self.c_m) * area * 0.01),
            "g_na": number(self.g_na) * area * 10,
            "g_k": number(self.g_k) * area * 10,
            "leak": positive("g_l", self.g_l) * area * 10,
            "v_t": 0.0,
        }

    def states(self, step: float) -> States:
        """Settled gates at the initial potential."""
        v = number(self.v)
        m = _settled(_linear(v, -40, 10, 0.1), 4 * np.exp(-(v + 65) / 18))
        h = _settled(0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10)))
        n = _settled(_linear(v, -55, 10, 0.01), 0.125 * np.exp(-(v + 65) / 80))
        return {"v": v, "m": m, "h": h, "n": n}


@dataclass(frozen=True, slots=True, kw_only=True)
class TraubMiles:
    """Hodgkin and Huxley's equations with the rates of Traub and Miles (1991).

    As in the benchmark networks of Brette et al. (2007) and NEST's ``hh_cond_exp_traub``, with
    u = V − V_T: α_m = 0.32·(13−u)/(e^((13−u)/4) − 1), β_m = 0.28·(u−40)/(e^((u−40)/5) − 1);
    α_h = 0.128·e^((17−u)/18), β_h = 4/(1 + e^((40−u)/5)); α_n = 0.032·(15−u)/(e^((15−u)/5) − 1),
    β_n = 0.5·e^((10−u)/40), in 1/ms. Integrated as `HodgkinHuxley`.

    Attributes:
        c_m: pF.
        g_na, g_k, g_l: nS.
        e_na, e_k, e_l: mV.
        v_t: mV.
        i_e: constant current, pA.
        v_spike: a spike is V crossing it upwards, mV.
        t_ref: least time between two spikes, ms.
        v: initial potential, mV; E_L if None; the gates start settled there.
        receptors: how weights act.
    """

    c_m: Value = 200.0
    g_na: Value = 20000.0
    g_k: Value = 6000.0
    g_l: Value = 10.0
    e_na: Value = 50.0
    e_k: Value = -90.0
    e_l: Value = -60.0
    v_t: Value = -63.0
    i_e: Value = 0.0
    v_spike: Value = -20.0
    t_ref: Value = 3.0
    v: Value | None = None
    receptors: Receptors = field(default_factory=ConductanceExponential)

    @property
    def kernel(self) -> str:
        """The name that the engine knows it by."""
        return f"traub_miles/{self.receptors.kernel}"

    def parameters(self, step: float) -> Parameters:
        """What the engine needs for steps of ``step`` ms."""
        return {
            **_membrane(self, step, positive("c_m", self.c_m)),
            "g_na": self.g_na,
            "g_k": self.g_k,
            "leak": positive("g_l", self.g_l),
            "v_t": self.v_t,
        }

    def states(self, step: float) -> States:
        """Settled gates at the initial potential."""
        v = number(self.e_l if self.v is None else self.v)
        u = v - number(self.v_t)
        m = _settled(_linear(u, 13, 4, 0.32), _linear(-u, -40, 5, 0.28))
        h = _settled(0.128 * np.exp((17 - u) / 18), 4 / (1 + np.exp((40 - u) / 5)))
        n = _settled(_linear(u, 15, 5, 0.032), 0.5 * np.exp((10 - u) / 40))
        return {"v": v, "m": m, "h": h, "n": n}


def _membrane(model: HodgkinHuxley | TraubMiles, step: float, capacitance: Floats) -> Parameters:
    if step > LONGEST_STEP:
        raise SimulationError(
            f"expected steps of at most {LONGEST_STEP} ms for {type(model).__name__}, found {step}"
        )
    return {
        "step": step,
        "rate": -step / capacitance,
        "e_na": model.e_na,
        "e_k": model.e_k,
        "e_l": model.e_l,
        "bias": model.i_e,
        "threshold": model.v_spike,
        "refractory_steps": np.round(number(model.t_ref) / step),
        **model.receptors.parameters(step, None),
    }


def _linear(v: Floats, at: float, width: float, rate: float) -> Floats:
    """rate·(v − at)/(1 − e^(−(v − at)/width))."""
    x = (v - at) / width
    near = np.abs(x) < 1e-6
    safe = np.where(near, 1.0, x)
    return np.where(near, rate * width * (1 + x / 2), rate * width * safe / -np.expm1(-safe))


def _settled(alpha: Floats, beta: Floats) -> Floats:
    return alpha / (alpha + beta)
