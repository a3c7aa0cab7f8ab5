"""A spiking controller that learns to balance a pole by reward alone.

`sangbo simulate cartpole`. An actor and a critic of spiking neurons, as in Frémaux, Sprekeler and
Gerstner (2013), on gymnasium's CartPole-v1:

- Place cells stand on a grid over the four states of cart and pole, and fire as often as the state
  is near.
- Two groups of actor neurons see them, and inhibit each other; the one that fires more pushes.
  Noise in their membranes explores.
- Critic neurons see them too: their rate says how well things stand.
- Both kinds of synapses are `RewardSTDP`. The modulator is the reward prediction error
  δ = r + γ·V(now) − V(before), the reward −1 where the pole falls and 0 otherwise. Synapses take
  `_DELAY` to bring a spike and as long to hear of their target's answer, so δ comes when the last
  decision is marked and the next one is not.
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
    NoiseInput,
    Population,
    Projection,
    RewardSTDP,
    SpikeTimes,
    Static,
    Uniform,
)
from sangbo.extras import need
from sangbo.progress import Progress, silent

ENVIRONMENT = "CartPole-v1"
_REACH = np.array([1.8, 1.5, 0.15, 1.5])  # of the grid: m, m/s, rad, rad/s
_CELLS = (3, 3, 7, 7)
_WIDTH = 0.5  # of a place field, in distances of the grid
_FAINT = 0.02  # share of the activity below which a cell keeps silent
_SPIKES = 20  # of all place cells at a decision
_DELAY, _SEEN, _DECISION = (
    8,
    20,
    40,
)  # ms: of synapses; while place cells fire; from one to the next
_MEMORY = 0.9  # share of a mark that is left at the next decision
_DISCOUNT = 0.95
_STEADY = 50  # decisions at first, to learn how often the critic fires when it knows nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Sizes and rates.

    Attributes:
        actors: neurons of each of the two groups.
        critics: neurons that value the state.
        actor_rate, critic_rate: of learning, for one decision and δ = 1: mV.
        noise: of the actors' membranes, pA in each ms.
        value: spikes of all critics that stand for a value of 1.
    """

    actors: int = 10
    critics: int = 100
    actor_rate: float = 1.0
    critic_rate: float = 0.3
    noise: float = 4.0
    value: float = 30.0


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
    """Spikes of every place cell at a state (position, speed, angle, its speed), shape (cells,)."""
    activity = np.ones(1)
    for value, reach, cells in zip(state, _REACH, _CELLS, strict=True):
        centres = np.linspace(-reach, reach, cells)
        distance = (np.clip(value, -reach, reach) - centres) / (_WIDTH * (centres[1] - centres[0]))
        activity = np.outer(activity, np.exp(-(distance**2) / 2)).ravel()
    share = activity / activity.sum()
    return np.rint(np.where(share < _FAINT, 0.0, share * _SPIKES)).astype(np.int64)


class Controller:
    """Place cells, actors and critics, one decision at a time."""

    def __init__(self, seed: int, setting: Setting, threads: int | None = 1) -> None:
        self.setting = setting
        self.network = network = Network(step=1.0, seed=seed, threads=threads)
        self._places = network.population(None, SpikeTimes([[]] * int(np.prod(_CELLS))))
        cell = {"c_m": 10.0, "tau_m": 10.0, "e_l": 0.0, "v_th": 10.0, "v_reset": 0.0}
        receptors = Delta()
        self._actors = [
            network.population(
                setting.actors,
                LIF(**cell, i_e=9.0, receptors=receptors, v=Uniform(0.0, 9.0)),
                name=name,
            )
            for name in ("left", "right")
        ]
        self._critics = network.population(
            setting.critics,
            LIF(**cell, i_e=Uniform(15.0, 25.0), receptors=receptors, v=Uniform(0.0, 10.0)),
            name="critics",
        )
        self._acting = [self._learning(group) for group in self._actors]
        self._judging = self._learning(self._critics)
        for one, other in (self._actors, self._actors[::-1]):
            network.connect(one, other, AllToAll(), Static(weight=-1.0))
            network.stimulate(one, NoiseInput(deviation=setting.noise))
        self._base = 0.0
        self._base = float(np.mean([self.look(None) for _ in range(_STEADY)])) * setting.value

    @property
    def neurons(self) -> int:
        """All of them, place cells included."""
        return self.network.neurons

    def _learning(self, group: Population) -> Projection:
        # A decision's marks are shares of the place cells times the spikes that answered.
        rule = RewardSTDP(
            weight=0.0,
            delay=float(_DELAY),
            tau_plus=20.0,
            tau_minus=20.0,
            tau_eligibility=-_DECISION / np.log(_MEMORY),
            a_plus=1.0 / _SPIKES,
            a_minus=0.0,
            w_min=-1.0,
            w_max=1.0,
        )
        return self.network.connect(self._places, group, AllToAll(), rule)

    def look(self, state: NDArray[np.floating[Any]] | None) -> float:
        """Show a state (nothing if None) until the critics have answered: its value."""
        now = self.network.time
        counts = np.zeros(0, np.int64) if state is None else place_cells(state)
        firing = np.repeat(np.arange(counts.size), counts)
        order = np.arange(firing.size) - np.repeat(np.cumsum(counts) - counts, counts)
        self._places.fire(now + 1 + (order + 0.5) * _SEEN / counts[firing], firing)
        self.network.run(_DELAY)
        self._fired = [group.spikes for group in self._actors]
        before = self._critics.spikes
        self.network.run(_DELAY)
        value = (self._critics.spikes - before - self._base) / self.setting.value
        if state is None:
            self.decide()
        return value

    def reward(self, error: float) -> None:
        """Let the modulator be the reward prediction ``error`` for a step."""
        self._modulate(error)
        self.network.run(1)
        self._modulate(0.0)

    def decide(self) -> int:
        """Let the actors finish: 1 where the right ones fired more, 0 for the left."""
        self.network.run(_DECISION - self.network.time % _DECISION)
        left, right = (group.spikes - n for group, n in zip(self._actors, self._fired, strict=True))
        return int(right > left)

    def _modulate(self, error: float) -> None:
        for projection in self._acting:
            projection.modulate(self.setting.actor_rate * error)
        self._judging.modulate(self.setting.critic_rate * error)


def balance(
    seed: int = 1,
    *,
    episodes: int = 150,
    test_episodes: int = 100,
    enough: float = 475.0,
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
        value = 0.0 if fallen else controller.look(state)
        if learning and before is not None and not (over and not fallen):
            controller.reward((-1.0 if fallen else _DISCOUNT * value) - before)
        if fallen or over:
            controller.decide()
            return steps
        action = controller.decide()
        before = value
        state, _, fallen, over, _ = environment.step(action)
        steps += 1
