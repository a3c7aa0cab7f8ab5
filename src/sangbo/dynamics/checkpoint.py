"""Saving a network in the middle of a simulation, and going on from there exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as encode

from sangbo.dynamics.cables.cell import Cable
from sangbo.dynamics.ranks import told
from sangbo.dynamics.sources import SpikeTimes
from sangbo.errors import SangboError, SimulationError
from sangbo.files import write_file

if TYPE_CHECKING:
    from sangbo.dynamics.network import Network
    from sangbo.dynamics.population import Population

FORMAT = 4
LIST = "checkpoint.json"
"""Of a folder's parts; it is written last."""
_PART = ".safetensors"

Tensors: TypeAlias = dict[str, NDArray[Any]]


def save(network: Network, path: Path) -> None:
    """Write what ``network`` is in the middle of to ``path``, in one step (safetensors).

    Neurons and synapses themselves are not written: the same description makes them again. Where
    there are several ranks, or ``path`` is a folder, each rank writes a part of its own into that
    folder; a list of parts, written when all are there, takes the place of the one before.

    Raises:
        SangboError: it cannot be written; what stood there is as it was.
    """
    content = encode(_tensors(network), metadata={"network": _described(network)})
    ranks = network.ranks
    if ranks.size == 1 and not path.is_dir():
        write_file(path, content)
        return
    step = network.build().step
    names = [f"{step:012}-{r:05}-of-{ranks.size:05}{_PART}" for r in range(ranks.size)]

    def write_part() -> None:
        path.mkdir(parents=True, exist_ok=True)
        write_file(path / names[ranks.rank], content)

    def write_list() -> None:
        if ranks.rank == 0:
            write_file(path / LIST, json.dumps({"step": step, "parts": names}).encode())
            for old in set(path.glob(f"*{_PART}")) - {path / name for name in names}:
                old.unlink()

    for write in (write_part, write_list):
        problem = ""
        try:
            write()
        except SangboError as error:
            problem = str(error)
        except OSError as error:
            problem = f"expected to write {path}, found: {error.strerror}"
        for said in told(ranks, problem):
            if said:
                raise SangboError(said)


def restore(network: Network, path: Path) -> None:
    """Bring ``network``, described as the saved one was, to where that was.

    Any number of ranks takes what any number saved, unless synapses learn or cells have
    compartments: then it must be the same.

    Raises:
        SimulationError: the file is no checkpoint, or that of another network.
    """
    network.build()
    parts = _parts(path)
    whole = len(parts) != network.ranks.size
    if not whole:
        parts = [parts[network.ranks.rank]]
    try:
        _restore(network, [_read(network, part) for part in parts], whole, path)
    except (KeyError, TypeError, ValueError) as error:
        raise SimulationError(f"expected a whole checkpoint in {path}, found {error}") from None


def _tensors(network: Network) -> Tensors:
    """What this rank is in the middle of."""
    native = network.build()
    tensors: Tensors = {"step": np.array([native.step], np.uint64)}
    for p in network.populations:
        steps, neurons = native.sent(p.index)
        tensors[f"{p.index}.sent.steps"], tensors[f"{p.index}.sent.neurons"] = steps, neurons
        if isinstance(p.model, SpikeTimes):
            continue
        if isinstance(p.model, Cable):
            tensors[f"{p.index}.cells"] = native.saved_cells(p.index)
        for i, name in enumerate([] if isinstance(p.model, Cable) else p.states):
            tensors[f"{p.index}.state.{name}"] = native.state(p.index, i)
        first, end = native.own(p.index)
        for i, name in enumerate(p.receptors):
            inputs = native.inputs(p.index, i).reshape(-1, max(1, end - first))
            tensors[f"{p.index}.input.{name}"] = inputs[:, : end - first]
    for q in network.projections:
        tensors[f"{q.index}.plasticity"] = native.plasticity(q.index)
        if q.kept is not None:
            tensors[f"{q.index}.kept"] = q.kept
    return tensors


def _parts(path: Path) -> list[Path]:
    """The files of a checkpoint, in the order of ranks."""
    if not path.is_dir():
        return [path]
    try:
        names = json.loads((path / LIST).read_bytes())["parts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SimulationError(f"expected a checkpoint in {path}: {error}") from None
    plain = isinstance(names, list) and all(
        isinstance(name, str) and name == Path(name).name and name.endswith(_PART) for name in names
    )
    if not plain or not names:
        raise SimulationError(f"expected names of parts in {path / LIST}, found {names!r}")
    return [path / name for name in names]


def _read(network: Network, path: Path) -> Tensors:
    expected = _described(network)
    try:
        with safe_open(path, framework="numpy") as file:
            found = (file.metadata() or {}).get("network")
            if found != expected:
                raise SimulationError(
                    f"expected a checkpoint of this network in {path}, {expected}, found {found}"
                )
            return {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise SimulationError(f"expected a checkpoint in {path}: {error}") from None


def _restore(network: Network, parts: list[Tensors], whole: bool, path: Path) -> None:
    """Take what is this rank's: from its own part or, ``whole``, from those of all ranks before."""
    native = network.build()
    native.set_step(int(parts[0]["step"][0]))

    def own(key: str, population: Population) -> NDArray[Any]:
        first, end = native.own(population.index)
        some = [part[key] for part in parts if part[key].shape[-1]] or [parts[0][key]]
        found = np.concatenate(some, axis=-1)
        expected = population.size if whole else end - first
        if found.shape[-1:] != (expected,):
            raise SimulationError(
                f"expected {expected} of {key} of {population.name} in {path}, found {found.shape}"
            )
        return found[..., first:end] if whole else found

    def alone(key: str) -> NDArray[Any]:
        if whole and any(part[key].size for part in parts):
            raise SimulationError(
                f"expected as many ranks as saved {path}, {len(parts)}, as cells or synapses of "
                f"this network have parts of their own, found {network.ranks.size}"
            )
        return parts[0][key]

    for p in network.populations:
        sent = f"{p.index}.sent"
        native.set_sent(p.index, parts[0][f"{sent}.steps"], parts[0][f"{sent}.neurons"])
        if isinstance(p.model, SpikeTimes):
            continue
        if isinstance(p.model, Cable):
            native.restore_cells(p.index, alone(f"{p.index}.cells"))
        for i, name in enumerate([] if isinstance(p.model, Cable) else p.states):
            native.set_state(p.index, i, own(f"{p.index}.state.{name}", p).view(np.float32))
        for i, name in enumerate(p.receptors):
            native.set_inputs(p.index, i, own(f"{p.index}.input.{name}", p).ravel())
    for q in network.projections:
        if f"{q.index}.kept" in parts[0]:
            q.keep(parts[0][f"{q.index}.kept"])
        native.set_plasticity(q.index, alone(f"{q.index}.plasticity"))


def carry_on(network: Network, earlier: Network) -> None:
    """Bring ``network`` to where ``earlier`` is; see `Network.carry_on`."""
    if network.ranks.size > 1:
        raise SimulationError(f"expected one rank to carry on, found {network.ranks.size}")
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
