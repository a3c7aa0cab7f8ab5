"""Neurons on the cores of a chip whose limits are known, synapse by synapse.

Each core holds a run of neurons of one group, as many as its limits allow:

    compartments    neurons of the core
    input axons     (bundle, source) pairs with a synapse to it
    synaptic memory for each of these 64·⌈(n·(weight + index + delay bits) + 10) / 64⌉ bits, n being
                    its synapses in the core (Loihi, as NxSDK's sparse format has it)
    output axons    for each neuron of the core, the cores (and bundles) that it sends to

Where a single neuron asks for more than a core has, it gets a core and the limit is reported. Cores
are numbered along the tiles, row by row, chip after chip; a spike goes over the mesh once for each
axon. Sources outside of the chip take axons where they arrive, and no hops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sangbo.chips.chip import Chip
from sangbo.chips.fit import Breach, broken
from sangbo.errors import ChipError

Indices = NDArray[np.int64]

HEADER_BITS = 10
WORD_BITS = 64
ROUNDS = 12
"""Times that groups are cut again because what they send to was cut."""


@dataclass(frozen=True, slots=True)
class Group:
    """Neurons of one kind. ``external``: they are not on the chip."""

    name: str
    neurons: int
    external: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """Synapses from one group to another; ``source`` and ``target`` of shape (synapses,)."""

    pre: int
    post: int
    source: NDArray[np.integer]
    target: NDArray[np.integer]
    weight_bits: int
    delay_bits: int


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Where neurons are.

    Attributes:
        chip: on which kind of chip.
        groups: what was placed.
        core: of every neuron of each group, −1 outside of the chip.
        cores: in use.
        chips: that hold them.
        breaches: limits that single neurons break, the group named.
        binding: what ends the cores of each group: the limit met by most of them.
        used: greatest use of each limit by any core.
        axons: of every neuron of each group: cores that it sends to.
        hops_east_west, hops_north_south: of one spike of every neuron of each group.
    """

    chip: Chip
    groups: tuple[Group, ...]
    core: tuple[Indices, ...]
    cores: int
    chips: int
    breaches: tuple[Breach, ...]
    binding: dict[str, str]
    used: dict[str, int]
    axons: tuple[Indices, ...]
    hops_east_west: tuple[Indices, ...]
    hops_north_south: tuple[Indices, ...]

    def with_breaches(self, more: Sequence[Breach]) -> Placement:
        """The same with more breaches."""
        return replace(self, breaches=(*self.breaches, *more))

    def to_dict(self) -> dict[str, Any]:
        """The placement as JSON values, without each neuron's core."""
        return {
            "chip": self.chip.name,
            "cores": self.cores,
            "chips": self.chips,
            "groups": {
                g.name: {
                    "neurons": g.neurons,
                    "cores": int(np.unique(core[core >= 0]).size),
                    "binding": self.binding.get(g.name, ""),
                }
                for g, core in zip(self.groups, self.core, strict=True)
            },
            "used": dict(self.used),
            "breaches": [
                {"layer": b.layer, "limit": b.limit, "needed": b.needed, "allowed": b.allowed}
                for b in self.breaches
            ],
        }

    def __str__(self) -> str:
        lines = [f"{self.chip.name}: {self.cores} cores, {self.chips} chips"]
        lines += [f"  {name}: ends a core by its {limit}" for name, limit in self.binding.items()]
        return "\n".join(lines + [f"  broken: {b}" for b in self.breaches])


def place(groups: Sequence[Group], bundles: Sequence[Bundle], chip: Chip) -> Placement:
    """Place ``groups`` on as many cores and chips as they need.

    Raises:
        ChipError: the chip does not state the limits of a core.
    """
    return _Placer(tuple(groups), tuple(bundles), chip).place()


def index_bits(neurons: int) -> int:
    """Bits that tell the neurons of a core apart."""
    return max(1, ceil(log2(max(2, neurons))))


@dataclass(slots=True)
class _Incoming:
    """Synapses to one group, by target: axon of each, and bits of one."""

    begins: Indices
    axon: NDArray[np.int32]
    bits: NDArray[np.int32]  # of each axon


class _Placer:
    def __init__(self, groups: tuple[Group, ...], bundles: tuple[Bundle, ...], chip: Chip) -> None:
        self.groups, self.bundles, self.chip = groups, bundles, chip
        self.limits = {
            key: self._limit(key)
            for key in (
                "neurons_per_core",
                "input_axons_per_core",
                "output_axons_per_core",
                "synaptic_memory_per_core",
            )
        }
        self.incoming = [self._collect(i) for i in range(len(groups))]

    def _limit(self, key: str) -> int:
        found = self.chip.limit(key)
        if found is None:
            raise ChipError(f"expected {self.chip.name} to state {key}, found nothing")
        return int(found)

    def _collect(self, group: int) -> _Incoming:
        size, first = self.groups[group].neurons, 0
        targets, axons, bits = [], [], []
        for b in self.bundles:
            if b.post != group:
                continue
            targets.append(np.asarray(b.target, np.int32))
            axons.append(np.asarray(b.source, np.int32) + first)
            each = b.weight_bits + b.delay_bits + index_bits(self.limits["neurons_per_core"])
            bits.append(np.full(self.groups[b.pre].neurons, each, np.int32))
            first += self.groups[b.pre].neurons
        target = np.concatenate([*targets, np.zeros(0, np.int32)])
        order = np.argsort(target, kind="stable")
        begins = np.searchsorted(target[order], np.arange(size + 1))
        axon = np.concatenate([*axons, np.zeros(0, np.int32)])[order]
        return _Incoming(begins, axon, np.concatenate([*bits, np.zeros(0, np.int32)]))

    def place(self) -> Placement:
        out = [np.zeros(g.neurons, np.int64) for g in self.groups]
        for _ in range(ROUNDS):
            cuts = [self._cut(i, out[i]) for i in range(len(self.groups))]
            cores = self._number(cuts)
            sent = self._sent(cuts)
            if all(np.array_equal(a, b) for a, b in zip(out, sent, strict=True)):
                break
            # Never fewer than before, so that it ends.
            out = [np.maximum(a, b) for a, b in zip(out, sent, strict=True)]
        return self._report(cuts, cores, sent)

    # --- one group ---

    def _use(self, group: int, first: int, last: int) -> tuple[int, int]:
        """Input axons and bits of synaptic memory of neurons ``first`` … ``last`` − 1."""
        inc = self.incoming[group]
        axons = inc.axon[inc.begins[first] : inc.begins[last]]
        found, n = np.unique(axons, return_counts=True)
        words = -(-(n * inc.bits[found] + HEADER_BITS) // WORD_BITS)
        return found.size, int(words.sum()) * WORD_BITS

    def _met(self, group: int, first: int, last: int, sent: Indices) -> str:
        """The limit that these neurons together break, or nothing."""
        if last - first > self.limits["neurons_per_core"]:
            return "neurons_per_core"
        if sent[last] - sent[first] > self.limits["output_axons_per_core"]:
            return "output_axons_per_core"
        axons, bits = self._use(group, first, last)
        if axons > self.limits["input_axons_per_core"]:
            return "input_axons_per_core"
        return "synaptic_memory_per_core" if bits > self._memory_bits else ""

    @property
    def _memory_bits(self) -> int:
        return self.limits["synaptic_memory_per_core"] * 8

    def _cut(self, group: int, out: Indices) -> tuple[Indices, list[str]]:
        """Where the cores of a group begin, and the limit that ended each."""
        size = self.groups[group].neurons
        if self.groups[group].external:
            return np.zeros(0, np.int64), []
        sent = np.concatenate([[0], np.cumsum(out)])
        begins, ended, first, guess = [], [], 0, self.limits["neurons_per_core"]
        while first < size:
            # All limits grow with the neurons: the greatest number that meets none, by bisection
            # around what the last core held.
            fits, breaks = 1, size - first + 1
            step, met = min(guess, size - first), ""
            while breaks - fits > 1:
                step = min(max(step, fits + 1), breaks - 1)
                limit = self._met(group, first, first + step, sent)
                if limit:
                    breaks, met = step, limit
                else:
                    fits = step
                step = (fits + breaks) // 2 if limit or breaks <= size - first else 2 * step
            begins.append(first)
            ended.append(met)
            first, guess = first + fits, fits
        return np.array(begins, np.int64), ended

    # --- all of them ---

    def _number(self, cuts: list[tuple[Indices, list[str]]]) -> tuple[Indices, ...]:
        """The core of every neuron."""
        found, first = [], 0
        for g, (begins, _) in zip(self.groups, cuts, strict=True):
            core = np.full(g.neurons, -1, np.int64)
            if not g.external:
                core = first + np.searchsorted(begins, np.arange(g.neurons), side="right") - 1
            first += begins.size
            found.append(core)
        return tuple(found)

    def _pairs(
        self, bundle: Bundle, cuts: list[tuple[Indices, list[str]]]
    ) -> tuple[Indices, Indices]:
        """Sources and cores of the target's group that a bundle joins, each pair once."""
        begins, _ = cuts[bundle.post]
        if not begins.size:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        local = np.searchsorted(begins, bundle.target, side="right") - 1
        keys = np.unique(np.asarray(bundle.source, np.int64) * begins.size + local)
        return keys // begins.size, keys % begins.size

    def _sent(self, cuts: list[tuple[Indices, list[str]]]) -> list[Indices]:
        """Output axons of every neuron."""
        found = [np.zeros(g.neurons, np.int64) for g in self.groups]
        for b in self.bundles:
            source, _ = self._pairs(b, cuts)
            found[b.pre] += np.bincount(source, minlength=found[b.pre].size)
        return found

    def _hops(
        self, cuts: list[tuple[Indices, list[str]]], cores: tuple[Indices, ...]
    ) -> tuple[tuple[Indices, ...], tuple[Indices, ...]]:
        east = tuple(np.zeros(g.neurons, np.int64) for g in self.groups)
        north = tuple(np.zeros(g.neurons, np.int64) for g in self.groups)
        firsts = np.cumsum([0, *(begins.size for begins, _ in cuts)])
        for b in self.bundles:
            if self.groups[b.pre].external:
                continue
            source, local = self._pairs(b, cuts)
            x0, y0 = self._tile(cores[b.pre][source])
            x1, y1 = self._tile(local + firsts[b.post])
            size = self.groups[b.pre].neurons
            for to, far in ((east, np.abs(x0 - x1)), (north, np.abs(y0 - y1))):
                to[b.pre][:] += np.bincount(source, far, size).astype(np.int64)
        return east, north

    def _tile(self, core: Indices) -> tuple[Indices, Indices]:
        """Column and row of the tile of ``core``; chips lie side by side, west to east."""
        each, columns, rows = (
            int(self.chip.limit(k) or 1) for k in ("cores_per_tile", "tile_columns", "tile_rows")
        )
        tile = core // each
        chip, within = tile // (columns * rows), tile % (columns * rows)
        return chip * columns + within % columns, within // columns

    def _report(
        self,
        cuts: list[tuple[Indices, list[str]]],
        cores: tuple[Indices, ...],
        sent: list[Indices],
    ) -> Placement:
        count = sum(begins.size for begins, _ in cuts)
        used = dict.fromkeys(self.limits, 0)
        binding: dict[str, str] = {}
        breaches: list[Breach] = []
        for i, (g, (begins, ended)) in enumerate(zip(self.groups, cuts, strict=True)):
            ends = np.append(begins, g.neurons)[1:]
            worst = dict.fromkeys(self.limits, 0)
            for first, last in zip(begins, ends, strict=True):
                axons, bits = self._use(i, first, last)
                core = {
                    "neurons_per_core": int(last - first),
                    "input_axons_per_core": axons,
                    "output_axons_per_core": int(sent[i][first:last].sum()),
                    "synaptic_memory_per_core": -(-bits // 8),
                }
                worst = {k: max(worst[k], v) for k, v in core.items()}
            used = {k: max(used[k], worst[k]) for k in used}
            for key, needed in worst.items():
                breaches += broken(self.chip, key, g.name, needed)
            reasons = [e for e in ended if e]
            if reasons:
                binding[g.name] = max(set(reasons), key=reasons.count)
        for b in self.bundles:
            name = self.groups[b.post].name
            breaches += broken(self.chip, "weight_bits", name, b.weight_bits)
            breaches += broken(self.chip, "delay_bits", name, b.delay_bits)
        east, north = self._hops(cuts, cores)
        return Placement(
            self.chip,
            self.groups,
            cores,
            count,
            max(1, ceil(count / (self.chip.limit("cores") or count or 1))),
            tuple(dict.fromkeys(breaches)),
            binding,
            used,
            tuple(sent),
            east,
            north,
        )
