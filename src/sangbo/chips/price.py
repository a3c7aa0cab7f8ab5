"""What one scheme of execution costs on one chip, with the label of every figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

Scheme: TypeAlias = Literal["dense", "spiking", "complementary"]
SCHEMES: tuple[Scheme, ...] = ("dense", "spiking", "complementary")

LABELS = ("measured", "counted", "modelled", "published")
"""Every figure is one of these: seen on a clock or meter, counted while the network ran, worked out
from counts and a chip's numbers, or taken from somebody's publication."""


@dataclass(frozen=True, slots=True)
class Events:
    """What happens, per sample: counted, not modelled.

    Attributes:
        macs: products done on the dense side.
        synaptic_operations: weights added on the spiking side, one for each spike and target.
        neuron_updates: reals turned into levels; on a stepped chip once for every time step.
        spikes: spikes that neurons send.
    """

    macs: float
    synaptic_operations: float
    neuron_updates: float
    spikes: float

    def to_dict(self) -> dict[str, float]:
        """The events as JSON values."""
        return {
            "macs": self.macs,
            "synaptic_operations": self.synaptic_operations,
            "neuron_updates": self.neuron_updates,
            "spikes": self.spikes,
        }


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy per sample in pJ.

    Attributes:
        parts: of events: ``arithmetic`` (products, additions and rescales), ``neurons`` (their
            updates and what firing costs), ``control`` (bringing spikes to their cores; on a chip
            priced by its power, whatever that leaves).
        levels: of each memory, by its name.
    """

    parts: Mapping[str, float]
    levels: Mapping[str, float]

    @property
    def compute(self) -> float:
        """Energy of all events."""
        return sum(self.parts.values())

    @property
    def memory(self) -> float:
        """Energy of all memories."""
        return sum(self.levels.values())

    @property
    def total(self) -> float:
        """Compute and memory."""
        return self.compute + self.memory


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one sample takes, compute and memory overlapping.

    Attributes:
        compute: seconds that the units need; None where no rate is known.
        memories: seconds that each memory whose bandwidth is known is busy.
        utilisation: share of the units' peak that does useful products or additions in that time;
            None where no peak is known.
    """

    compute: float | None
    memories: Mapping[str, float]
    utilisation: float | None

    @property
    def seconds(self) -> float | None:
        """The longest of them."""
        known = [t for t in (self.compute, *self.memories.values()) if t is not None]
        return max(known, default=None)

    @property
    def bound(self) -> str | None:
        """What takes longest: ``compute`` or the name of a memory."""
        known = {"compute": self.compute} if self.compute is not None else {}
        known |= self.memories
        return max(known, key=lambda name: known[name], default=None)

    def to_dict(self) -> dict[str, Any]:
        """The timing as JSON values."""
        return {
            "seconds": self.seconds,
            "bound": self.bound,
            "compute_seconds": self.compute,
            "memory_seconds": dict(self.memories),
            "utilisation": self.utilisation,
        }


@dataclass(frozen=True, slots=True)
class Baseline:
    """A cheaper dense execution of the same network, the fair thing to compare with.

    Attributes:
        name: ``zero skipping`` (no MAC for a zero level), ``quantised`` (each layer at
            ⌈log₂(T+1)⌉ bits, T its largest magnitude and so the time steps of its rate code; at
            most 8), or ``quantised, zero skipping``.
        energy: per sample.
    """

    name: str
    energy: Energy


@dataclass(frozen=True, slots=True)
class Price:
    """One scheme on one chip, per sample.

    Attributes:
        chip: its name.
        scheme: dense, spiking or complementary.
        code: name of the spike code; nothing sends spikes in the dense scheme.
        split: name of the split in the complementary scheme, otherwise ``none``.
        largest_spiking: largest magnitude that took the spiking side.
        most_spikes: most spikes of any level that took the spiking side.
        dense_fraction: share of products with a nonzero level that went to the dense side.
        dense_fraction_levels: the same over the nonzero levels that were sent, each counted once
            however many targets it has.
        events: counted.
        energy: modelled; None where the chip has no unit for this scheme, as ``notes`` say.
        dense: total energy in pJ of the dense scheme on this chip; None where it has none.
        baselines: fairer dense executions; the same for every scheme of a chip.
        stepped: of the spiking scheme, the same one time step after the other; None elsewhere.
        timing: modelled; None without energies.
        batch: rows that share one reading of the weights.
        provenances: of the chip's energies, best first.
        notes: what a reader must know, in sentences.
    """

    chip: str
    scheme: Scheme
    code: str
    split: str
    largest_spiking: int
    most_spikes: int
    dense_fraction: float
    dense_fraction_levels: float
    events: Events
    energy: Energy | None
    dense: float | None
    baselines: tuple[Baseline, ...]
    provenances: tuple[str, ...]
    notes: tuple[str, ...] = ()
    stepped: Energy | None = None
    timing: Timing | None = None
    batch: int = 1

    @property
    def relative_to_dense(self) -> float | None:
        """Total energy as a share of the dense scheme's; None where either is missing."""
        if self.energy is None or not self.dense:
            return None
        return self.energy.total / self.dense

    @property
    def relative_to_baseline(self) -> float | None:
        """Total energy as a share of the cheapest baseline's; None where either is missing."""
        cheapest = min((b.energy.total for b in self.baselines), default=0.0)
        if self.energy is None or not cheapest:
            return None
        return self.energy.total / cheapest

    @property
    def basis(self) -> Mapping[str, str]:
        """The label of every figure; see `LABELS`."""
        energies = f"modelled: counted events × published energies ({', '.join(self.provenances)})"
        return MappingProxyType(
            {
                "events": "counted",
                "dense_fraction": "counted, over products with a nonzero level",
                "dense_fraction_levels": "counted, over nonzero levels sent",
                "energy_pj": energies,
                "relative_to_dense": "modelled",
                "relative_to_baseline": "modelled",
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The price as one entry of ``sangbo price --json``; null where the chip has no unit."""
        return {
            "chip": self.chip,
            "scheme": self.scheme,
            "code": self.code,
            "split": self.split,
            "largest_spiking": self.largest_spiking,
            "most_spikes": self.most_spikes,
            "dense_fraction": self.dense_fraction,
            "dense_fraction_levels": self.dense_fraction_levels,
            "events": self.events.to_dict(),
            "energy_pj": energy_dict(self.energy),
            "relative_to_dense": self.relative_to_dense,
            "relative_to_baseline": self.relative_to_baseline,
            "baselines": {b.name: energy_dict(b.energy) for b in self.baselines},
            "stepped": None if self.stepped is None else energy_dict(self.stepped),
            "timing": None if self.timing is None else self.timing.to_dict(),
            "batch": self.batch,
            "basis": dict(self.basis),
            "notes": list(self.notes),
        }

    def to_run_dict(self, per: Literal["token", "sample"]) -> dict[str, Any]:
        """The price as one entry of ``energy`` in ``sangbo run --json``."""
        energy = energy_dict(self.energy)
        return {
            "chip": self.chip,
            "scheme": self.scheme,
            "compute_pj": energy["compute"],
            "memory_pj": energy["memory"],
            "total_pj": energy["total"],
            "per": per,
            "basis": self.basis["energy_pj"],
        }

    def __str__(self) -> str:
        head = f"{self.chip} {self.scheme} ({self.code})"
        if self.energy is None:
            return f"{head}: not available"
        relative = self.relative_to_dense
        beside = "" if relative is None else f", {relative:.3g} × dense"
        return (
            f"{head}: {self.energy.compute:.4g} pJ compute + {self.energy.memory:.4g} pJ memory"
            f" = {self.energy.total:.4g} pJ{beside}"
        )


def energy_dict(energy: Energy | None) -> dict[str, Any]:
    """``compute``, ``memory`` and ``total`` in pJ, the parts of both; null for no energy."""
    if energy is None:
        return {"compute": None, "memory": None, "total": None, "parts": {}, "levels": {}}
    return {
        "compute": energy.compute,
        "memory": energy.memory,
        "total": energy.total,
        "parts": dict(energy.parts),
        "levels": dict(energy.levels),
    }
