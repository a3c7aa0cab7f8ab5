"""Point neurons."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sangbo.dynamics.model import States
from sangbo.dynamics.receptors import CurrentExponential, Parameters, Receptors, positive
from sangbo.dynamics.values import Value


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
