"""Channels of membranes: gates that open and close at rates that depend on the potential."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from sangbo.errors import SimulationError

Course: TypeAlias = Literal["exponential", "sigmoid", "linear"]
COURSES: tuple[Course, ...] = ("exponential", "sigmoid", "linear")


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate at V, 1/ms, with x = (V − middle)/width (mV).

    ``exponential``: amplitude·e^x; ``sigmoid``: amplitude/(1 + e^−x); ``linear``:
    amplitude·x/(1 − e^−x). NeuroML calls them HHExpRate, HHSigmoidRate and HHExpLinearRate.
    """

    course: Course
    amplitude: float
    middle: float
    width: float

    def __post_init__(self) -> None:
        if self.course not in COURSES:
            raise SimulationError(f"expected a course of a rate, {COURSES}, found {self.course!r}")
        if not (0 <= self.amplitude < math.inf and math.isfinite(self.middle)) or not (
            math.isfinite(self.width) and self.width
        ):
            raise SimulationError(f"expected an amplitude ≥ 0 and a width other than 0 in {self}")

    def __call__(self, v: float) -> float:
        """The rate at ``v`` mV."""
        x = float(np.clip((v - self.middle) / self.width, -700, 700))
        if self.course == "exponential":
            return self.amplitude * math.exp(x)
        if self.course == "sigmoid":
            return self.amplitude / (1 + math.exp(-x))
        return self.amplitude * (1 + x / 2 if abs(x) < 1e-7 else x / -math.expm1(-x))

    def scaled(self, factor: float) -> Rate:
        """``factor`` times as fast."""
        return Rate(self.course, self.amplitude * factor, self.middle, self.width)


@dataclass(frozen=True, slots=True)
class Gate:
    """dx/dt = forward(V)·(1 − x) − backward(V)·x; the conductance has the factor x^power."""

    power: int
    forward: Rate
    backward: Rate

    def __post_init__(self) -> None:
        if not 1 <= self.power <= 16:
            raise SimulationError(f"expected a power of 1 to 16, found {self.power}")

    def settled(self, v: float) -> float:
        """X where V has stood at ``v`` mV."""
        forward, backward = self.forward(v), self.backward(v)
        if not forward + backward > 0:
            raise SimulationError(f"expected a gate that moves at {v} mV, found rates of 0: {self}")
        return forward / (forward + backward)


@dataclass(frozen=True, slots=True)
class Channel:
    """I = g·Π x^power·(V − E) per surface.

    Attributes:
        g: with all gates open, S/cm².
        e: reversal potential, mV.
        gates: none of a leak.
    """

    g: float
    e: float
    gates: Sequence[Gate] = field(default=())

    def __post_init__(self) -> None:
        if not 0 <= self.g < math.inf or not math.isfinite(self.e):
            raise SimulationError(f"expected g ≥ 0 S/cm² and a finite e, found {self}")

    def parts(self) -> list[Channel]:
        """Itself."""
        return [self]


@runtime_checkable
class Membrane(Protocol):
    """What a membrane may hold: channels under one name."""

    def parts(self) -> list[Channel]:
        """Its channels."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Passive:
    """A leak, NEURON's ``pas``: I = g·(V − e). S/cm², mV."""

    g: float = 0.001
    e: float = -70.0

    def parts(self) -> list[Channel]:
        """One channel without gates."""
        return [Channel(self.g, self.e)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SquidAxon:
    """Hodgkin and Huxley's sodium, potassium and leak (1952), NEURON's ``hh``.

    The rates are those of `sangbo.dynamics.HodgkinHuxley`, times 3^((celsius − 6.3)/10). S/cm², mV.
    """

    g_na: float = 0.12
    g_k: float = 0.036
    g_l: float = 0.0003
    e_na: float = 50.0
    e_k: float = -77.0
    e_l: float = -54.3
    celsius: float = 6.3

    def parts(self) -> list[Channel]:
        """Sodium, potassium, leak."""
        q = 3.0 ** ((self.celsius - 6.3) / 10)

        def gate(power: int, forward: Rate, backward: Rate) -> Gate:
            return Gate(power, forward.scaled(q), backward.scaled(q))

        m = gate(3, Rate("linear", 1.0, -40, 10), Rate("exponential", 4.0, -65, -18))
        h = gate(1, Rate("exponential", 0.07, -65, -20), Rate("sigmoid", 1.0, -35, 10))
        n = gate(4, Rate("linear", 0.1, -55, 10), Rate("exponential", 0.125, -65, -80))
        return [
            Channel(self.g_na, self.e_na, (m, h)),
            Channel(self.g_k, self.e_k, (n,)),
            Channel(self.g_l, self.e_l),
        ]


NAMED = {"pas": Passive, "hh": SquidAxon}
"""Channels that can be asked for by NEURON's names, with NEURON's own values."""


def named(channel: Membrane | str) -> Membrane:
    """``channel``, or the one of that name.

    Raises:
        SimulationError: there is none.
    """
    if isinstance(channel, str):
        if channel not in NAMED:
            raise SimulationError(
                f"expected a channel, one of {', '.join(NAMED)}, or an object, found {channel!r}"
            )
        made: Membrane = NAMED[channel]()
        return made
    if not isinstance(channel, Membrane):
        raise SimulationError(f"expected a channel, found {channel!r}")
    return channel
