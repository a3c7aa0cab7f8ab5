"""A spiking controller that learns to balance a pole by reward alone.

`sangbo simulate cartpole`. An actor and a critic of spiking neurons, as in Frémaux, Sprekeler and
Gerstner (2013), on gymnasium's CartPole-v1:

- Place cells stand on a grid over the four states of cart and pole, and fire as often as the state
  is near.
- A clock's spikes beside theirs let all other neurons answer, whatever was learned. Between
  decisions nobody fires.
- Two groups of actor neurons silence each other; the one that fires more pushes. Noise in their
  membranes explores.
- V, the value of the state, is the critics' spikes less those that the clock alone evokes, each.
- Synapses from place cells are `RewardSTDP`; a `Neuromodulator`, dopamine, tells them the reward
  prediction error δ = r + γ·V(now) − V(before), the reward −1 where the pole falls and 0 otherwise.
  Synapses take `_DELAY` to bring a spike and as long to hear of their target's answer: dopamine
  comes, and is cleared, when the last decision is marked and the next one is not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sangbo.dynamics import (
    LIF,
    AllToAll,
    Delta,
    Network,
    Neuromodulator,
    NoiseInput,
    Population,
    Projection,
    RewardSTDP,
    SpikeTimes,
    Static,
    Uniform,
)
from sangbo.dynamics.values import Drawn, Value
from sangbo.extras import need
from sangbo.progress import Progress, silent

ENVIRONMENT = "CartPole-v1"
_REACH = np.array([1.8, 1.5, 0.15, 1.5])  # of the grid: m, m/s, rad, rad/s
_CELLS = (3, 3, 7, 7)
_WIDTH = 0.3  # of a place field, in distances of the grid
_AXES, _CUTS = np.repeat(np.arange(4), _CELLS), np.cumsum(_CELLS)[:-1]
_CENTRES = np.concatenate([np.linspace(-r, r, n) for r, n in zip(_REACH, _CELLS, strict=True)])
_WIDTHS = _WIDTH * (2 * _REACH / (np.array(_CELLS) - 1))[_AXES]
_SPIKES = 20  # of all place cells at a decision
_STEP = 0.5  # ms: inhibition must come before the other group fires too
_DELAY = 24.0  # ms
_SEEN = 14  # ms: place cells and clock fire
_ANSWERED = 42.0  # ms: all that was evoked has been fired, and no synapse has heard of it
_DECISION = 72.0  # ms: from one to the next
_REST = 40 * _DECISION  # between episodes: marks fade
_PHASIC = 6.0  # ms: dopamine acts
_CLEARANCE, _PIECE = 2.0, 3.0  # ms: of dopamine; between looks at it
_TAU_PLUS = 20.0  # ms
_CLOCK = 2.8  # mV: what a spike of the clock brings to an actor
_CLOCKS, _REST_OF = Uniform(1.8, 3.8), Uniform(0.0, 9.0)  # mV, pA: critics differ, so V is fine
_RIVAL = 3.0  # mV
_MARK = float(np.exp(2 * _DELAY / _TAU_PLUS)) / _SPIKES  # so marks are share of input × answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Sizes and rates.

    Attributes:
        actors: neurons of each of the two groups.
        critics: neurons that value the state.
        actor_rate, critic_rate: of learning, for a mark of 1 and δ = 1: mV.
        actor_memory, critic_memory: share of a mark that is left at the next decision.
        noise: of the actors' membranes, pA in each step.
        discount: γ.
    """

    actors: int = 10
    critics: int = 100
    actor_rate: float = 0.17
    critic_rate: float = 0.06
    actor_memory: float = 0.9
    critic_memory: float = 0.855
    noise: float = 5.66
    discount: float = 0.95


@dataclass(frozen=True, slots=True)
class Balance:
    """How the pole was balanced.

    Attributes:
        mean_return: over the episodes that followed, without learning.
        course: return of each episode while it learned.
        samples: decisions while it learned.
        returns: of each episode of the test.
    """

    mean_return: float
    seed: int
    neurons: int
    training_seconds: float
    samples: int
    course: list[float] = field(repr=False)
    returns: list[float] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """What ``sangbo simulate cartpole --json`` prints."""
        return {
            "mean_return": self.mean_return,
            "seed": self.seed,
            "neurons": self.neurons,
            "training_seconds": self.training_seconds,
            "samples": self.samples,
        }


def place_cells(state: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Spikes of every place cell at a state (position, speed, angle, its speed), shape (cells,).

    `_SPIKES` in all, shared out by Gaussian fields; largest remainders are rounded up.
    """
    near = np.exp(-((np.clip(state, -_REACH, _REACH)[_AXES] - _CENTRES) ** 2) / (2 * _WIDTHS**2))
    activity = np.ones(1)
    for fields in np.split(near, _CUTS):
        activity = np.multiply.outer(activity, fields).ravel()
    share = activity * (_SPIKES / activity.sum())
    counts: NDArray[np.int64] = np.floor(share).astype(np.int64)
    counts[np.argsort(counts - share, kind="stable")[: _SPIKES - counts.sum()]] += 1
    return counts


class Controller:
    """Place cells, actors, critics and dopamine, one decision at a time.

    Attributes:
        learning: synapses from place cells to the left and right actors, and to the critics.
    """

    def __init__(self, seed: int, setting: Setting, threads: int | None = 1) -> None:
        self.setting = setting
        self.network = network = Network(step=_STEP, seed=seed, threads=threads)
        self._places = network.population(
            None, SpikeTimes([[]] * int(np.prod(_CELLS))), name="places"
        )
        self._clock = network.population(None, SpikeTimes([[]]), name="clock")
        self._dopamine = Neuromodulator(network, tau=_CLEARANCE, every=_PIECE)
        self.learning: list[Projection] = []
        rate, memory = setting.actor_rate, setting.actor_memory
        left, right = (
            self._group(name, setting.actors, 0.0, _CLOCK, rate, memory)
            for name in ("left", "right")
        )
        rate, memory = setting.critic_rate, setting.critic_memory
        critics = self._group("critics", setting.critics, _REST_OF, _CLOCKS, rate, memory)
        self._answering = left, right, critics
        for one, other in ((left, right), (right, left)):
            network.connect(one, other, AllToAll(), Static(weight=-_RIVAL, delay=_STEP))
            network.stimulate(one, NoiseInput(deviation=setting.noise))
        self._base = 0.0
        self._base = self.look(None)
        self.rest()

    @property
    def neurons(self) -> int:
        """All of them, place cells and clock included."""
        return self.network.neurons

    def _group(
        self, name: str, size: int, i_e: Value, clock: Drawn, rate: float, memory: float
    ) -> Population:
        group = self.network.population(
            size,
            LIF(
                c_m=10.0,
                tau_m=10.0,
                e_l=0.0,
                v_th=10.0,
                v_reset=0.0,
                t_ref=1.0,
                i_e=i_e,
                receptors=Delta(),
            ),
            name=name,
        )
        self.network.connect(self._clock, group, AllToAll(), Static(weight=clock, delay=_DELAY))
        rule = RewardSTDP(
            weight=0.0,
            delay=_DELAY,
            tau_plus=_TAU_PLUS,
            tau_eligibility=-_DECISION / np.log(memory),
            a_plus=_MARK,
            a_minus=0.0,
            w_min=-1.0,
            w_max=1.0,
            every=_PIECE,
        )
        learning = self.network.connect(self._places, group, AllToAll(), rule)
        self._dopamine.acts_on(learning, gain=rate)
        self.learning.append(learning)
        return group

    def look(self, state: NDArray[np.floating[Any]] | None) -> float:
        """Show a state (None: the clock alone) until all have answered: its value."""
        now = self.network.time
        counts = np.zeros(0, np.int64) if state is None else place_cells(state)
        firing = np.repeat(np.arange(counts.size), counts)
        order = np.arange(firing.size) - np.repeat(np.cumsum(counts) - counts, counts)
        self._places.fire(now + 1 + (order + 0.5) * _SEEN / counts[firing], firing)
        self._clock.fire(now + 1 + np.arange(_SEEN), np.zeros(_SEEN, np.int64))
        before = [group.spikes for group in self._answering]
        self.network.run(_ANSWERED)
        left, right, judged = (g.spikes - n for g, n in zip(self._answering, before, strict=True))
        self._action = int(right > left)
        return judged / self.setting.critics - self._base

    def reward(self, error: float) -> None:
        """Release dopamine: the reward prediction ``error``, more or less than there always is."""
        self._dopamine.release(error * -np.expm1(-_PIECE / _CLEARANCE) / _PIECE)
        self._dopamine.run(_PHASIC)
        # What is left, a twentieth, is taken up before the next decision marks its synapses.
        self._dopamine.release(-self._dopamine.level())
        for projection in self.learning:
            projection.modulate(0.0)

    def decide(self) -> int:
        """Let synapses hear of the answers: 1 where the right group fired more, 0 otherwise."""
        self.network.run(_DECISION - self.network.time % _DECISION)
        return self._action

    def rest(self) -> None:
        """Let all marks fade."""
        self.decide()
        self.network.run(_REST)


def balance(
    seed: int = 1,
    *,
    episodes: int = 250,
    test_episodes: int = 100,
    enough: float = 450.0,
    setting: Setting | None = None,
    progress: Progress = silent,
) -> Balance:
    """Learn to balance for up to ``episodes``, then balance for ``test_episodes`` as it is.

    Args:
        seed: of the network and of the episodes; those of the test are others.
        episodes: at most, while it learns.
        test_episodes: without learning.
        enough: mean return of ten episodes in a row that ends learning (500 is the most).
        setting: sizes and rates.
        progress: told how far it is, and the last returns.

    Raises:
        MissingExtraError: gymnasium is not installed.
    """
    need("control", "gymnasium")
    import gymnasium

    environment = gymnasium.make(ENVIRONMENT)
    controller = Controller(seed, Setting() if setting is None else setting)
    start, decisions = time.perf_counter(), 0
    course: list[float] = []
    while len(course) < episodes and (len(course) < 10 or np.mean(course[-10:]) < enough):
        steps = _episode(environment, controller, 10_000 * seed + len(course), learning=True)
        course.append(float(steps))
        decisions += steps
        progress(f"learning, {np.mean(course[-10:]):.0f} steps", len(course) / episodes)
    seconds = time.perf_counter() - start
    returns: list[float] = []
    for k in range(test_episodes):
        seed_of = 10_000 * seed + 5_000 + k
        returns.append(float(_episode(environment, controller, seed_of, learning=False)))
        progress(f"balancing, {np.mean(returns):.0f} steps", (k + 1) / test_episodes)
    environment.close()
    return Balance(
        float(np.mean(returns)), seed, controller.neurons, seconds, decisions, course, returns
    )


def _episode(environment: Any, controller: Controller, seed: int, *, learning: bool) -> int:
    state, _ = environment.reset(seed=seed)
    before: float | None = None
    steps, fallen, over = 0, False, False
    while True:
        value = controller.look(state)
        if learning and before is not None and not (over and not fallen):
            discount = controller.setting.discount
            controller.reward((-1.0 if fallen else discount * value) - before)
        if fallen or over:
            controller.rest()
            return steps
        action = controller.decide()
        before = value
        state, _, fallen, over, _ = environment.step(action)
        steps += 1
