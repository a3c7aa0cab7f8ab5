"""Saving a network in the middle of a simulation, and going on from there exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as encode

from sangbo.dynamics.cables.cell import Cable
from sangbo.dynamics.sources import SpikeTimes
from sangbo.errors import SimulationError
from sangbo.files import write_file

if TYPE_CHECKING:
    from sangbo.dynamics.network import Network

FORMAT = 3


def save(network: Network, path: Path) -> None:
    """Write what ``network`` is in the middle of to ``path``, in one step (safetensors).

    Neurons and synapses themselves are not written: the same description makes them again.

    Raises:
        SangboError: it cannot be written.
    """
    native = network.build()
    tensors: dict[str, NDArray[Any]] = {"step": np.array([native.step], np.uint64)}
    for p in network.populations:
        steps, neurons = native.sent(p.index)
        tensors[f"{p.index}.sent.steps"], tensors[f"{p.index}.sent.neurons"] = steps, neurons
        if isinstance(p.model, SpikeTimes):
            continue
        if isinstance(p.model, Cable):
            tensors[f"{p.index}.cells"] = native.saved_cells(p.index)
        for i, name in enumerate([] if isinstance(p.model, Cable) else p.states):
            tensors[f"{p.index}.state.{name}"] = native.state(p.index, i)
        for i, name in enumerate(p.receptors):
            tensors[f"{p.index}.input.{name}"] = native.inputs(p.index, i)
    for q in network.projections:
        tensors[f"{q.index}.plasticity"] = native.plasticity(q.index)
        if q.kept is not None:
            tensors[f"{q.index}.kept"] = q.kept
    write_file(path, encode(tensors, metadata={"network": _described(network)}))


def restore(network: Network, path: Path) -> None:
    """Bring ``network``, described as the saved one was, to where that was.

    Raises:
        SimulationError: the file is no checkpoint, or that of another network.
    """
    native = network.build()
    try:
        with safe_open(path, framework="numpy") as file:
            found = (file.metadata() or {}).get("network")
            if found != _described(network):
                raise SimulationError(
                    f"expected a checkpoint of this network in {path}, {_described(network)}, "
                    f"found {found}"
                )
            tensors: dict[str, NDArray[Any]] = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise SimulationError(f"expected a checkpoint in {path}: {error}") from None
    try:
        native.set_step(int(tensors["step"][0]))
        for p in network.populations:
            sent = f"{p.index}.sent"
            native.set_sent(p.index, tensors[f"{sent}.steps"], tensors[f"{sent}.neurons"])
            if isinstance(p.model, SpikeTimes):
                continue
            if isinstance(p.model, Cable):
                native.restore_cells(p.index, tensors[f"{p.index}.cells"])
            for i, name in enumerate([] if isinstance(p.model, Cable) else p.states):
                state = tensors[f"{p.index}.state.{name}"].view(np.float32)
                if state.shape != (p.size,):
                    raise SimulationError(
                        f"expected {p.size} of {name} of {p.name} in {path}, found {state.shape}"
                    )
                native.set_state(p.index, i, state)
            for i, name in enumerate(p.receptors):
                native.set_inputs(p.index, i, tensors[f"{p.index}.input.{name}"])
        for q in network.projections:
            if f"{q.index}.kept" in tensors:
                q.keep(tensors[f"{q.index}.kept"])
            native.set_plasticity(q.index, tensors[f"{q.index}.plasticity"])
    except (KeyError, TypeError, ValueError) as error:
        raise SimulationError(f"expected a whole checkpoint in {path}, found {error}") from None


def carry_on(network: Network, earlier: Network) -> None:
    """Bring ``network`` to where ``earlier`` is; see `Network.carry_on`."""
    new, old = network.build(), earlier.build()
    known = {p.name: p for p in earlier.populations}
    new.set_step(old.step)
    for p in network.populations:
        before = known.get(p.name)
        if before is None:
            continue
        if (before.size, before.states) != (p.size, p.states):
            raise SimulationError(f"expected {before} as before, found {p}")
        if isinstance(p.model, Cable):
            new.restore_cells(p.index, old.saved_cells(before.index))
        for i in range(0 if isinstance(p.model, Cable) else len(p.states)):
            new.set_state(p.index, i, old.state(before.index, i))
        for i in range(len(p.receptors)):
            coming = old.inputs(before.index, i).reshape(-1, p.size)
            if coming.any():
                _arrive(network, p.index, i, coming, p.name)
    for q, r in zip(network.projections, earlier.projections, strict=False):
        words = old.plasticity(r.index)
        if r.kept is not None:
            q.keep(r.kept)
        if words.size and q.synapses.storage != "compact" and q.size != r.size:
            raise SimulationError(f"expected {r.size} plastic synapses as before, found {q.size}")
        new.set_plasticity(q.index, words)


def _arrive(
    network: Network, population: int, receptor: int, coming: NDArray[np.float32], name: str
) -> None:
    """Put inputs on their way into a ring of perhaps another length."""
    native = network.build()
    ring = native.inputs(population, receptor).reshape(-1, coming.shape[1])
    if not len(ring):
        raise SimulationError(f"expected spikes on their way to {name} to have a way, found none")
    ahead = native.step + 1 + np.arange(len(coming))
    due = coming[ahead % len(coming)]
    late = min(len(ring), len(coming))
    if due[late:].any():
        raise SimulationError(f"expected delays to {name} no shorter than before, found shorter")
    ring[ahead[:late] % len(ring)] = due[:late]
    native.set_inputs(population, receptor, ring.ravel())


def _described(network: Network) -> str:
    """What must be the same for a checkpoint to fit."""
    return json.dumps(
        {
            "format": FORMAT,
            "step": network.step,
            "seed": network.seed,
            "populations": [
                [p.name, p.size, "" if isinstance(p.model, SpikeTimes) else p.model.kernel]
                for p in network.populations
            ],
            "projections": [
                [q.pre.name, q.post.name, q.receptor, type(q.synapses).__name__, q.made]
                for q in network.projections
            ],
        }
    )
