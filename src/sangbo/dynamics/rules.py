"""Connection rules: who is connected to whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sangbo import _dynamics
from sangbo.errors import SimulationError

if TYPE_CHECKING:
    from sangbo.dynamics.population import Population

Indices: TypeAlias = NDArray[np.int64]


class Rule(Protocol):
    """A connection rule. Rows are drawn from streams of their own, so any thread may make them."""

    def expected(self, pre: Population, post: Population) -> float:
        """Synapses to expect, checked against memory before they are made."""
        ...

    def native(
        self, pre: Population, post: Population, seed: int, owner: int
    ) -> tuple[_dynamics.Rule, Indices | None]:
        """The rule for the engine, and the order into which it puts what the caller listed."""
        ...


@dataclass(frozen=True, slots=True)
class OneToOne:
    """Neuron i to neuron i; both populations have the same size."""

    def expected(self, pre: Population, post: Population) -> float:
        """Synapses to expect."""
        if pre.size != post.size:
            raise SimulationError(
                f"expected populations of one size for one-to-one, found {pre.size} ({pre.name}) "
                f"and {post.size} ({post.name})"
            )
        return pre.size

    def native(
        self, pre: Population, post: Population, seed: int, owner: int
    ) -> tuple[_dynamics.Rule, Indices | None]:
        """The rule for the engine."""
        return _dynamics.one_to_one(_sizes(pre, post)), None


@dataclass(frozen=True, slots=True)
class AllToAll:
    """Every neuron to every neuron; to itself only with ``autapses``."""

    autapses: bool = True

    def expected(self, pre: Population, post: Population) -> float:
        """Synapses to expect."""
        return float(pre.size) * post.size

    def native(
        self, pre: Population, post: Population, seed: int, owner: int
    ) -> tuple[_dynamics.Rule, Indices | None]:
        """The rule for the engine."""
        return _dynamics.all_to_all(_sizes(pre, post, self.autapses)), None


@dataclass(frozen=True, slots=True)
class FixedProbability:
    """Every pair with the same ``probability``, independently."""

    probability: float
    autapses: bool = True

    def __post_init__(self) -> None:
        _probability(self.probability)

    def expected(self, pre: Population, post: Population) -> float:
        """Synapses to expect."""
        return self.probability * pre.size * post.size

    def native(
        self, pre: Population, post: Population, seed: int, owner: int
    ) -> tuple[_dynamics.Rule, Indices | None]:
        """The rule for the engine."""
        sizes = _sizes(pre, post, self.autapses)
        return _dynamics.fixed_probability(sizes, self.probability), None


@dataclass(frozen=True, slots=True)
class FixedInDegree:
    """Each target draws ``degree`` sources, the same one again only with ``multapses``."""

    degree: int
    multapses: bool = True
    autapses: bool = True

    def expected(self, pre: Population, post: Population) -> float:
        """Synapses to expect."""
        _degree(self.degree, pre, post, self.multapses, self.autapses, pre.size)
        return float(self.degree) * post.size

    def native(
        self, pre: Population, post: Population, seed: int, owner: int
    ) -> tuple[_dynamics.Rule, Indices | None]:
        """The rule for the engine."""
        sizes = _sizes(pre, post, self.autapses)
        return _dynamics.fixed_in_degree(sizes, self.degree, self.multapses), None


@dataclass(frozen=True, slots=True)
class FixedOutDegree:
    """Each source draws ``degree`` targets, the same one again only with ``multapses``."""

    degree: int
    multapses: bool = True
    autapses: bool = True

    def expected(self, pre: Population, post: Population) -> float:
        """Synapses to expect."""
        _degree(self.degree, pre, post, self.multapses, self.autapses, post.size)
        return float(self.degree) * pre.size

    def native(
        self, pre: Population, post: Population, seed: int, owner: int
    ) -> tuple[_dynamics.Rule, Indices | None]:
        """The rule for the engine."""
        sizes = _sizes(pre, post, self.autapses)
        return _dynamics.fixed_out_degree(sizes, self.degree, self.multapses), None


@dataclass(frozen=True, slots=True)
class FixedTotal:
    """``total`` synapses, source and target of each drawn at will (Potjans and Diesmann 2014)."""

    total: int
    autapses: bool = True

    def expected(self, pre: Population, post: Population) -> float:
        """Synapses to expect."""
        _degree(min(self.total, 1), pre, post, True, self.autapses, pre.size)
        if self.total < 0:
            raise SimulationError(f"expected a total of 0 or more, found {self.total}")
        return self.total

    def native(
        self, pre: Population, post: Population, seed: int, owner: int
    ) -> tuple[_dynamics.Rule, Indices | None]:
        """The rule for the engine."""
        sizes = _sizes(pre, post, self.autapses)
        return _dynamics.fixed_total(sizes, self.total, seed, owner), None


@dataclass(frozen=True, slots=True)
class ByDistance:
    """Probability that falls with the distance d of the neurons' positions.

    ``exponential``: p·e^(−d/scale). ``gaussian``: p·e^(−d²/(2·scale²)). ``disc``: p where
    d ≤ scale. Never beyond ``reach``. ``torus`` gives the edge lengths where space is periodic.
    """

    probability: float
    scale: float
    profile: Literal["exponential", "gaussian", "disc"] = "gaussian"
    reach: float = math.inf
    torus: Sequence[float] | None = None
    autapses: bool = True

    def __post_init__(self) -> None:
        _probability(self.probability)
        if not self.scale > 0 or self.profile not in _PROFILES:
            raise SimulationError(f"expected scale > 0 and a profile of {_PROFILES}, found {self}")

    def expected(self, pre: Population, post: Population) -> float:
        """At most this many synapses."""
        return self.probability * pre.size * post.size

    def native(
        self, pre: Population, post: Population, seed: int, owner: int
    ) -> tuple[_dynamics.Rule, Indices | None]:
        """The rule for the engine."""
        for p in (pre, post):
            if p.positions is None:
                raise SimulationError(f"expected {p.name} to have positions, found none")
        if pre.positions is None or post.positions is None:
            raise SimulationError("expected positions, found none")
        dimensions = pre.positions.shape[1]
        torus = np.zeros(dimensions) if self.torus is None else np.asarray(self.torus, np.float64)
        if post.positions.shape[1] != dimensions or torus.shape != (dimensions,):
            raise SimulationError(
                f"expected positions and torus of {dimensions} dimensions, found "
                f"{post.positions.shape[1]} ({post.name}) and {torus.shape}"
            )
        return _dynamics.by_distance(
            _sizes(pre, post, self.autapses),
            dimensions,
            np.ascontiguousarray(pre.positions).ravel(),
            np.ascontiguousarray(post.positions).ravel(),
            torus,
            _PROFILES.index(self.profile),
            self.probability,
            self.scale,
            self.reach,
        ), None


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The pairs listed: ``sources[k]`` to ``targets[k]``, both of shape (synapses,)."""

    sources: ArrayLike
    targets: ArrayLike

    def expected(self, pre: Population, post: Population) -> float:
        """Synapses to expect."""
        return float(len(np.asarray(self.sources)))

    def native(
        self, pre: Population, post: Population, seed: int, owner: int
    ) -> tuple[_dynamics.Rule, Indices | None]:
        """The rule for the engine; listed weights must be put into the order returned."""
        sources = _within("sources", self.sources, pre.size)
        targets = _within("targets", self.targets, post.size)
        if sources.shape != targets.shape:
            raise SimulationError(
                f"expected as many targets as sources, found {targets.shape} and {sources.shape}"
            )
        order = np.lexsort((targets, sources))
        counts = np.bincount(sources, minlength=pre.size)
        begins = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
        return _dynamics.pairs(begins, targets[order].astype(np.uint32)), order


_PROFILES = ("exponential", "gaussian", "disc")


def _sizes(pre: Population, post: Population, autapses: bool = True) -> _dynamics.Sizes:
    return _dynamics.Sizes(pre.size, post.size, autapses or pre is not post)


def _probability(value: float) -> None:
    if not 0 <= value <= 1:
        raise SimulationError(f"expected a probability of 0 to 1, found {value}")


def _degree(
    degree: int, pre: Population, post: Population, multapses: bool, autapses: bool, size: int
) -> None:
    candidates = size - (0 if autapses or pre is not post else 1)
    if degree < 0 or (degree > 0 and candidates == 0) or (degree > candidates and not multapses):
        raise SimulationError(
            f"expected a degree of 0 to {candidates} from {pre.name} to {post.name}, found {degree}"
        )


def _within(name: str, given: ArrayLike, size: int) -> Indices:
    array = np.asarray(given)
    if array.size == 0:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise SimulationError(f"expected {name} to be a list of whole numbers, found {array.dtype}")
    if array.min() < 0 or array.max() >= size:
        raise SimulationError(
            f"expected {name} of 0 to {size - 1}, found {array.min()} to {array.max()}"
        )
    return array.astype(np.int64)
