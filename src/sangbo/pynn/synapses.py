"""PyNN's standard synapses as synapses of `sangbo.dynamics`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyNN.standardmodels import build_translations, synapses

from sangbo import dynamics
from sangbo.dynamics.synapses import Dependence, Synapses
from sangbo.errors import SimulationError
from sangbo.pynn import simulator


def _plain(*names: str) -> Any:
    return build_translations(*((n, n) for n in names))


def _shortest() -> float:
    """The delay of synapses that state none."""
    state = simulator.state
    return float(state.dt if isinstance(state.shortest, str) else state.shortest)


class StaticSynapse(synapses.StaticSynapse):
    __doc__ = synapses.StaticSynapse.__doc__
    translations = _plain("weight", "delay")

    def _get_minimum_delay(self) -> float:
        return _shortest()

    def make(self, weight: Any, delay: Any, of: Mapping[str, float], scale: float) -> Synapses:
        """Synapses with ``weight`` in the engine's units, ``scale`` to one of PyNN's."""
        return dynamics.Static(weight=weight, delay=delay, storage="wide")


class TsodyksMarkramSynapse(synapses.TsodyksMarkramSynapse):
    __doc__ = synapses.TsodyksMarkramSynapse.__doc__
    translations = _plain("weight", "delay", "U", "tau_rec", "tau_facil")

    def _get_minimum_delay(self) -> float:
        return _shortest()

    def make(self, weight: Any, delay: Any, of: Mapping[str, float], scale: float) -> Synapses:
        """Synapses with ``weight`` in the engine's units, ``scale`` to one of PyNN's."""
        return dynamics.TsodyksMarkram(
            weight=weight,
            delay=delay,
            use=of["U"],
            tau_recovery=of["tau_rec"],
            tau_facilitation=of["tau_facil"],
            storage="wide",
        )


class AdditiveWeightDependence(synapses.AdditiveWeightDependence):
    __doc__ = synapses.AdditiveWeightDependence.__doc__
    translations = _plain("w_min", "w_max")
    possible_models = frozenset({"pairs"})
    dependence: tuple[Dependence, Dependence] = ("additive", "additive")


class MultiplicativeWeightDependence(synapses.MultiplicativeWeightDependence):
    __doc__ = synapses.MultiplicativeWeightDependence.__doc__
    translations = _plain("w_min", "w_max")
    possible_models = frozenset({"pairs"})
    dependence: tuple[Dependence, Dependence] = ("multiplicative", "multiplicative")


class AdditivePotentiationMultiplicativeDepression(
    synapses.AdditivePotentiationMultiplicativeDepression
):
    __doc__ = synapses.AdditivePotentiationMultiplicativeDepression.__doc__
    translations = _plain("w_min", "w_max")
    possible_models = frozenset({"pairs"})
    dependence: tuple[Dependence, Dependence] = ("additive", "multiplicative")


class SpikePairRule(synapses.SpikePairRule):
    __doc__ = synapses.SpikePairRule.__doc__
    translations = _plain("tau_plus", "tau_minus", "A_plus", "A_minus")
    possible_models = frozenset({"pairs"})


class STDPMechanism(synapses.STDPMechanism):
    __doc__ = synapses.STDPMechanism.__doc__
    base_translations = _plain("weight", "delay", "dendritic_delay_fraction")

    def __init__(
        self,
        timing_dependence: Any = None,
        weight_dependence: Any = None,
        voltage_dependence: Any = None,
        dendritic_delay_fraction: float = 1.0,
        weight: Any = 0.0,
        delay: Any = None,
    ) -> None:
        if dendritic_delay_fraction != 1:
            raise SimulationError(
                "expected dendritic_delay_fraction 1: the whole delay is dendritic here, found "
                f"{dendritic_delay_fraction}"
            )
        if voltage_dependence is not None:
            raise SimulationError("expected no dependence on voltage, found one")
        super().__init__(
            timing_dependence,
            weight_dependence,
            None,
            dendritic_delay_fraction,
            weight,
            delay,
        )

    def _get_minimum_delay(self) -> float:
        return _shortest()

    def make(self, weight: Any, delay: Any, of: Mapping[str, float], scale: float) -> Synapses:
        """Synapses with ``weight`` in the engine's units, ``scale`` to one of PyNN's.

        As in NEST and NEURON, A_plus and A_minus are shares of ``w_max``.
        """
        if of["w_min"] != 0:
            raise SimulationError(f"expected w_min = 0, found {of['w_min']}")
        largest = of["w_max"] * scale
        return dynamics.STDP(
            weight=weight,
            delay=delay,
            tau_plus=of["tau_plus"],
            tau_minus=of["tau_minus"],
            a_plus=of["A_plus"] * largest,
            a_minus=of["A_minus"] * largest,
            w_max=largest,
            dependence=self.weight_dependence.dependence,
        )
