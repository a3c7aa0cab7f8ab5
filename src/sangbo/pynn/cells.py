"""PyNN's standard cells as neurons of `sangbo.dynamics`.

PyNN counts in ms, mV, nA, nF and µS, dynamics in ms, mV, pA, pF and nS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pyNN.standardmodels import build_translations, cells

from sangbo import dynamics

Numbers: TypeAlias = Mapping[str, NDArray[Any]]
"""Parameters by PyNN's names, in PyNN's units, one for each neuron."""

STATES: Mapping[str, tuple[tuple[str, float], ...]] = {
    "v": (("v", 1.0),),
    "u": (("u", 1.0),),
    "w": (("w", 1e-3),),
    "gsyn_exc": (("g_excitatory", 1e-3),),
    "gsyn_inh": (("g_inhibitory", 1e-3),),
    "isyn_exc": (("i_excitatory", 1e-3),),
    "isyn_inh": (("i_inhibitory", 1e-3),),
}
"""What PyNN records, as states of the engine and PyNN's units to one of theirs."""


FOREVER = 1e9  # ms


def _plain(kind: Any) -> Any:
    """Parameters are kept as PyNN has them; they are translated when a network is made."""
    return build_translations(*((n, n) for n in kind.default_parameters))


def _currents(p: Numbers) -> dynamics.CurrentExponential:
    return dynamics.CurrentExponential(tau_excitatory=p["tau_syn_E"], tau_inhibitory=p["tau_syn_I"])


def _conductances(kind: Any, p: Numbers) -> Any:
    return kind(
        tau_excitatory=p["tau_syn_E"],
        tau_inhibitory=p["tau_syn_I"],
        e_excitatory=p["e_rev_E"],
        e_inhibitory=p["e_rev_I"],
    )


def _lif(p: Numbers, receptors: Any) -> dynamics.LIF:
    return dynamics.LIF(
        c_m=p["cm"] * 1000,
        tau_m=p["tau_m"],
        e_l=p["v_rest"],
        v_th=p["v_thresh"],
        v_reset=p["v_reset"],
        t_ref=p["tau_refrac"],
        i_e=p["i_offset"] * 1000,
        receptors=receptors,
    )


def _adex(p: Numbers, receptors: Any) -> dynamics.AdEx:
    return dynamics.AdEx(
        c_m=p["cm"] * 1000,
        g_l=p["cm"] * 1000 / p["tau_m"],
        e_l=p["v_rest"],
        delta_t=p["delta_T"],
        v_th=p["v_thresh"],
        v_peak=p["v_spike"],
        v_reset=p["v_reset"],
        t_ref=p["tau_refrac"],
        a=p["a"],
        b=p["b"] * 1000,
        tau_w=p["tau_w"],
        i_e=p["i_offset"] * 1000,
        receptors=receptors,
    )


class IF_curr_exp(cells.IF_curr_exp):
    __doc__ = cells.IF_curr_exp.__doc__
    translations = _plain(cells.IF_curr_exp)
    weight_scale = 1000.0

    @staticmethod
    def model(p: Numbers) -> dynamics.LIF:
        """The neurons."""
        return _lif(p, _currents(p))


class IF_curr_alpha(cells.IF_curr_alpha):
    __doc__ = cells.IF_curr_alpha.__doc__
    translations = _plain(cells.IF_curr_alpha)
    weight_scale = 1000.0

    @staticmethod
    def model(p: Numbers) -> dynamics.LIF:
        """The neurons."""
        taus = {"tau_excitatory": p["tau_syn_E"], "tau_inhibitory": p["tau_syn_I"]}
        return _lif(p, dynamics.CurrentAlpha(**taus))


class IF_curr_delta(cells.IF_curr_delta):
    __doc__ = cells.IF_curr_delta.__doc__
    translations = _plain(cells.IF_curr_delta)
    weight_scale = 1.0

    @staticmethod
    def model(p: Numbers) -> dynamics.LIF:
        """The neurons."""
        return _lif(p, dynamics.Delta())


class IF_cond_exp(cells.IF_cond_exp):
    __doc__ = cells.IF_cond_exp.__doc__
    translations = _plain(cells.IF_cond_exp)
    weight_scale = 1000.0

    @staticmethod
    def model(p: Numbers) -> dynamics.LIF:
        """The neurons."""
        return _lif(p, _conductances(dynamics.ConductanceExponential, p))


class IF_cond_alpha(cells.IF_cond_alpha):
    __doc__ = cells.IF_cond_alpha.__doc__
    translations = _plain(cells.IF_cond_alpha)
    weight_scale = 1000.0

    @staticmethod
    def model(p: Numbers) -> dynamics.LIF:
        """The neurons."""
        return _lif(p, _conductances(dynamics.ConductanceAlpha, p))


class EIF_cond_exp_isfa_ista(cells.EIF_cond_exp_isfa_ista):
    __doc__ = cells.EIF_cond_exp_isfa_ista.__doc__
    translations = _plain(cells.EIF_cond_exp_isfa_ista)
    weight_scale = 1000.0

    @staticmethod
    def model(p: Numbers) -> dynamics.AdEx:
        """The neurons."""
        return _adex(p, _conductances(dynamics.ConductanceExponential, p))


class EIF_cond_alpha_isfa_ista(cells.EIF_cond_alpha_isfa_ista):
    __doc__ = cells.EIF_cond_alpha_isfa_ista.__doc__
    translations = _plain(cells.EIF_cond_alpha_isfa_ista)
    weight_scale = 1000.0

    @staticmethod
    def model(p: Numbers) -> dynamics.AdEx:
        """The neurons."""
        return _adex(p, _conductances(dynamics.ConductanceAlpha, p))


class HH_cond_exp(cells.HH_cond_exp):
    __doc__ = cells.HH_cond_exp.__doc__
    translations = _plain(cells.HH_cond_exp)
    weight_scale = 1000.0
    receptor_types = ("excitatory", "inhibitory")

    @staticmethod
    def model(p: Numbers) -> dynamics.TraubMiles:
        """The neurons."""
        return dynamics.TraubMiles(
            c_m=p["cm"] * 1000,
            g_na=p["gbar_Na"] * 1000,
            g_k=p["gbar_K"] * 1000,
            g_l=p["g_leak"] * 1000,
            e_na=p["e_rev_Na"],
            e_k=p["e_rev_K"],
            e_l=p["e_rev_leak"],
            v_t=p["v_offset"],
            i_e=p["i_offset"] * 1000,
            receptors=_conductances(dynamics.ConductanceExponential, p),
        )


class Izhikevich(cells.Izhikevich):
    __doc__ = cells.Izhikevich.__doc__
    translations = _plain(cells.Izhikevich)
    weight_scale = 1.0
    current_scale: ClassVar[float] = 1000.0

    @staticmethod
    def model(p: Numbers) -> dynamics.Izhikevich:
        """The neurons; PyNN's nA are thousands of the equation's I."""
        return dynamics.Izhikevich(a=p["a"], b=p["b"], c=p["c"], d=p["d"], i_e=p["i_offset"] * 1000)


Interval: TypeAlias = Callable[[np.random.Generator, Numbers, int], float]
"""The time between two spikes of neuron i, ms."""


class SpikeSourcePoisson(cells.SpikeSourcePoisson):
    __doc__ = cells.SpikeSourcePoisson.__doc__
    translations = _plain(cells.SpikeSourcePoisson)

    @staticmethod
    def model(p: Numbers) -> dynamics.PoissonSource | None:
        """The engine's own sources, unless they start or end some time."""
        if (p["start"] > 0).any() or (p["start"] + p["duration"] < FOREVER).any():
            return None
        return dynamics.PoissonSource(rate=p["rate"])

    @staticmethod
    def interval(generator: np.random.Generator, p: Numbers, i: int) -> float:
        """Exponential."""
        rate = float(p["rate"][i])
        return generator.exponential(1000 / rate) if rate > 0 else np.inf


class SpikeSourcePoissonRefractory(cells.SpikeSourcePoissonRefractory):
    __doc__ = cells.SpikeSourcePoissonRefractory.__doc__
    translations = _plain(cells.SpikeSourcePoissonRefractory)

    @staticmethod
    def model(p: Numbers) -> None:
        """Spikes are listed as the simulation goes on."""

    @staticmethod
    def interval(generator: np.random.Generator, p: Numbers, i: int) -> float:
        """The dead time, then exponential; the mean is that of the rate."""
        rate, dead = float(p["rate"][i]), float(p["tau_refrac"][i])
        return dead + generator.exponential(max(0.0, 1000 / rate - dead)) if rate > 0 else np.inf


class SpikeSourceGamma(cells.SpikeSourceGamma):
    __doc__ = cells.SpikeSourceGamma.__doc__
    translations = _plain(cells.SpikeSourceGamma)

    @staticmethod
    def model(p: Numbers) -> None:
        """Spikes are listed as the simulation goes on."""

    @staticmethod
    def interval(generator: np.random.Generator, p: Numbers, i: int) -> float:
        """Gamma-distributed, α/β s on average."""
        return generator.gamma(float(p["alpha"][i]), 1000 / float(p["beta"][i]))


class SpikeSourceArray(cells.SpikeSourceArray):
    __doc__ = cells.SpikeSourceArray.__doc__
    translations = _plain(cells.SpikeSourceArray)

    @staticmethod
    def model(p: Numbers) -> None:
        """Spikes are listed as the simulation goes on."""
