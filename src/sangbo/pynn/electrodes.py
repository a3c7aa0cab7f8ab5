"""PyNN's current sources."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN.parameters import ParameterSpace, Sequence
from pyNN.standardmodels import StandardCurrentSource, build_translations, electrodes

from sangbo import dynamics
from sangbo.errors import SimulationError
from sangbo.pynn import simulator


def _plain(kind: Any) -> Any:
    return build_translations(*((n, n) for n in kind.default_parameters))


class CurrentSource(StandardCurrentSource):
    """A current into some neurons: a value for each step."""

    def __init__(self, **parameters: Any) -> None:
        self._targets: list[tuple[Any, list[int]]] = []
        self._indices: list[tuple[Any, int]] = []
        self._recording = False
        self._values = np.zeros(0)  # nA, of each step up to now
        self._numbers: dict[str, Any] = {}
        super().__init__(**parameters)
        self.set_native_parameters(self.native_parameters)
        simulator.state.sources.append(self)

    def set_native_parameters(self, parameters: ParameterSpace) -> None:
        """Change the current from now on."""
        parameters.shape = (1,)
        parameters.evaluate(simplify=False)
        for name, values in parameters.items():
            value = np.asarray(values).ravel()[0]
            value = value.value if isinstance(value, Sequence) else value
            self._numbers[name] = np.array(value) if np.ndim(value) else float(value)
        self.check()

    def get_parameters(self) -> dict[str, Any]:
        """The parameters as they are now."""
        return dict(self._numbers)

    def check(self) -> None:
        """Raise ValueError where they are impossible."""

    def inject_into(self, cells: Any) -> None:
        """Inject the current into ``cells``."""
        groups: dict[Any, list[int]] = {}
        for cell in cells:
            if not cell.celltype.injectable:
                raise TypeError("Can't inject current into a spike source.")
            parent = cell.parent
            groups.setdefault(parent, []).append(parent.id_to_index(cell))
        self._targets += list(groups.items())
        simulator.state.changed()

    def record(self) -> None:
        """Keep the current, for `get_data`."""
        self._recording = True

    def _get_data(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times (ms) and currents (nA)."""
        if not self._recording:
            raise SimulationError(
                "expected a current source that is recorded, found one that is not"
            )
        return np.arange(self._values.size, dtype=np.float64) * simulator.state.dt, self._values

    # --- what the simulation asks for ---

    def describe_to(self, network: dynamics.Network) -> None:
        """Add the current to ``network``; `extend` says how strong it is."""
        self._indices = []
        for population, neurons in self._targets:
            target = network.populations[population.position]
            index = sum(p is target for p, _ in network.stimuli)
            network.stimulate(target, dynamics.StepInput(times=[], values=[], neurons=neurons))
            self._indices.append((population, index))

    def extend(self, network: dynamics.Network, until: float) -> None:
        """Work the current out up to ``until`` ms."""
        state = simulator.state
        first, last = state.steps, round(until / state.dt)
        self._values = self._values[: first + 1]
        if self._values.size < first:
            self._values = np.pad(self._values, (0, first - self._values.size))
        values = self.current(np.arange(first, last + 1))
        self._values = np.concatenate([self._values[:first], values])
        for population, index in self._indices:
            scale = getattr(population.celltype, "current_scale", 1000.0)
            changes = np.flatnonzero(np.diff(values[:-1], prepend=np.nan))
            times = (first + changes).astype(np.uint64)
            network.build().set_current(
                population.position, index, times, (values[changes] * scale).astype(np.float32)
            )

    def reset(self) -> None:
        """Forget what was."""
        self._values = np.zeros(0)

    def current(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """The current (nA) in each of ``steps``."""
        raise NotImplementedError

    def _step(self, time: float) -> int:
        return int(min(np.rint(time / simulator.state.dt), 2**62))

    def _of(self, name: str) -> float:
        return float(self._numbers[name])

    def _inside(self, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (steps >= self._step(self._of("start"))) & (steps < self._step(self._of("stop")))


class DCSource(CurrentSource, electrodes.DCSource):
    __doc__ = electrodes.DCSource.__doc__
    translations = _plain(electrodes.DCSource)

    def current(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Constant from start to stop."""
        return np.where(self._inside(steps), self._of("amplitude"), 0.0)


class ACSource(CurrentSource, electrodes.ACSource):
    __doc__ = electrodes.ACSource.__doc__
    translations = _plain(electrodes.ACSource)

    def current(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """A sine from start to stop."""
        passed = (steps - self._step(self._of("start"))) * simulator.state.dt
        angle = 2 * np.pi * self._of("frequency") * passed / 1000 + np.radians(self._of("phase"))
        sine = self._of("offset") + self._of("amplitude") * np.sin(angle)
        return np.where(self._inside(steps), sine, 0.0)


class StepCurrentSource(CurrentSource, electrodes.StepCurrentSource):
    __doc__ = electrodes.StepCurrentSource.__doc__
    translations = _plain(electrodes.StepCurrentSource)

    def current(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """The amplitude of the last time that has come."""
        at = np.rint(self._numbers["times"] / simulator.state.dt)
        which = np.searchsorted(at, steps, side="right") - 1
        return np.concatenate([self._numbers["amplitudes"], [0.0]])[which]

    def check(self) -> None:
        """Times are put on steps; of those on one step the last one counts."""
        times, amplitudes = (np.atleast_1d(self._numbers[n]) for n in ("times", "amplitudes"))
        if times.shape != amplitudes.shape:
            return  # the other is set next
        if (times < 0).any() or (np.diff(times) < 0).any():
            raise ValueError("expected step times of 0 ms or later, in ascending order")
        at = np.rint(times / simulator.state.dt)
        last = np.append(np.diff(at) > 0, True) if at.size else np.zeros(0, bool)
        self._numbers["times"] = at[last] * simulator.state.dt
        self._numbers["amplitudes"] = amplitudes[last]


class NoisyCurrentSource(CurrentSource, electrodes.NoisyCurrentSource):
    __doc__ = electrodes.NoisyCurrentSource.__doc__
    translations = _plain(electrodes.NoisyCurrentSource)

    def __init__(self, **parameters: Any) -> None:
        self._rng = parameters.pop("rng", None)
        parameters.setdefault("dt", simulator.state.dt)
        super().__init__(**parameters)
        self._seed = len(simulator.state.sources)
        self._drawn = np.zeros(0)

    def current(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Another value every dt, from start to stop."""
        each = max(1, self._step(self._of("dt")))
        which = np.maximum(0, (steps - self._step(self._of("start"))) // each)
        need = int(which[self._inside(steps)].max(initial=-1)) + 1
        if need > self._drawn.size:
            self._drawn = np.concatenate([self._drawn, self._draw(need - self._drawn.size)])
        values = np.concatenate([self._drawn, [0.0]])[np.minimum(which, self._drawn.size)]
        return np.where(self._inside(steps), values, 0.0)

    def _draw(self, count: int) -> NDArray[np.float64]:
        mean, deviation = self._of("mean"), self._of("stdev")
        if self._rng is not None:
            return np.atleast_1d(self._rng.next(count, "normal", {"mu": mean, "sigma": deviation}))
        generator = np.random.default_rng([simulator.state.seed, self._seed, self._drawn.size])
        return generator.normal(mean, deviation, count)


__all__ = ["ACSource", "DCSource", "NoisyCurrentSource", "StepCurrentSource"]
