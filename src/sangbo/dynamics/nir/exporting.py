"""What NIR can state of a network, exactly; the rest is refused with the reason."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sangbo.dynamics.network import Network
from sangbo.dynamics.neurons import LIF, McCullochPitts
from sangbo.dynamics.nir.maps import Floats
from sangbo.dynamics.population import Population
from sangbo.dynamics.projection import Projection
from sangbo.dynamics.receptors import CurrentExponential, Delta
from sangbo.dynamics.sources import PoissonSource, RegularSource, SpikeTimes
from sangbo.dynamics.synapses import Static
from sangbo.errors import UnsupportedError
from sangbo.sources.nir import NIRGraph, Node

LARGEST_MATRIX = 1 << 28
"""Weights of one node: NIR's matrices are dense."""


def to_nir(network: Network) -> NIRGraph:
    """The NIR graph of ``network``; `sangbo.sources.nir.write` writes it.

    `LIF` with `Delta` receptors is ``LIF``, with `CurrentExponential` ones ``CubaLIF``,
    `McCullochPitts` is ``Threshold``; sources are inputs, static synapses ``Linear``, delays beyond
    a step ``Delay``. Weights keep their numbers: R and w_in make a current of 1 for one step do
    what a weight of 1 does here, so `from_nir` with ``method="exact"`` gives the same spikes. A
    constant current is part of ``v_leak``.

    Raises:
        UnsupportedError: the network has what NIR cannot state: refractory times, other neurons,
            receptors or synapses, stimuli, initial states away from rest, delays that differ among
            the synapses of one source, or matrices too large to be dense.
    """
    if network.stimuli:
        raise _refused(f"a stimulus of {network.stimuli[0][0].name}")
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    for population in network.populations:
        nodes[population.name] = _node(population, network)
    for projection in network.projections:
        name = f"{projection.pre.name} to {projection.post.name}"
        while name in nodes:
            name += "'"
        path = [projection.pre.name]
        for key, node in _synapses(name, projection, network.step):
            nodes[key] = node
            path.append(key)
        edges += zip(path, [*path[1:], projection.post.name], strict=True)
    for population in network.populations:
        if all(p.pre is not population for p in network.projections):
            name = f"output {population.name}"
            nodes[name] = Node("Output", {"shape": np.array([population.size])})
            edges.append((population.name, name))
    return NIRGraph(nodes, tuple(edges))


def _refused(what: str) -> UnsupportedError:
    return UnsupportedError(f"expected what NIR can state, found {what}")


def _node(population: Population, network: Network) -> Node:
    model, size, name = population.model, population.size, population.name

    def full(value: object) -> Floats:
        return np.broadcast_to(np.asarray(value, np.float64), size).copy()

    if isinstance(model, SpikeTimes | PoissonSource | RegularSource):
        return Node("Input", {"shape": np.array([size])})
    if isinstance(model, McCullochPitts):
        return Node("Threshold", {"threshold": _below(full(model.threshold))})
    if not isinstance(model, LIF):
        raise _refused(f"{type(model).__name__} neurons in {name}")
    if np.round(np.asarray(model.t_ref) / network.step).any():
        raise _refused(f"a refractory time in {name}")
    tau, capacitance = full(model.tau_m), full(model.c_m)
    rest = full(model.e_l) + full(model.i_e) * tau / capacitance
    if model.v is not None and not np.array_equal(full(model.v), rest):
        raise _refused(f"an initial potential in {name} that is not where it rests")
    common = {
        "v_leak": rest,
        "v_threshold": _below(full(model.v_th)),
        "v_reset": full(model.v_reset),
    }
    if isinstance(model.receptors, Delta):
        return Node("LIF", {"tau": tau / 1000, "r": _pulse(tau, network.step), **common})
    if not isinstance(model.receptors, CurrentExponential):
        raise _refused(f"{type(model.receptors).__name__} in {name}")
    used = {p.receptor for p in network.projections if p.post is population} or {"excitatory"}
    if "current" in used:
        raise _refused(f"synapses to the receptor 'current' of {name}")
    taus = [full(getattr(model.receptors, f"tau_{receptor}")) for receptor in sorted(used)]
    if not all(np.array_equal(t, taus[0]) for t in taus):
        raise _refused(f"excitatory and inhibitory currents of different time constants in {name}")
    return Node(
        "CubaLIF",
        {
            "tau_mem": tau / 1000,
            "tau_syn": taus[0] / 1000,
            "r": tau / capacitance,
            "w_in": _pulse(taus[0], network.step),
            **common,
        },
    )


def _pulse(tau: Floats, step: float) -> Floats:
    """What R must be for a current of 1 during one step to move a state by 1."""
    return -1 / np.expm1(-step / tau)


def _below(threshold: Floats) -> Floats:
    """The engine's neurons fire at their threshold, NIR's above it: the float32 before."""
    return np.nextafter(threshold.astype(np.float32), np.float32(-np.inf)).astype(np.float64)


def _synapses(name: str, projection: Projection, step: float) -> Iterator[tuple[str, Node]]:
    pre, post = projection.pre, projection.post
    if not isinstance(projection.synapses, Static):
        raise _refused(f"{type(projection.synapses).__name__} synapses from {name}")
    if pre.size * post.size > LARGEST_MATRIX:
        raise _refused(f"a dense matrix of {pre.size} × {post.size} weights from {name}")
    listed = projection.connections()
    delay = np.full(pre.size, step)
    delay[listed["source"]] = listed["delay"]
    if (delay[listed["source"]] != listed["delay"]).any():
        raise _refused(f"delays that differ among synapses of one source, from {name}")
    beyond = np.round(delay / step).astype(np.int64) - 1
    if beyond.any():
        yield f"delay {name}", Node("Delay", {"delay": beyond * step / 1000})
    weight = np.zeros((post.size, pre.size))
    np.add.at(weight, (listed["target"], listed["source"]), listed["weight"])
    yield name, Node("Linear", {"weight": weight})
