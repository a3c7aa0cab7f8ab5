"""A network that does what a NIR graph says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sangbo.dynamics.model import Model, States
from sangbo.dynamics.network import Network
from sangbo.dynamics.neurons import McCullochPitts
from sangbo.dynamics.nir.maps import Entries, Floats, Map, Shape, mapped
from sangbo.dynamics.population import Population
from sangbo.dynamics.receptors import CurrentExponential, Parameters
from sangbo.dynamics.rules import Pairs
from sangbo.dynamics.sources import RegularSource, SpikeTimes
from sangbo.dynamics.synapses import Static
from sangbo.dynamics.values import Value
from sangbo.errors import SourceError, UnsupportedError
from sangbo.sources.nir import NIRGraph, Node, from_dict, read

Method: TypeAlias = Literal["euler", "exact"]

STATEFUL = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")
SILENT = ("I", "LI", "CubaLI")
NEVER = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A network made of a NIR graph.

    Attributes:
        network: to be run; all spikes of populations are recorded, and ``v`` of those that never
            spike.
        populations: by the names of the graph's nodes.
        shapes: of each population, flattened in C order.
        latency: steps after which spikes of each come later than in a framework that passes a
            whole graph in one step: one for each population on the way.
    """

    network: Network
    populations: dict[str, Population]
    shapes: dict[str, Shape]
    latency: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Discrete:
    """The kernel of `LIF` with its numbers worked out.

    ``fade``: what a step keeps of a synaptic current, if there is one; ``mean``: of that in a step.
    """

    decay: Value
    gain: Value
    threshold: Value
    reset: Value
    rest: Value
    fade: Value | None
    mean: Value = 1.0

    @property
    def kernel(self) -> str:
        return "lif/delta" if self.fade is None else "lif/current_exponential"

    def parameters(self, step: float) -> Parameters:
        found: Parameters = {
            "decay": self.decay,
            "gain": self.gain,
            "bias": 0.0,
            "threshold": self.threshold,
            "reset": self.reset,
            "rest": self.rest,
            "refractory_steps": 0.0,
            "leak": 0.0,
            "rate": 0.0,
        }
        if self.fade is not None:
            found |= {"decay_e": self.fade, "decay_i": self.fade, "mean_e": self.mean}
            found["mean_i"] = self.mean
        return found

    def states(self, step: float) -> States:
        return {"v": self.rest}


def from_nir(
    graph: str | Path | Mapping[str, Any] | NIRGraph,
    inputs: Mapping[str, SpikeTimes | ArrayLike],
    *,
    step: float = 0.1,
    method: Method = "euler",
    threads: int | None = None,
) -> Imported:
    """The network that a NIR graph describes, driven by ``inputs``.

    NIR states differential equations, and a spike is a current of 1 for one step. ``euler`` takes
    steps as most frameworks do (v ← v + step/τ·(v_leak − v + R·I)), ``exact`` lets v relax exactly
    to where a constant current takes it. Synaptic currents act from the step after on. Neurons
    start at ``v_leak`` (or 0). A bias is a current in every step.

    Spikes need a step to the next population, so populations further from the inputs are later by
    one step each; ``latency`` says by how many, and shorter paths beside longer ones wait. A loop
    takes a step for each population on it.

    >>> from sangbo import dynamics
    >>> one = {"r": [10.0], "tau": [0.01], "v_leak": [0.0], "v_threshold": [1.0]}
    >>> graph = {"type": "NIRGraph", "edges": [("in", "cell"), ("cell", "out")], "nodes": {
    ...     "in": {"type": "Input", "shape": [1]}, "cell": {"type": "LIF", **one},
    ...     "out": {"type": "Output", "shape": [1]}}}
    >>> made = dynamics.from_nir(graph, {"in": dynamics.SpikeTimes([[1.0, 2.0, 3.0]])}, step=1.0)
    >>> made.network.run(10.0).recorded.spike_times("cell")[0].tolist()
    [3.0]

    Args:
        graph: a file, what ``nir.NIRGraph.to_dict()`` gives, or what `sangbo.sources.nir` reads.
        inputs: for each input node spike times (of neurons in C order), or counts of spikes of
            shape (steps, ...): those of row k come at the end of step k + 1.
        step: ms.
        method: how equations are stepped.
        threads: as in `Network`.

    Raises:
        SourceError: the file is none, or the graph does not fit together.
        UnsupportedError: the graph needs what this cannot do; the message says what.
    """
    made = graph if isinstance(graph, NIRGraph) else None
    if made is None:
        made = from_dict(graph) if isinstance(graph, Mapping) else read(graph)  # type: ignore[arg-type]
    return _Importer(made, step, method, threads).build(inputs)


class _Importer:
    def __init__(self, graph: NIRGraph, step: float, method: Method, threads: int | None) -> None:
        self.graph, self.dt, self.method = graph, step / 1000, method
        self.network = Network(step=step, threads=threads)
        self.inputs = [
            n for n, node in graph.nodes.items() if node.kind == "Input" and not graph.sources(n)
        ]
        self.ends = [*self.inputs, *(n for n, x in graph.nodes.items() if x.kind in STATEFUL)]
        self.shapes: dict[str, Shape] = {}
        self.maps: dict[str, Map] = {}

    def build(self, inputs: Mapping[str, SpikeTimes | ArrayLike]) -> Imported:
        self._infer()
        latency = self._latencies()
        if set(inputs) != set(self.inputs):
            raise SourceError(f"expected inputs {self.inputs}, found {sorted(inputs)}")
        populations = {}
        for name in self.ends:
            size = int(np.prod(self.shapes[name]))
            model = (
                _times(name, inputs[name], size, self.network.step)
                if name in self.inputs
                else self._model(name, self.graph.nodes[name])
            )
            populations[name] = self.network.population(size, model, name=name)
            silent = self.graph.nodes[name].kind in SILENT
            self.network.record(populations[name], "v" if silent else None)
        for name in self.ends:
            if name not in self.inputs:
                self._connect(name, populations, latency)
        shapes = {name: self.shapes[name] for name in self.ends}
        return Imported(self.network, populations, shapes, latency)

    # --- shapes ---

    def _infer(self) -> None:
        """Find the shape of every node's output, from those that state theirs on."""
        waiting = dict(self.graph.nodes)
        for name, node in self.graph.nodes.items():
            stated = self._stated(name, node)
            if stated is not None:
                self.shapes[name] = stated
                del waiting[name]
        while waiting:
            known = [n for n in waiting if any(s in self.shapes for s in self.graph.sources(n))]
            if not known:
                raise SourceError(
                    f"expected nodes that an input reaches, found {', '.join(waiting)}"
                )
            for name in known:
                shape = self._incoming(name)
                node = waiting.pop(name)
                if node.kind in STATEFUL:
                    self.shapes[name] = shape
                else:
                    self._map(name, node, shape)
        for name, node in self.graph.nodes.items():
            if node.kind in STATEFUL or name in self.inputs:
                continue
            if name not in self.maps:
                self._map(name, node, self._incoming(name))

    def _map(self, name: str, node: Node, shape: Shape) -> None:
        self.maps[name] = mapped(name, node, shape)
        self.shapes[name] = self.maps[name].shape

    def _incoming(self, name: str) -> Shape:
        """The shape of what comes in: all that is known agree in size."""
        found = [self.shapes[s] for s in self.graph.sources(name) if s in self.shapes]
        if not found:
            raise SourceError(f"expected something that leads to {name}, found nothing")
        if len({int(np.prod(s)) for s in found}) > 1:
            raise SourceError(f"expected inputs of one size to {name}, found {found}")
        return found[0]

    def _stated(self, name: str, node: Node) -> Shape | None:
        if node.kind == "Input" and name in self.inputs:
            shape = tuple(int(n) for n in node.number("shape").ravel())
            if not shape or min(shape) < 1:
                raise SourceError(f"expected a shape of {name}, found {shape}")
            return shape
        if node.kind in STATEFUL:
            first = "r" if node.kind != "Threshold" else "threshold"
            shape = node.number(first).shape
            return shape if node.number(first).size > 1 else None
        return None

    # --- time ---

    def _latencies(self) -> dict[str, int]:
        """Populations between each and the inputs, on the longest way without loops."""
        found = dict.fromkeys(self.ends, 0)
        links = {(a, b) for b in self.ends for a in self._reach(b)}
        back = _back_edges(self.inputs, self.ends, links)
        for _ in self.ends:
            for a, b in links - back:
                found[b] = max(found[b], found[a] + 1)
        self.back = back
        return found

    def _reach(self, name: str) -> set[str]:
        """Populations from which something leads to ``name`` without passing another."""
        found, todo, seen = set(), list(self.graph.sources(name)), set()
        while todo:
            at = todo.pop()
            if at in self.ends:
                found.add(at)
            elif at not in seen:
                seen.add(at)
                todo += self.graph.sources(at)
        return found

    # --- neurons ---

    def _model(self, name: str, node: Node) -> Model:
        size = int(np.prod(self.shapes[name]))

        def get(key: str, default: float | None = None) -> Floats:
            if key not in node.parameters and default is not None:
                return np.full(size, default)
            values = node.number(key).ravel()
            if values.size not in (1, size):
                raise SourceError(f"expected {size} of {key} in {name}, found {values.size}")
            return np.broadcast_to(values, size)

        if node.kind == "Threshold":
            return McCullochPitts(threshold=_above(get("threshold")))
        leaky, synaptic = node.kind not in ("I", "IF"), node.kind.startswith("Cuba")
        rest, keep, gain = np.zeros(size), np.ones(size), np.full(size, self.dt)
        if leaky:
            rest = get("v_leak")
            keep, gain = self._relax(name, get("tau_mem" if synaptic else "tau"))
        spiking = node.kind not in SILENT
        mean: Value = 1.0
        if synaptic and self.method == "exact":
            ms = {f"tau_{kind}": get("tau_syn") * 1000 for kind in ("excitatory", "inhibitory")}
            receptors = CurrentExponential(**ms)
            mean = receptors.parameters(self.network.step, get("tau_mem") * 1000)["mean_e"]
        return _Discrete(
            decay=keep,
            gain=gain * get("r"),
            threshold=_above(get("v_threshold")) if spiking else NEVER,
            reset=get("v_reset", 0.0) if spiking else rest,
            rest=rest,
            fade=self._relax(name, get("tau_syn"))[0] if synaptic else None,
            mean=mean,
        )

    def _relax(self, name: str, tau: Floats) -> tuple[Floats, Floats]:
        """What a step keeps of a state, and what it adds of where that goes."""
        if not (tau > 0).all():
            raise SourceError(f"expected time constants above 0 in {name}, found {tau.min()}")
        if self.method == "exact":
            return np.exp(-self.dt / tau), -np.expm1(-self.dt / tau)
        if (tau < self.dt).any():
            raise SourceError(
                f"expected time constants of a step ({self.dt:g} s) or more in {name}, found "
                f"{tau.min():g}"
            )
        return 1 - self.dt / tau, self.dt / tau

    def _weights(self, name: str) -> Floats:
        """What an input of 1 in one step adds to the state that it reaches first."""
        node, size = self.graph.nodes[name], int(np.prod(self.shapes[name]))
        if node.kind == "Threshold":
            return np.ones(size)
        if node.kind.startswith("Cuba"):
            _, gain = self._relax(name, node.number("tau_syn").ravel())
            scale = gain * (node.number("w_in").ravel() if "w_in" in node.parameters else 1.0)
        elif node.kind in ("I", "IF"):
            scale = self.dt * node.number("r").ravel()
        else:
            _, gain = self._relax(name, node.number("tau").ravel())
            scale = gain * node.number("r").ravel()
        return np.broadcast_to(scale, size)

    # --- synapses ---

    def _connect(
        self, name: str, populations: Mapping[str, Population], latency: Mapping[str, int]
    ) -> None:
        scale, size = self._weights(name), int(np.prod(self.shapes[name]))
        bias = np.zeros(size)
        for pre, entries in self._paths(name, Entries.identity(size), bias, ()).items():
            if self.graph.nodes[pre].kind in SILENT:
                raise UnsupportedError(
                    f"expected spikes from {pre}, found a {self.graph.nodes[pre].kind}: it sends "
                    "real values, which synapses cannot carry"
                )
            wait = 1 if (pre, name) in self.back else latency[name] - latency[pre]
            delay = wait * self.network.step + entries.delay * 1000
            self._project(
                populations[pre], populations[name], entries.source, entries.target,
                entries.weight * scale[entries.target], delay,
            )  # fmt: skip
        if bias.any():
            always = self.network.population(
                1, RegularSource(interval=self.network.step), name=f"bias of {name}"
            )
            target = np.flatnonzero(bias)
            self._project(
                always, populations[name], np.zeros(target.size, np.int64), target,
                bias[target] * scale[target],
                np.full(target.size, max(1, latency[name]) * self.network.step),
            )  # fmt: skip

    def _paths(
        self, name: str, after: Entries, bias: Floats, seen: tuple[str, ...]
    ) -> dict[str, Entries]:
        """What leads to ``name`` and on by ``after``, by population; biases are added up."""
        if name in seen:
            raise UnsupportedError(f"expected a population on every loop, found none at {name}")
        found: dict[str, Entries] = {}
        for source in self.graph.sources(name):
            if source in self.ends:
                paths = {source: after}
            else:
                map_ = self.maps[source]
                if map_.bias is not None:
                    np.add.at(bias, after.target, after.weight * map_.bias[after.source])
                whole = map_.entries.then(after)
                paths = self._paths(source, whole, bias, (*seen, name))
            for pre, entries in paths.items():
                found[pre] = _added(found[pre], entries) if pre in found else entries
        return found

    def _project(
        self, pre: Population, post: Population, source: NDArray[np.int64],
        target: NDArray[np.int64], weight: Floats, delay: Floats,
    ) -> None:  # fmt: skip
        if not source.size:
            return
        synapses = Static(weight=weight, delay=delay, storage="wide")
        self.network.connect(pre, post, Pairs(source, target), synapses)


def _added(a: Entries, b: Entries) -> Entries:
    return Entries(
        np.concatenate([a.source, b.source]),
        np.concatenate([a.target, b.target]),
        np.concatenate([a.weight, b.weight]),
        np.concatenate([a.delay, b.delay]),
    ).merged()


def _back_edges(
    inputs: Sequence[str], ends: Sequence[str], links: set[tuple[str, str]]
) -> set[tuple[str, str]]:
    """The links that close loops, seen from the inputs in depth-first order."""
    after: dict[str, list[str]] = {n: sorted(b for a, b in links if a == n) for n in ends}
    back: set[tuple[str, str]] = set()
    done: set[str] = set()
    for root in [*inputs, *ends]:
        if root in done:
            continue
        path, stack = {root}, [(root, iter(after[root]))]
        while stack:
            at, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                done.add(at)
                path.discard(at)
                stack.pop()
            elif following in path:
                back.add((at, following))
            elif following not in done:
                path.add(following)
                stack.append((following, iter(after[following])))
    return back


def _above(threshold: Floats) -> Floats:
    """NIR's neurons fire above their threshold, the engine's at it: the next float32."""
    return np.nextafter(threshold.astype(np.float32), np.float32(np.inf)).astype(np.float64)


def _times(name: str, given: SpikeTimes | ArrayLike, size: int, step: float) -> SpikeTimes:
    if isinstance(given, SpikeTimes):
        if given.neurons != size:
            raise SourceError(f"expected {size} lists of times in {name}, found {given.neurons}")
        return given
    counts = np.asarray(given)
    if counts.ndim < 2 or int(np.prod(counts.shape[1:])) != size:
        raise SourceError(f"expected counts of (steps, {size}) in {name}, found {counts.shape}")
    counts = counts.reshape(len(counts), size)
    if (counts != np.round(counts)).any() or (counts < 0).any():
        raise UnsupportedError(
            f"expected whole numbers of spikes into {name}, found others: spikes carry no values"
        )
    steps, neurons = np.nonzero(counts)
    often = counts[steps, neurons].astype(np.int64)
    times = (np.repeat(steps, often) + 1) * step
    order = np.argsort(np.repeat(neurons, often), kind="stable")
    ends = np.cumsum(np.bincount(neurons, often, size)).astype(np.int64)[:-1]
    return SpikeTimes(np.split(times[order], ends))
