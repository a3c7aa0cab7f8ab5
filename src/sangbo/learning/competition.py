"""Neurons that share patches of a picture among themselves by competition and plasticity.

After Diehl and Cook (2015), and Saunders et al. (2019) for the patches. Each patch of the picture
is seen by a group of neurons, of which the first to fire silences the others until the next volley:

- A volley of spikes (the pixels that are on) opens slow conductances g_e in all groups that see it.
- A clock closes them at first: its inhibition shunts, V = E_e·g_e/(g_L + g_e + g_i), and fades, so
  the neuron whose weights match the volley best in proportion to its threshold fires first. Fading
  makes the delay the logarithm of the match, so patches with few and many pixels work alike.
- Its spike shunts the rest of its group for as long as the volley lasts.
- Plasticity moves its weights towards what is on now: w += a·K₊ − a·w/w_max at its spike. A rising
  threshold makes it rarer, so that all neurons of a group come to stand for something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sangbo.dynamics import (
    STDP,
    AdaptiveLIF,
    AllToAll,
    ConductanceExponential,
    Network,
    Pairs,
    SpikeTimes,
    Static,
    Uniform,
)
from sangbo.progress import Progress, silent

_WEIGHT = 1e-3  # nS: the largest; with E_e = 1000 mV and g_L = 1 nS it lifts V by 1 mV
_THRESHOLD = 0.3  # mV
_CLOCK, _RIVAL = 300.0, 500.0  # nS
_TAU_VOLLEY, _TAU_SHUNT, _TAU_PLUS = 10.0, 4.0, 15.0  # ms


@dataclass(frozen=True, slots=True)
class Volley:
    """Spikes that belong together: ``inputs[k]`` fires ``times[k]`` ms after the volley begins."""

    inputs: NDArray[np.intp]
    times: NDArray[np.float64]

    @classmethod
    def at_once(cls, inputs: NDArray[np.intp]) -> Volley:
        """All of them when it begins."""
        return cls(inputs, np.zeros(len(inputs)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Which neurons see what.

    Attributes:
        channels, height, width: of the input.
        patch, stride: pixels; patches are square and cover all channels.
        neurons: of each group; one group for each patch.
        rate: share of the way that weights go at a spike.
        volley: ms from one volley to the next.
        memory: volleys after which a raised threshold has fallen to 1/e.
        kick: what a spike adds to a threshold, as a share of what it was at first.
        step: ms of the simulation. Who reaches the threshold in the same step wins together, and
            what wins together becomes alike: a shorter step tells closer matches apart.
    """

    channels: int = 1
    height: int = 28
    width: int = 28
    patch: int = 14
    stride: int = 7
    neurons: int = 100
    rate: float = 0.05
    volley: float = 40.0
    memory: float = 1000.0
    kick: float = 0.02
    step: float = 0.2

    @property
    def patches(self) -> NDArray[np.intp]:
        """Inputs of each group, shape (groups, channels·patch²)."""
        inputs = np.arange(self.channels * self.height * self.width)
        planes = inputs.reshape(self.channels, self.height, self.width)
        windows = np.lib.stride_tricks.sliding_window_view(planes, (self.patch, self.patch), (1, 2))
        chosen = windows[:, :: self.stride, :: self.stride]
        return chosen.transpose(1, 2, 0, 3, 4).reshape(-1, self.channels * self.patch**2)

    @property
    def size(self) -> int:
        """Neurons of all groups."""
        return len(self.patches) * self.neurons


@dataclass(frozen=True, slots=True)
class Answers:
    """Spikes in the order of time.

    Attributes:
        volleys: at which volley.
        neurons: who.
        times: ms after the volley began.
    """

    volleys: NDArray[np.intp]
    neurons: NDArray[np.intp]
    times: NDArray[np.float64]


class Competition:
    """Groups that learn from volleys, and afterwards only answer.

    Args:
        groups: who sees what.
        seed: of the first weights.
        threads: as in `Network`.
    """

    def __init__(self, groups: Groups, seed: int, threads: int | None = None) -> None:
        self.groups, self.seed, self.threads = groups, seed, threads
        self._before: Network | None = None

    def show(
        self, volleys: Sequence[Volley], *, learning: bool, progress: Progress = silent
    ) -> Answers:
        """Show volleys one after the other; who fired at which."""
        network = self._network(volleys, learning)
        run = network.run(self.groups.volley * len(volleys), progress=progress)
        self._before = network
        times, neurons = run.recorded.spike_times("cells")
        fresh = times > run.start
        since = times[fresh] - run.start - self.groups.step / 2
        which = (since // self.groups.volley).astype(np.intp)
        return Answers(which, neurons[fresh].astype(np.intp), since % self.groups.volley)

    def weights(self) -> NDArray[np.float32]:
        """Weights from 0 to 1, shape (groups, neurons, channels, patch, patch)."""
        g = self.groups
        network = self._network([], False) if self._before is None else self._before
        found = network.projections[0].connections()
        order = np.lexsort((found["source"], found["target"]))
        weights = found["weight"][order].astype(np.float32) / np.float32(_WEIGHT)
        return weights.reshape(-1, g.neurons, g.channels, g.patch, g.patch)

    def _network(self, volleys: Sequence[Volley], learning: bool) -> Network:
        g, before = self.groups, self._before
        patches = g.patches
        start = 0.0 if before is None else before.time
        begins = start + g.volley * np.arange(len(volleys)) + g.step
        inputs = np.concatenate([np.zeros(0, np.intp), *(v.inputs for v in volleys)])
        times = np.concatenate(
            [np.zeros(0), *(b + v.times for b, v in zip(begins, volleys, strict=True))]
        )
        order = np.argsort(inputs, kind="stable")
        count = g.channels * g.height * g.width
        cuts = np.searchsorted(inputs[order], np.arange(1, count))
        network = Network(step=g.step, seed=self.seed, threads=self.threads)
        pixels = network.population(None, SpikeTimes(np.split(times[order], cuts)), name="pixels")
        clock = network.population(None, SpikeTimes([begins]), name="clock")
        cells = network.population(
            g.size,
            AdaptiveLIF(
                c_m=1.0,
                tau_m=1.0,
                e_l=0.0,
                v_reset=0.0,
                v_th=_THRESHOLD,
                t_ref=0.8 * g.volley,
                theta_plus=g.kick * _THRESHOLD if learning else 0.0,
                tau_theta=g.memory * g.volley if learning else 1e12,
                receptors=ConductanceExponential(
                    tau_excitatory=_TAU_VOLLEY,
                    tau_inhibitory=_TAU_SHUNT,
                    e_excitatory=1000.0,
                    e_inhibitory=0.0,
                ),
            ),
            name="cells",
        )
        groups = np.arange(g.size).reshape(-1, g.neurons)
        sources = np.repeat(patches.ravel(), g.neurons)
        targets = np.repeat(groups, patches.shape[1], axis=0).ravel()
        network.connect(
            pixels,
            cells,
            Pairs(sources, targets),
            STDP(
                weight=Uniform(0.2 * _WEIGHT, 0.4 * _WEIGHT),
                delay=g.step,
                tau_plus=_TAU_PLUS,
                a_plus=1.6 * g.rate * _WEIGHT if learning else 0.0,
                a_minus=0.0,
                a_post=g.rate * _WEIGHT if learning else 0.0,
                dependence_post="multiplicative",
                w_max=_WEIGHT,
            ),
        )
        network.connect(
            clock, cells, AllToAll(), Static(weight=_CLOCK, delay=g.step), receptor="inhibitory"
        )
        rivals = np.repeat(groups, g.neurons, axis=0)
        own = np.repeat(groups.ravel(), g.neurons)
        others = own != rivals.ravel()
        network.connect(
            cells,
            cells,
            Pairs(own[others], rivals.ravel()[others]),
            Static(weight=_RIVAL, delay=g.step),
            receptor="inhibitory",
        )
        network.record(cells)
        if before is not None:
            network.carry_on(before)
        return network
