"""PyNN's populations, views and assemblies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import common, errors
from pyNN.parameters import ParameterSpace, simplify

from sangbo import dynamics
from sangbo.pynn import simulator
from sangbo.pynn.cells import STATES, SpikeSourceArray
from sangbo.pynn.recording import Recorder


class Assembly(common.Assembly):
    __doc__ = common.Assembly.__doc__
    _simulator = simulator


class PopulationView(common.PopulationView):
    __doc__ = common.PopulationView.__doc__
    _assembly_class = Assembly
    _simulator = simulator

    def _get_parameters(self, *names: str) -> ParameterSpace:
        return self._get_native_parameters(*names)

    def _get_native_parameters(self, *names: str) -> ParameterSpace:
        numbers = self.grandparent.numbers
        chosen = self.index_in_grandparent(np.arange(self.size))
        return ParameterSpace({n: simplify(numbers[n][chosen]) for n in names}, shape=(self.size,))

    def _set_parameters(self, parameter_space: ParameterSpace) -> None:
        parameter_space.evaluate(simplify=False)
        chosen = self.index_in_grandparent(np.arange(self.size))
        self.grandparent.change(parameter_space, chosen)

    def _set_initial_value_array(self, variable: str, initial_values: Any) -> None:
        chosen = self.index_in_grandparent(np.arange(self.size))
        self.grandparent.begin_at(variable, _values(initial_values, self.size), chosen)

    def _get_view(self, selector: Any, label: str | None = None) -> PopulationView:
        return PopulationView(self, selector, label)


class Population(common.Population):
    __doc__ = common.Population.__doc__
    _simulator = simulator
    _recorder_class = Recorder
    _assembly_class = Assembly

    def _create_cells(self) -> None:
        state = simulator.state
        ids = range(state.id_counter, state.id_counter + self.size)
        self.all_cells = np.array([simulator.ID(i) for i in ids], dtype=simulator.ID)
        self._mask_local = np.ones(self.size, bool)
        for cell in self.all_cells:
            cell.parent = self
        state.id_counter += self.size
        space = self.celltype.native_parameters
        space.shape = (self.size,)
        space.evaluate(simplify=False)
        self.numbers: dict[str, NDArray[Any]] = space.as_dict()
        self._check()
        self._initial: dict[str, NDArray[np.float64]] = {}
        self._next: NDArray[np.float64] | None = None
        self.position = len(state.populations)
        self.native_name = f"{self.position} {self.label}"
        state.populations.append(self)
        state.changed()

    def _get_view(self, selector: Any, label: str | None = None) -> PopulationView:
        return PopulationView(self, selector, label)

    def _get_parameters(self, *names: str) -> ParameterSpace:
        return self._get_native_parameters(*names)

    def _get_native_parameters(self, *names: str) -> ParameterSpace:
        return ParameterSpace(
            {name: simplify(self.numbers[name]) for name in names}, shape=(self.size,)
        )

    def _set_parameters(self, parameter_space: ParameterSpace) -> None:
        parameter_space.evaluate(simplify=False)
        self.change(parameter_space, slice(None))

    def _set_initial_value_array(self, variable: str, initial_values: Any) -> None:
        self.begin_at(variable, _values(initial_values, self.size), slice(None))

    def _check(self) -> None:
        for times in self.numbers.get("spike_times", ()):
            if (np.diff(np.asarray(getattr(times, "value", times), np.float64)) < 0).any():
                raise errors.InvalidParameterValueError("Spike times must be in ascending order")

    # --- what the simulation asks for ---

    def change(self, parameters: ParameterSpace, chosen: Any) -> None:
        """Set parameters of the neurons ``chosen``."""
        for name, value in parameters.items():
            try:
                self.numbers[name][chosen] = value
            except (ValueError, TypeError):
                raise errors.InvalidParameterValueError(
                    f"{name} should not be of type {type(value)}"
                ) from None
        self._check()
        simulator.state.changed()

    def begin_at(self, variable: str, values: NDArray[np.float64], chosen: Any) -> None:
        """Set a state of the neurons ``chosen``: at the start, or now."""
        all_values = self._initial.setdefault(variable, np.full(self.size, np.nan))
        all_values[chosen] = values
        network = simulator.state.network
        if network is not None:
            now = self.now(network, variable)
            now[chosen] = values
            self._put(network, variable, now)

    def describe_to(self, network: dynamics.Network) -> None:
        """Add these neurons to ``network``."""
        model = self.celltype.model(self.numbers)
        self.listed = model is None
        if self.listed:
            model = dynamics.SpikeTimes([[]] * self.size)
        elif "v" in self._initial and "v" in model.__dataclass_fields__:
            model = replace(model, v=self._filled("v", self.celltype.default_initial_values["v"]))
        network.population(self.size, model, name=self.native_name)

    def begin(self, network: dynamics.Network) -> None:
        """Put initial states into a network that begins."""
        self._next = None
        if not self.listed:
            for variable in self._initial:
                if variable in STATES and variable != "v":
                    self._put(network, variable, self._filled(variable, 0.0))

    def extend(self, network: dynamics.Network, until: float) -> None:
        """List the spikes of a source up to ``until`` ms."""
        if not self.listed:
            return
        step = simulator.state.dt
        if isinstance(self.celltype, SpikeSourceArray):
            times = [np.asarray(getattr(t, "value", t)) for t in self.numbers["spike_times"]]
        else:
            times = self._draw(until)
        steps, neurons = dynamics.SpikeTimes(times).listed(step)
        network.build().set_listed(self.position, steps, neurons)

    def now(self, network: dynamics.Network, variable: str) -> NDArray[np.float64]:
        """What PyNN calls ``variable`` of every neuron now."""
        found = np.zeros(self.size)
        for state, scale in STATES[variable]:
            population = network.populations[self.position]
            if state in population.states:
                found += population.state(state).astype(np.float64) * scale
        return found

    def _put(self, network: dynamics.Network, variable: str, values: NDArray[np.float64]) -> None:
        population = network.populations[self.position]
        for state, scale in STATES.get(variable, ()):
            if state in population.states:
                index = population.states.index(state)
                network.build().set_state(self.position, index, (values / scale).astype(np.float32))

    def _filled(self, variable: str, default: float) -> NDArray[np.float64]:
        values = self._initial[variable]
        return np.where(np.isnan(values), default, values)

    def _draw(self, until: float) -> list[NDArray[np.float64]]:
        """Spikes from now until then; each neuron knows when its next is due."""
        now, p = simulator.state.t, self.numbers
        generator = np.random.default_rng(
            [simulator.state.seed, self.position, simulator.state.steps]
        )
        if self._next is None:
            self._next = np.array(
                [p["start"][i] + self.celltype.interval(generator, p, i) for i in range(self.size)]
            )
        found = []
        for i in range(self.size):
            due, times, end = float(self._next[i]), [], p["start"][i] + p["duration"][i]
            while due < min(until, end):
                if due > now:
                    times.append(due)
                due += self.celltype.interval(generator, p, i)
            self._next[i] = due
            found.append(np.array(times))
        return found


def _values(given: Any, size: int) -> NDArray[np.float64]:
    value = given.evaluate(simplify=False) if hasattr(given, "evaluate") else given
    return np.broadcast_to(np.asarray(value, np.float64), size)
