"""Point neurons."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from sangbo.dynamics.model import States
from sangbo.dynamics.receptors import (
    ConductanceExponential,
    CurrentExponential,
    Parameters,
    Receptors,
    number,
    positive,
)
from sangbo.dynamics.values import Value
from sangbo.errors import SimulationError


@dataclass(frozen=True, slots=True, kw_only=True)
class LIF:
    """Leaky integrate and fire.

    C_m dV/dt = −(C_m/τ_m)·(V − E_L) + I_syn + I_e; a spike where V ≥ V_th, then V = V_reset for
    t_ref. With currents every step is exact (Rotter and Diesmann 1999), as in NEST's
    ``iaf_psc_exp`` and ``iaf_psc_alpha``; with conductances V relaxes exactly to the equilibrium of
    the step's mean conductances, which is of second order.

    Attributes:
        c_m: capacitance, pF.
        tau_m: membrane time constant, ms.
        e_l: resting potential, mV.
        v_th: threshold, mV.
        v_reset: potential after a spike, mV.
        t_ref: refractory time, ms, rounded to steps.
        i_e: constant current, pA.
        v: initial potential, mV; at rest if None.
        receptors: how weights act.
    """

    c_m: Value = 250.0
    tau_m: Value = 10.0
    e_l: Value = -70.0
    v_th: Value = -55.0
    v_reset: Value = -70.0
    t_ref: Value = 2.0
    i_e: Value = 0.0
    v: Value | None = None
    receptors: Receptors = field(default_factory=CurrentExponential)

    @property
    def kernel(self) -> str:
        """The name that the engine knows it by."""
        return f"lif/{self.receptors.kernel}"

    def parameters(self, step: float) -> Parameters:
        """What the engine needs for steps of ``step`` ms."""
        tau, capacitance = positive("tau_m", self.tau_m), positive("c_m", self.c_m)
        decay = np.exp(-step / tau)
        return {
            "decay": decay,
            "gain": -np.expm1(-step / tau) * tau / capacitance,
            "bias": self.i_e,
            "threshold": self.v_th,
            "reset": self.v_reset,
            "rest": self.e_l,
            "refractory_steps": np.round(np.asarray(self.t_ref) / step),
            "leak": capacitance / tau,
            "rate": -step / capacitance,
            **self.receptors.parameters(step, self.tau_m),
        }

    def states(self, step: float) -> States:
        """Initial states."""
        return {"v": self.e_l if self.v is None else self.v}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveLIF(LIF):
    """`LIF` whose threshold is V_th + θ; a spike adds theta_plus, and dθ/dt = −θ/τ_θ.

    As in Diehl and Cook (2015): who fires often becomes harder to excite, so that all take part.

    Attributes:
        theta_plus: mV.
        tau_theta: ms; may be infinite.
        theta: at the start, mV.
    """

    theta_plus: Value = 0.05
    tau_theta: Value = 1e7
    theta: Value = 0.0

    @property
    def kernel(self) -> str:
        """The name that the engine knows it by."""
        return f"adaptive_lif/{self.receptors.kernel}"

    def parameters(self, step: float) -> Parameters:
        """What the engine needs for steps of ``step`` ms."""
        return {
            **LIF.parameters(self, step),
            "kick": self.theta_plus,
            "keep": np.exp(-step / positive("tau_theta", self.tau_theta)),
        }

    def states(self, step: float) -> States:
        """Initial states."""
        return {**LIF.states(self, step), "theta": self.theta}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdEx:
    """Adaptive exponential integrate and fire (Brette and Gerstner 2005).

    C_m dV/dt = −g_L·(V − E_L) + g_L·Δ_T·e^((V − V_th)/Δ_T) − w + I_syn + I_e;
    τ_w dw/dt = a·(V − E_L) − w. A spike where V ≥ V_peak, then V = V_reset for t_ref and w += b.
    Each step is taken in 16 parts of Runge and Kutta's fourth order, which the upstroke needs.

    Attributes:
        c_m: capacitance, pF.
        g_l: leak conductance, nS.
        e_l: leak reversal potential, mV.
        delta_t: slope factor, mV.
        v_th: onset of the spike, mV.
        v_peak: where the spike is detected, mV.
        v_reset: potential after a spike, mV.
        t_ref: refractory time, ms, rounded to steps.
        a: subthreshold adaptation, nS.
        b: spike-triggered adaptation, pA.
        tau_w: time constant of adaptation, ms.
        i_e: constant current, pA.
        v: initial potential, mV; E_L if None.
        receptors: how weights act.
    """

    c_m: Value = 281.0
    g_l: Value = 30.0
    e_l: Value = -70.6
    delta_t: Value = 2.0
    v_th: Value = -50.4
    v_peak: Value = 0.0
    v_reset: Value = -60.0
    t_ref: Value = 0.0
    a: Value = 4.0
    b: Value = 80.5
    tau_w: Value = 144.0
    i_e: Value = 0.0
    v: Value | None = None
    receptors: Receptors = field(default_factory=ConductanceExponential)

    @property
    def kernel(self) -> str:
        """The name that the engine knows it by."""
        return f"adex/{self.receptors.kernel}"

    def parameters(self, step: float) -> Parameters:
        """What the engine needs for steps of ``step`` ms."""
        capacitance, slope = positive("c_m", self.c_m), positive("delta_t", self.delta_t)
        leak, tau = positive("g_l", self.g_l), positive("tau_w", self.tau_w)
        if ((number(self.v_peak) - number(self.v_th)) / slope > 80).any():
            raise SimulationError("expected v_peak within 80·delta_t of v_th: e^80 overflows")
        _short("AdEx", step, (capacitance / leak).min())
        return {
            "part": step / 16,
            "inverse_c": 1 / capacitance,
            "leak": leak,
            "rest": self.e_l,
            "slope": slope,
            "onset": self.v_th,
            "peak": self.v_peak,
            "reset": self.v_reset,
            "refractory_steps": np.round(number(self.t_ref) / step),
            "bias": self.i_e,
            "a": self.a,
            "b": self.b,
            "inverse_tau": 1 / tau,
            **self.receptors.parameters(step, None),
        }

    def states(self, step: float) -> States:
        """Initial states."""
        return {"v": self.e_l if self.v is None else self.v}


@dataclass(frozen=True, slots=True, kw_only=True)
class Izhikevich:
    """Izhikevich's neuron (2003).

    dV/dt = 0.04·V² + 5·V + 140 − u + I; du/dt = a·(b·V − u). A spike where V ≥ V_th, then V = c and
    u += d. Weights make V jump (mV). Euler's method, as NEST's ``izhikevich`` with
    ``consistent_integration``.

    Attributes:
        a, b, c, d: the model's parameters (1/ms, 1/ms, mV, mV/ms).
        v_th: peak, mV.
        i_e: constant input, mV/ms.
        v: initial potential, mV.
        u: initial recovery, mV/ms; b·v if None.
    """

    a: Value = 0.02
    b: Value = 0.2
    c: Value = -65.0
    d: Value = 8.0
    v_th: Value = 30.0
    i_e: Value = 0.0
    v: Value = -65.0
    u: Value | None = None

    @property
    def kernel(self) -> str:
        """The name that the engine knows it by."""
        return "izhikevich"

    def parameters(self, step: float) -> Parameters:
        """What the engine needs for steps of ``step`` ms."""
        _short("Izhikevich", step, 1.0)
        return {
            "h": step,
            "a": self.a,
            "b": self.b,
            "c": self.c,
            "d": self.d,
            "peak": self.v_th,
            "bias": self.i_e,
        }

    def states(self, step: float) -> States:
        """Initial states."""
        return {"v": self.v, "u": number(self.b) * number(self.v) if self.u is None else self.u}


@dataclass(frozen=True, slots=True, kw_only=True)
class McCullochPitts:
    """McCulloch and Pitts (1943): fires in every step whose weights sum to ``threshold``."""

    threshold: Value = 1.0

    @property
    def kernel(self) -> str:
        """The name that the engine knows it by."""
        return "mcculloch_pitts"

    def parameters(self, step: float) -> Parameters:
        """What the engine needs."""
        return {"threshold": self.threshold}

    def states(self, step: float) -> States:
        """None."""
        return {}


def _short(name: str, step: float, longest: float) -> None:
    if not step <= longest or not math.isfinite(longest):
        raise SimulationError(
            f"expected steps of at most {longest:.3g} ms for these parameters of {name}, found "
            f"{step} ms"
        )
