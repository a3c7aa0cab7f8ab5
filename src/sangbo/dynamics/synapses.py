"""Synapses: weights, delays, and how they change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from sangbo import _dynamics
from sangbo.dynamics.loihi_learning import LoihiLearning
from sangbo.dynamics.values import Drawn, Normal, Uniform
from sangbo.errors import SimulationError

Dependence: TypeAlias = Literal["additive", "multiplicative"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Static:
    """Synapses whose weight never changes.

    Attributes:
        weight: in the unit of the target's receptors (pA or nS).
        delay: ms, rounded to steps, one step at least.
        storage: ``compact`` is 4 bytes to a synapse: weights are whole numbers of a unit of the
            projection's, exact where all are multiples of the smallest, otherwise within 1/8000 of
            the greatest (for delays up to 63 steps). ``wide`` is 8 bytes, weights in float32.
    """

    weight: Drawn = 1.0
    delay: Drawn = 1.0
    storage: Literal["compact", "wide"] = "compact"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeostaticScaling:
    """A target's weights are multiplied by 1 + gain·(goal − spikes), now and then (Turrigiano).

    Attributes:
        rate: goal, Hz.
        gain: per spike that is missing in ``every`` ms.
        every: ms.
    """

    rate: float
    gain: float = 0.01
    every: float = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class STDP:
    """Spike-timing-dependent plasticity of pairs; all spikes interact. 8 bytes to a synapse.

    At a spike of the target that reaches the synapse: w += a_plus·f₊(w)·K₊, with the source's trace
    dK₊/dt = −K₊/τ₊, + 1 at its spikes. At a spike of the source: w −= a_minus·f₋(w)·K₋, with the
    target's trace. ``additive``: f = 1; ``multiplicative``: f₊ = 1 − w/w_max, f₋ = w/w_max.
    Weights stay within 0 … w_max. With ``a_post`` a spike of the target also takes from all its
    weights, whatever their sources did (Diehl and Cook 2015 have a_plus·(K₊ − offset)):
    w += a_plus·f₊(w)·K₊ − a_post·f_post(w). Additive rise and multiplicative loss settle at
    w/w_max = ⟨K₊⟩·a_plus/a_post. As in NEST's ``stdp_synapse`` (a_plus = λ·w_max, a_minus =
    α·λ·w_max), the whole delay is dendritic: spikes of the target take it to reach the synapse.

    Attributes:
        weight, delay: at the start, as in `Static`; weights of 0 to ``w_max``.
        tau_plus, tau_minus: ms.
        a_plus, a_minus: in the unit of the weight.
        w_max: largest weight.
        dependence: of the changes on the weight: on potentiation, on depression.
        homeostasis: scaling beside it, or None.
        a_post: loss by a spike of the target, in the unit of the weight.
        dependence_post: of that loss on the weight: f_post = 1 or w/w_max.
    """

    weight: Drawn = 1.0
    delay: Drawn = 1.0
    tau_plus: float = 20.0
    tau_minus: float = 20.0
    a_plus: float = 0.01
    a_minus: float = 0.012
    w_max: float = 2.0
    dependence: tuple[Dependence, Dependence] = ("additive", "additive")
    homeostasis: HomeostaticScaling | None = None
    a_post: float = 0.0
    dependence_post: Dependence = "additive"
    storage: ClassVar[str] = "wide"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RewardSTDP:
    """Reward-modulated plasticity with eligibility traces (Izhikevich 2007). 16 bytes to a synapse.

    Pairs of spikes only mark the synapse: c += a_plus·K₊ at a spike of the target that reaches it,
    c −= a_minus·K₋ at a spike of the source (traces as in `STDP`), and dc/dt = −c/τ_eligibility
    between. A modulator, dopamine say, turns marks into weights: dw/dt = D·c, taken every ``every``
    ms as w += c·∫D dt. `Projection.modulate` sets D, which is 0 at first.

    Attributes:
        weight, delay, tau_plus, tau_minus: as in `STDP`; weights of ``w_min`` to ``w_max``.
        tau_eligibility: ms.
        a_plus, a_minus: what pairs mark, in the unit of the weight; either sign.
        w_min, w_max: least and largest weight.
        every: ms between changes of weights, rounded to steps, one at least; a step if None. Every
            synapse is looked at then, unless the modulator was 0.
    """

    weight: Drawn = 1.0
    delay: Drawn = 1.0
    tau_plus: float = 20.0
    tau_minus: float = 20.0
    tau_eligibility: float = 1000.0
    a_plus: float = 0.01
    a_minus: float = 0.012
    w_min: float = 0.0
    w_max: float = 2.0
    every: float | None = None
    storage: ClassVar[str] = "marked"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TripletSTDP:
    """Triplet plasticity of Pfister and Gerstner (2006), all spikes interacting.

    As `STDP`, with a second, slower trace of either side just before the spike:
    w += K₊·(a2_plus + a3_plus·K_y), w −= K₋·(a2_minus + a3_minus·K_x).

    Attributes:
        weight, delay, tau_plus, tau_minus, w_max, dependence, homeostasis: as in `STDP`.
        tau_x, tau_y: of the slow traces of source and target, ms.
        a2_plus, a2_minus, a3_plus, a3_minus: in the unit of the weight.
    """

    weight: Drawn = 1.0
    delay: Drawn = 1.0
    tau_plus: float = 16.8
    tau_minus: float = 33.7
    tau_x: float = 101.0
    tau_y: float = 125.0
    a2_plus: float = 5e-10
    a2_minus: float = 7e-3
    a3_plus: float = 6.2e-3
    a3_minus: float = 2.3e-4
    w_max: float = 2.0
    dependence: tuple[Dependence, Dependence] = ("additive", "additive")
    homeostasis: HomeostaticScaling | None = None
    storage: ClassVar[str] = "wide"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TsodyksMarkram:
    """Short-term depression and facilitation (Tsodyks, Uziel and Markram 2000).

    Each spike brings w·u·R. Between spikes dR/dt = (1 − R)/τ_rec and du/dt = −u/τ_fac; a spike
    first sets u += U·(1 − u) (u = U where tau_facilitation is 0), then R −= u·R.

    Attributes:
        weight, delay, storage: as in `Static`; ``weight`` is what u·R = 1 would bring.
        use: U, 0 to 1.
        tau_recovery: ms.
        tau_facilitation: ms.
    """

    weight: Drawn = 1.0
    delay: Drawn = 1.0
    use: float = 0.5
    tau_recovery: float = 800.0
    tau_facilitation: float = 0.0
    storage: Literal["compact", "wide"] = "compact"


Synapses: TypeAlias = Static | STDP | RewardSTDP | TripletSTDP | TsodyksMarkram | LoihiLearning

LEARNING = (STDP, RewardSTDP, TripletSTDP, LoihiLearning)
"""Kinds whose weights change for good."""


def check(synapses: Synapses) -> None:
    """Raise `SimulationError` where a parameter is impossible."""
    low, high = bounds("weight", synapses.weight)
    if isinstance(synapses, LoihiLearning):
        synapses.check(low, high)
    elif isinstance(synapses, STDP | TripletSTDP):
        _positive(synapses, "tau_plus", "tau_minus", "w_max")
        if isinstance(synapses, TripletSTDP):
            _positive(synapses, "tau_x", "tau_y")
        if low < 0 or high > synapses.w_max:
            raise SimulationError(
                f"expected plastic weights of 0 to {synapses.w_max}, found {low} to {high}"
            )
        if synapses.homeostasis is not None:
            _positive(synapses.homeostasis, "every")
    elif isinstance(synapses, RewardSTDP):
        _positive(synapses, "tau_plus", "tau_minus", "tau_eligibility")
        if not -math.inf < synapses.w_min <= low <= high <= synapses.w_max < math.inf:
            raise SimulationError(
                f"expected weights of {synapses.w_min} to {synapses.w_max}, found {low} to {high}"
            )
        if synapses.every is not None:
            _positive(synapses, "every")
    elif isinstance(synapses, TsodyksMarkram):
        _positive(synapses, "tau_recovery")
        if not 0 < synapses.use <= 1 or not synapses.tau_facilitation >= 0:
            raise SimulationError(
                f"expected use of 0 to 1 and tau_facilitation ≥ 0, found {synapses.use} and "
                f"{synapses.tau_facilitation}"
            )


def make_plastic(
    native: _dynamics.Network, projection: int, synapses: Synapses, step: float
) -> None:
    """Give the engine's projection its plasticity, if it has any."""
    if isinstance(synapses, LoihiLearning):
        synapses.make(native, projection)
    if isinstance(synapses, TsodyksMarkram):
        native.short_term(
            projection, step, synapses.use, synapses.tau_recovery, synapses.tau_facilitation
        )
    if isinstance(synapses, RewardSTDP):
        every = 1 if synapses.every is None else max(1, round(synapses.every / step))
        native.reward(
            projection, step, synapses.tau_eligibility, every, synapses.w_min, synapses.w_max
        )
    if not isinstance(synapses, STDP | RewardSTDP | TripletSTDP):
        return
    plus, minus = synapses.tau_plus, synapses.tau_minus
    if isinstance(synapses, STDP | RewardSTDP):
        taus, changes = [plus, minus, plus, minus], [synapses.a_plus, synapses.a_minus, 0.0, 0.0]
    else:
        taus = [plus, minus, synapses.tau_x, synapses.tau_y]
        changes = [synapses.a2_plus, synapses.a2_minus, synapses.a3_plus, synapses.a3_minus]
    home = None if isinstance(synapses, RewardSTDP) else synapses.homeostasis
    dependence = () if isinstance(synapses, RewardSTDP) else synapses.dependence
    every = 0 if home is None else max(1, round(home.every / step))
    native.stdp(
        projection,
        step,
        taus,
        changes,
        synapses.w_max,
        ["multiplicative" in dependence[:1], "multiplicative" in dependence[1:]],
        every,
        0.0 if home is None else home.gain,
        0.0 if home is None else home.rate * every * step / 1000,
        synapses.a_post if isinstance(synapses, STDP) else 0.0,
        isinstance(synapses, STDP) and synapses.dependence_post == "multiplicative",
    )


def _positive(where: object, *names: str) -> None:
    for name in names:
        if not 0 < getattr(where, name) < math.inf:
            raise SimulationError(f"expected {name} > 0, found {getattr(where, name)}")


def longest(delay: Drawn, step: float) -> int:
    """The longest delay in steps; raises `SimulationError` unless all are one step or more."""
    low, high = bounds("delay", delay)
    if not round(low / step) >= 1 and not isinstance(delay, Uniform | Normal):
        raise SimulationError(f"expected delays of {step} ms (one step) or more, found {low}")
    return max(1, round(high / step))


def shortest(delay: Drawn, step: float) -> int:
    """The shortest delay in steps, one at least."""
    return max(1, round(bounds("delay", delay)[0] / step))


def bounds(name: str, value: Drawn) -> tuple[float, float]:
    """Least and greatest of what ``value`` may be; raises `SimulationError` unless finite."""
    if isinstance(value, Uniform | Normal):
        return value.bounds
    array = np.asarray(value, np.float64)
    if array.size == 0:
        return 1.0, 1.0
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise SimulationError(f"expected a finite {name}, found {low} to {high}")
    return low, high
