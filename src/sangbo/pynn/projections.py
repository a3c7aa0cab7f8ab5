"""PyNN's projections: every synapse listed, as its connectors make them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import common, errors
from pyNN.parameters import ParameterSpace
from pyNN.space import Space

from sangbo import dynamics
from sangbo.errors import SimulationError
from sangbo.pynn import simulator
from sangbo.pynn.synapses import StaticSynapse

RECEPTORS = ("excitatory", "inhibitory")


class Connection(common.Connection):
    """One synapse: ``weight``, ``delay`` and the parameters of its kind are attributes."""

    def __init__(self, projection: Projection, index: int) -> None:
        object.__setattr__(self, "_projection", projection)
        object.__setattr__(self, "_index", index)

    @property
    def presynaptic_index(self) -> int:
        """Of the source, in the projection."""
        return int(self._projection.source_indices[self._index])

    @property
    def postsynaptic_index(self) -> int:
        """Of the target, in the projection."""
        return int(self._projection.target_indices[self._index])

    @property
    def presynaptic_cell(self) -> Any:
        """The source."""
        return self._projection.pre[self.presynaptic_index]

    @property
    def postsynaptic_cell(self) -> Any:
        """The target."""
        return self._projection.post[self.postsynaptic_index]

    def __getattr__(self, name: str) -> Any:
        try:
            return float(self._projection.values(name)[self._index])
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._projection.assign(name, self._index, value)

    def as_tuple(self, *names: str) -> tuple[Any, ...]:
        """The values of ``names``."""
        return tuple(getattr(self, name) for name in names)


class Projection(common.Projection):
    __doc__ = common.Projection.__doc__
    _simulator = simulator
    _static_synapse_class = StaticSynapse

    def __init__(
        self,
        presynaptic_population: Any,
        postsynaptic_population: Any,
        connector: Any,
        synapse_type: Any = None,
        source: Any = None,
        receptor_type: str | None = None,
        space: Any = None,
        label: str | None = None,
    ) -> None:
        super().__init__(
            presynaptic_population,
            postsynaptic_population,
            connector,
            synapse_type,
            source,
            receptor_type,
            Space() if space is None else space,
            label,
        )
        self._made: dict[str, list[NDArray[np.float64]]] = {}
        connector.connect(self)
        names = self.synapse_type.get_native_names()
        columns = {k: np.concatenate([*v, np.zeros(0)]) for k, v in self._made.items()}
        self.source_indices = columns.pop("source", np.zeros(0)).astype(np.int64)
        self.target_indices = columns.pop("target", np.zeros(0)).astype(np.int64)
        self.numbers = {n: columns.get(n, np.zeros(0)) for n in names}
        self._native: list[tuple[int, NDArray[np.int64]]] = []
        self._network: dynamics.Network | None = None
        simulator.state.projections.append(self)
        simulator.state.changed()

    def _convergent_connect(
        self,
        presynaptic_indices: Any,
        postsynaptic_index: int,
        location_selector: Any = None,
        **parameters: Any,
    ) -> None:
        if location_selector is not None:
            raise SimulationError("expected synapses of point neurons, found locations")
        sources = np.atleast_1d(presynaptic_indices).astype(np.float64)
        made = {"source": sources, "target": np.full(sources.size, float(postsynaptic_index))}
        for name, value in parameters.items():
            made[name] = np.broadcast_to(np.asarray(value, np.float64), sources.shape)
        for name, values in made.items():
            self._made.setdefault(name, []).append(values)

    def __len__(self) -> int:
        return len(self.source_indices)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [Connection(self, k) for k in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        return Connection(self, i % len(self))

    @property
    def connections(self) -> Iterator[Connection]:
        """Every synapse."""
        return (Connection(self, i) for i in range(len(self)))

    def _set_attributes(self, parameter_space: ParameterSpace) -> None:
        parameter_space.evaluate(simplify=True)
        for name, value in parameter_space.items():
            if np.ndim(value) == 2:
                value = np.asarray(value)[self.source_indices, self.target_indices]
            self.assign(name, slice(None), value)

    def _set_initial_value_array(self, variable: str, initial_value: Any) -> None:
        if np.any(np.asarray(initial_value.evaluate(simplify=True)) != 0):
            raise SimulationError(
                f"expected {variable} = 0 at the start of synapses, found other values"
            )

    def _get_attributes_as_list(self, names: Any) -> list[tuple[Any, ...]]:
        indices = {
            "presynaptic_index": self.source_indices, "postsynaptic_index": self.target_indices,
        }  # fmt: skip
        columns = [indices[n] if n in indices else self.values(n) for n in names]
        return list(zip(*(c.tolist() for c in columns), strict=True))

    def _get_attributes_as_arrays(
        self, names: Any, multiple_synapses: str = "sum"
    ) -> list[NDArray[np.float64]]:
        found = []
        combine = common.Projection.MULTI_SYNAPSE_OPERATIONS[multiple_synapses]
        for name in names:
            values = np.full(self.shape, np.nan)
            rows = zip(self.source_indices, self.target_indices, self.values(name), strict=True)
            for i, j, value in rows:
                values[i, j] = value if np.isnan(values[i, j]) else combine(values[i, j], value)
            found.append(values)
        return found

    # --- what the simulation asks for ---

    def values(self, name: str) -> NDArray[np.float64]:
        """``name`` of every synapse now."""
        if name == "weight" and self._plastic and self._network is not None:
            found = np.empty(len(self))
            for index, mine in self._native:
                listed = self._network.projections[index].connections()["weight"]
                found[mine] = listed / self._scale
            return found
        return self.numbers[name]

    def assign(self, name: str, which: Any, value: Any) -> None:
        """Set ``name`` of some synapses, from now on."""
        if name not in self.numbers:
            raise errors.NonExistentParameterError(
                name, type(self.synapse_type).__name__, list(self.numbers)
            )
        if self._plastic and name == "weight" and simulator.state.steps:
            raise SimulationError(
                "expected weights of learning synapses to be set before the simulation begins"
            )
        self.numbers[name] = self.numbers[name].astype(np.float64)
        self.numbers[name][which] = value
        simulator.state.changed()

    def describe_to(self, network: dynamics.Network) -> None:
        """Add these synapses to ``network``: one projection for all that have one rule."""
        self._described: list[tuple[int, NDArray[np.int64]]] = []
        if not len(self):
            return
        pre, source = _members(self.pre, self.source_indices)
        post, target = _members(self.post, self.target_indices)
        rules = [n for n in self.numbers if n not in ("weight", "delay")]
        rows = np.stack([pre, post, *(self.numbers[n] for n in rules)])
        kinds, which = np.unique(rows, axis=1, return_inverse=True)
        delay = np.maximum(self.numbers["delay"], network.step)
        for k in range(kinds.shape[1]):
            mine = np.flatnonzero(which.ravel() == k)
            mine = mine[np.lexsort((target[mine], source[mine]))]
            to = simulator.state.populations[int(kinds[1, k])]
            made = self.synapse_type.make(
                self.numbers["weight"][mine] * self._scale,
                delay[mine],
                dict(zip(rules, kinds[2:, k].tolist(), strict=True)),
                self._scale,
            )
            self._described.append((len(network.projections), mine))
            network.connect(
                network.populations[int(kinds[0, k])],
                network.populations[to.position],
                dynamics.Pairs(source[mine], target[mine]),
                made,
                receptor=self._receptor(to),
            )

    def rebuilt(self, network: dynamics.Network) -> None:
        """``network`` is what runs from now on."""
        self._native, self._network = self._described, network

    @property
    def _plastic(self) -> bool:
        return "w_max" in self.numbers

    @property
    def _scale(self) -> float:
        """Of weights: the engine's units to one of PyNN's."""
        kinds = self.post.populations if hasattr(self.post, "populations") else [self.post]
        return float(kinds[0].celltype.weight_scale)

    def _receptor(self, population: Any) -> str:
        if self.receptor_type not in RECEPTORS:
            raise SimulationError(
                f"expected a receptor of {', '.join(RECEPTORS)}, found {self.receptor_type!r}"
            )
        return str(self.receptor_type)


def _members(cells: Any, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The population of each of ``cells[indices]``, by position, and its number in that."""
    ids = np.array([int(c) for c in cells.all_cells], np.int64)[indices]
    firsts = np.array([int(p.first_id) for p in simulator.state.populations], np.int64)
    position = np.searchsorted(firsts, ids, side="right") - 1
    return position, ids - firsts[position]
