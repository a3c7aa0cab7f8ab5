"""The network as described, made in the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sangbo import _dynamics
from sangbo.dynamics.cables.cell import Cable
from sangbo.dynamics.model import Model
from sangbo.dynamics.sources import SpikeTimes
from sangbo.dynamics.synapses import LEARNING, bounds, longest, make_plastic, shortest
from sangbo.dynamics.values import Normal, Uniform
from sangbo.errors import SimulationError

if TYPE_CHECKING:
    from sangbo.dynamics.network import Network
    from sangbo.dynamics.population import Population
    from sangbo.dynamics.projection import Projection


class Kernel(NamedTuple):
    """A neuron model as the engine knows it."""

    states: list[str]
    parameters: list[str]
    receptors: list[str]
    integers: bool


KERNELS = {m[0]: Kernel(*m[1:]) for m in _dynamics.models()}
_LARGEST_MULTIPLE = 1 << 11
_LONGEST_BLOCK = 256  # steps whose spikes ranks exchange at once
_LISTED = Kernel([], [], [], False)


def kernel(model: Model | Cable | SpikeTimes) -> Kernel:
    """What ``model`` is to the engine; names of nothing for `SpikeTimes`."""
    if isinstance(model, Cable):
        return Kernel(model.states, [], model.receptors, False)
    return _LISTED if isinstance(model, SpikeTimes) else KERNELS[model.kernel]


def make(network: Network, isa: str) -> _dynamics.Network:
    """The engine's network, built."""
    ranks = network.ranks
    native = _dynamics.Network(network.seed, network.threads, isa, ranks.rank, ranks.size)
    for population in network.populations:
        _make_population(native, population, network.step)
    for projection in network.projections:
        _make_projection(native, projection, network)
    for population, stimulus in network.stimuli:
        receptor = population.receptors.index(stimulus.receptor)
        stimulus.native(native, population.index, receptor, network.step)
    for population in network.recorded if ranks.rank == 0 else []:
        native.record(population.index)
    for population, sampling in network.samplings:
        state = population.states.index(sampling.state)
        first, end = native.own(population.index)
        own = sampling.neurons[(sampling.neurons >= first) & (sampling.neurons < end)]
        native.sample(population.index, own, state, sampling.every)
    if ranks.size > 1:
        block = exchanged(network)
        native.exchange(ranks.send, ranks.receive, max(1, block), block > 0)
    native.build()
    return native


def exchanged(network: Network) -> int:
    """Steps in a block of spikes that is on its way to other ranks while the next is computed.

    A spike of the first step of a block is heard of at the end of the next block, so a block is
    half of the shortest delay. 0: there is no time for that, and spikes are waited for at the end
    of every step; synapses that learn compare their times with those of their targets.
    """
    if any(isinstance(p.synapses, LEARNING) for p in network.projections):
        return 0
    delays = [shortest(p.synapses.delay, network.step) for p in network.projections]
    return min([_LONGEST_BLOCK, *(delay // 2 for delay in delays)])


def _make_population(native: _dynamics.Network, population: Population, step: float) -> None:
    model = population.model
    if isinstance(model, SpikeTimes):
        native.listed(population.name, population.size, *model.listed(step))
        return
    if isinstance(model, Cable):
        native.cells(population.name, population.size, model.native(step))
        return
    known = kernel(model)
    kind = np.int32 if known.integers else np.float32
    native.population(population.name, model.kernel, population.size)
    own = slice(*native.own(population.index))
    given = model.parameters(step)
    if set(given) != set(known.parameters):
        raise SimulationError(f"expected parameters {known.parameters}, found {sorted(given)}")
    for index, name in enumerate(known.parameters):
        values = np.atleast_1d(np.asarray(given[name])).astype(kind)
        values = values if values.size == 1 else values[own]
        native.set_parameter(population.index, index, values.view(np.float32))
    for name, value in model.states(step).items():
        values = np.broadcast_to(np.asarray(value), population.size).astype(kind)
        native.set_state(population.index, known.states.index(name), values[own].view(np.float32))


def _make_projection(native: _dynamics.Network, projection: Projection, network: Network) -> None:
    synapses, pre, post = projection.synapses, projection.pre, projection.post
    rule, order = projection.rule.native(pre, post, network.seed, projection.index)
    weight, delay = synapses.weight, synapses.delay
    weights, delays = np.zeros(0, np.float32), np.zeros(0, np.uint32)
    if not isinstance(weight, Uniform | Normal) and np.ndim(weight):
        weights = _listed("weights", weight, order).astype(np.float32)
    if not isinstance(delay, Uniform | Normal) and np.ndim(delay):
        delays = np.round(_listed("delays", delay, order) / network.step).astype(np.uint32)
    index = native.project(
        pre.index,
        post.index,
        post.receptors.index(projection.receptor),
        rule,
        synapses.storage != "compact",
        _native(weight, weights.size),
        _native(delay, delays.size, 1 / network.step),
        weights,
        delays,
        longest(delay, network.step),
        1.0 if post.integers else _unit(weight),
        max(map(abs, bounds("weight", weight))),
        0,
    )
    make_plastic(native, index, synapses, network.step)


def _unit(weight: Any) -> float:
    """What all weights are whole multiples of, or 0 where that is nothing."""
    if isinstance(weight, Uniform | Normal):
        return 0.0
    sizes = np.abs(np.unique(np.asarray(weight, np.float64)))
    sizes = sizes[sizes > 0]
    if not sizes.size:
        return 1.0
    multiples = sizes / sizes.min()
    whole = np.abs(multiples - np.round(multiples)) < 1e-9 * multiples
    return float(sizes.min()) if whole.all() and multiples.max() < _LARGEST_MULTIPLE else 0.0


def _listed(name: str, values: Any, order: NDArray[np.int64] | None) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if order is None or array.shape != order.shape:
        raise SimulationError(
            f"expected one number, a distribution, or one of {name} for each listed pair, found "
            f"shape {array.shape}"
        )
    return array[order]


def _native(value: Any, listed: int, scale: float = 1.0) -> _dynamics.Distribution:
    if isinstance(value, Uniform | Normal):
        return value.native(scale)
    return _dynamics.Distribution(0, 0.0 if listed else float(value) * scale, 0, 0, 0)
