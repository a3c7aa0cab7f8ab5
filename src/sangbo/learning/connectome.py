"""The nervous system of C. elegans, running.

`sangbo simulate connectome`. Every neuron and muscle of the hermaphrodite with the synapses that
Cook et al. (2019) counted, as PyPI's ``cect`` carries them. The counts are data; what is not known
of single synapses is put in, and said here:

- every cell is a leaky integrate-and-fire neuron, though most neurons of the worm have graded
  potentials and no spikes;
- a chemical synapse is `_WEIGHT` for each contact counted; those of the 26 GABAergic neurons (White
  et al. 1986, McIntire et al. 1993) are inhibitory, all others excitatory;
- a gap junction brings spikes both ways, as an excitatory synapse of half that weight.

What is to see is therefore what the wiring does: touch the worm somewhere, and look which command
interneurons and which muscles answer.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sangbo.data.packages import fetch
from sangbo.dynamics import LIF, Network, NoiseInput, Pairs, Static, StepInput
from sangbo.errors import SangboError
from sangbo.progress import Progress, silent
from sangbo.sources.archives import read_member

_EDGES = "cect/data/herm_full_edgelist.csv"
_LARGEST = 2**20
_WEIGHT = 20.0  # pA for each contact
_TOUCH = 1500.0  # pA
_NOISE = NoiseInput(mean=200.0, deviation=800.0)

GABA = frozenset(
    ["RMED", "RMEV", "RMEL", "RMER", "AVL", "DVB", "RIS"]
    + [f"DD{i:02}" for i in range(1, 7)]
    + [f"VD{i:02}" for i in range(1, 14)]
)
"""Neurons that inhibit."""

TOUCHES = {
    "none": (),
    "nose": ("ASHL", "ASHR", "FLPL", "FLPR", "OLQDL", "OLQDR", "OLQVL", "OLQVR"),
    "anterior": ("ALML", "ALMR", "AVM"),
    "posterior": ("PLML", "PLMR"),
}
"""Sensory neurons of each touch (Chalfie et al. 1985)."""

COMMANDS = {
    "backward": ("AVAL", "AVAR", "AVDL", "AVDR", "AVEL", "AVER"),
    "forward": ("AVBL", "AVBR", "PVCL", "PVCR"),
}
"""Interneurons that drive the motor neurons of either direction."""

_MOTORS = {"backward": ("DA", "VA"), "forward": ("DB", "VB")}


@dataclass(frozen=True, slots=True)
class Wiring:
    """Cells and how many contacts there are between them.

    Attributes:
        names: of all cells.
        chemical, electrical: contacts from cell to cell, shape (cells, cells).
    """

    names: tuple[str, ...]
    chemical: NDArray[np.float64]
    electrical: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Worm:
    """How the nervous system answered a touch.

    Attributes:
        touch: one of `TOUCHES`.
        neurons, muscles, synapses: sizes.
        spikes: of all cells.
        rates: Hz of groups of neurons and muscles while it was touched.
        rest: the same before.
        times, cells: of all spikes (ms, number of the cell).
        names: of the cells.
    """

    touch: str
    seed: int
    neurons: int
    muscles: int
    synapses: int
    spikes: int
    real_time_factor: float
    rates: dict[str, float]
    rest: dict[str, float]
    times: NDArray[np.float64] = field(repr=False)
    cells: NDArray[np.int64] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """What ``sangbo simulate connectome --json`` prints."""
        keys = ("touch", "seed", "neurons", "muscles", "synapses", "spikes", "real_time_factor")
        return {**{key: getattr(self, key) for key in keys}, "rates": self.rates, "rest": self.rest}


def wiring(progress: Progress = silent) -> Wiring:
    """The contacts of the hermaphrodite (Cook et al. 2019)."""
    lines = read_member(fetch("connectome", progress), _EDGES, _LARGEST).decode("utf-8")
    rows = [[x.strip() for x in row] for row in csv.reader(lines.splitlines()[1:])]
    names = tuple(sorted({name for row in rows for name in row[:2]}))
    number = {name: i for i, name in enumerate(names)}
    found = {kind: np.zeros((len(names),) * 2) for kind in ("chemical", "electrical")}
    for source, target, weight, kind in rows:
        if kind not in found:
            raise SangboError(f"expected a chemical or electrical contact, found {kind!r}")
        found[kind][number[source], number[target]] += float(weight)
    return Wiring(names, found["chemical"], found["electrical"])


def is_neuron(name: str) -> bool:
    """Whether the cell is a neuron: they have names in capitals; muscles and others begin small."""
    return name[0].isupper()


def touch_worm(
    touch: str = "posterior",
    *,
    seed: int = 1,
    duration: float = 1000.0,
    threads: int | None = None,
    progress: Progress = silent,
) -> Worm:
    """Let the worm rest for ``duration`` ms, and touch it as long.

    Args:
        touch: one of `TOUCHES`.
        seed: of the noise in its membranes.
        duration: ms of rest, and of touch.
        threads: as in `sangbo.dynamics.Network`.
        progress: told how far it is.

    Raises:
        SangboError: there is no such touch.
    """
    if touch not in TOUCHES:
        raise SangboError(f"expected a touch, one of {', '.join(TOUCHES)}, found {touch!r}")
    wires = wiring(progress)
    names = wires.names
    network = Network(step=0.1, seed=seed, threads=threads)
    cells = network.population(len(names), LIF(t_ref=5.0), name="cells")
    inhibits = np.array([name in GABA for name in names])
    groups = (
        (np.where(inhibits[:, None], 0.0, wires.chemical), _WEIGHT, "excitatory"),
        (np.where(inhibits[:, None], wires.chemical, 0.0), -_WEIGHT, "inhibitory"),
        (np.maximum(wires.electrical, wires.electrical.T), _WEIGHT / 2, "excitatory"),
    )
    for contacts, weight, receptor in groups:
        sources, targets = np.nonzero(contacts)
        network.connect(
            cells,
            cells,
            Pairs(sources, targets),
            Static(weight=weight * contacts[sources, targets], delay=1.0, storage="wide"),
            receptor=receptor,
        )
    network.stimulate(cells, _NOISE)
    touched = [names.index(name) for name in TOUCHES[touch]]
    if touched:
        network.stimulate(cells, StepInput(times=[duration], values=[_TOUCH], neurons=touched))
    network.record(cells)
    run = network.run(2 * duration, progress=progress)
    times, who = run.recorded.spike_times("cells")
    late = times > duration
    return Worm(
        touch,
        seed,
        sum(map(is_neuron, names)),
        sum("BWM" in name for name in names),
        run.synapses,
        run.spikes,
        run.real_time_factor,
        _rates(names, who[late], duration),
        _rates(names, who[~late], duration),
        times,
        who.astype(np.int64),
        names,
    )


def _rates(names: tuple[str, ...], fired: NDArray[np.uint32], duration: float) -> dict[str, float]:
    """Hz of command interneurons, motor neurons and body muscles."""
    counts = np.bincount(fired, minlength=len(names)) / duration * 1000
    groups: dict[str, list[int]] = {}
    for direction in COMMANDS:
        groups[f"{direction}_commands"] = [names.index(n) for n in COMMANDS[direction]]
        groups[f"{direction}_motors"] = [
            i for i, n in enumerate(names) if n[:2] in _MOTORS[direction] and n[2:].isdigit()
        ]
    groups["muscles"] = [i for i, n in enumerate(names) if "BWM" in n]
    return {key: float(counts[chosen].mean()) for key, chosen in groups.items()}
