"""What was counted while a network ran: enough to price it with any code, split and chip.

For a split by value the histogram of |n| is a sufficient statistic, so a ledger holds histograms
and sums, never spike trains. What coarser splits need beside them is kept on request; see
`sangbo.tallies`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sangbo import tallies
from sangbo.codes import CODES, LARGEST_MAGNITUDE
from sangbo.errors import LedgerError
from sangbo.tallies import Tallies, Tally

Counts = NDArray[np.int64]
FORMAT = 1
_DENSE = 4096
_LARGEST_COUNT = 2**63 - 1


@dataclass(slots=True)
class Histogram:
    """How often each magnitude |n| was seen; exact, and small even with a few huge levels."""

    counts: dict[int, int] = field(default_factory=dict)

    def add(self, levels: NDArray[np.integer[Any]], times: int | Counts = 1) -> None:
        """Count ``levels`` (any shape), each ``times`` over.

        ``times`` is a whole number of zero or more, or an array of them that broadcasts to the
        shape of ``levels``.
        """
        magnitudes = np.abs(levels.astype(np.int64)).ravel()
        each = times if isinstance(times, int) else np.broadcast_to(times, levels.shape).ravel()
        small = magnitudes < _DENSE
        if not small.all():
            # Few levels are this large: sorting them is cheaper than a table that reaches them.
            large, place = np.unique(magnitudes[~small], return_inverse=True)
            self._increase(large, _tally(place, each if isinstance(each, int) else each[~small]))
            magnitudes = magnitudes[small]
            each = each if isinstance(each, int) else each[small]
        dense = _tally(magnitudes, each)
        seen = np.flatnonzero(dense)
        self._increase(seen, dense[seen])

    def merge(self, other: Histogram, times: int = 1) -> None:
        """Add ``times`` copies of ``other``."""
        for magnitude, count in other.counts.items():
            if count * times:
                self.counts[magnitude] = self.counts.get(magnitude, 0) + count * times

    def _increase(self, magnitudes: Counts, times: Counts) -> None:
        for magnitude, count in zip(magnitudes.tolist(), times.tolist(), strict=True):
            if count:
                self.counts[magnitude] = self.counts.get(magnitude, 0) + count

    @property
    def magnitudes(self) -> Counts:
        """The magnitudes seen, ascending."""
        return np.array(sorted(self.counts), np.int64)

    @property
    def occurrences(self) -> Counts:
        """How often each of `magnitudes` was seen."""
        return np.array([self.counts[m] for m in sorted(self.counts)], np.int64)

    @property
    def total(self) -> int:
        """How many levels were counted, zeros included."""
        return sum(self.counts.values())

    @property
    def nonzero(self) -> int:
        """How many nonzero levels were counted."""
        return self.total - self.counts.get(0, 0)


@dataclass(slots=True)
class SynapticCount:
    """What one synaptic operation did.

    Attributes:
        source: the neuron layer whose levels it consumed.
        rows: rows (tokens, samples) it handled.
        pairs: histogram of |n| over (level, target) pairs, each one MAC if done densely.
        accumulators: int32 sums it produced.
        rescales: float multiply-adds that turned those sums into reals.
        weight_bytes: bytes of its stored weights (0 for products of activations).
        cache_bytes: bytes of cached keys or values read, all rows together.
    """

    source: str
    rows: int = 0
    pairs: Histogram = field(default_factory=Histogram)
    accumulators: int = 0
    rescales: int = 0
    weight_bytes: int = 0
    cache_bytes: int = 0

    def merge(self, other: SynapticCount) -> None:
        """Add ``other``, a count of the same operation; raises `LedgerError` if it is not."""
        self.expect(other.source, other.weight_bytes)
        self.rows += other.rows
        self.pairs.merge(other.pairs)
        self.accumulators += other.accumulators
        self.rescales += other.rescales
        self.cache_bytes += other.cache_bytes

    def expect(self, source: str, weight_bytes: int) -> None:
        """Raise `LedgerError` unless this counts an operation with that source and weights."""
        if (self.source, self.weight_bytes) != (source, weight_bytes):
            raise LedgerError(
                f"expected counts of one operation, found sources {self.source!r} and "
                f"{source!r}, {self.weight_bytes} and {weight_bytes} weight bytes"
            )


@dataclass(slots=True)
class Ledger:
    """What was counted: levels per neuron layer, and pairs per synaptic operation.

    Attributes:
        samples: tokens (or images, …) that went in; prices are per one of them.
        neurons: histogram of |n| of every neuron layer; each level is one encoding.
        operations: counts of every synaptic operation by name. Attention holds two products:
            ``NAME.scores`` (query × key) and ``NAME.mix`` (probability × value).
        tallies: sums per group of levels, in a ledger that was begun with them.
    """

    samples: int = 0
    neurons: dict[str, Histogram] = field(default_factory=dict)
    operations: dict[str, SynapticCount] = field(default_factory=dict)
    tallies: Tallies | None = None

    def neuron(self, name: str) -> Histogram:
        """The histogram of neuron layer ``name``, begun if new."""
        return self.neurons.setdefault(name, Histogram())

    def operation(self, name: str, source: str, weight_bytes: int = 0) -> SynapticCount:
        """The count of synaptic operation ``name``, begun if new.

        Raises `LedgerError` where ``name`` was begun with another source or other weights.
        """
        found = self.operations.get(name)
        if found is None:
            found = self.operations[name] = SynapticCount(source, weight_bytes=weight_bytes)
        found.expect(source, weight_bytes)
        return found

    def merge(self, other: Ledger) -> None:
        """Add everything that ``other`` counted, or raise `LedgerError` and change nothing."""
        for name in self.operations.keys() & other.operations.keys():
            count = other.operations[name]
            self.operations[name].expect(count.source, count.weight_bytes)
        if self.tallies is not None:
            self.tallies.expect(other.tallies)
        elif other.tallies is not None:
            other.tallies.expect(None)
        self.samples += other.samples
        for name, histogram in other.neurons.items():
            self.neuron(name).merge(histogram)
        for name, count in other.operations.items():
            self.operation(name, count.source, count.weight_bytes).merge(count)
        if self.tallies is not None and other.tallies is not None:
            self.tallies.merge(other.tallies)

    def pairs(self) -> dict[str, Histogram]:
        """Histogram of |n| over all pairs of each neuron layer that some operation consumes."""
        found: dict[str, Histogram] = {}
        for count in self.operations.values():
            found.setdefault(count.source, Histogram()).merge(count.pairs)
        return found

    def groups(self, split: str) -> dict[str, Tally]:
        """Sums over every group that ``split`` sends to one side, by neuron layer.

        A split by value has one group for each magnitude, ascending.

        Raises:
            LedgerError: where there is no such split, or nobody asked for its tallies.
        """
        if not tallies.split(split).tallied:
            whole = split != "value"
            return {
                source: by_magnitude(self.neurons.get(source, Histogram()), pairs, whole=whole)
                for source, pairs in self.pairs().items()
            }
        if self.tallies is None or split not in self.tallies.layers:
            raise LedgerError(f"expected a ledger with tallies by {split}, found none")
        return self.tallies.layers[split]

    def check_tallies(self) -> None:
        """Raise `LedgerError` unless the tallies sum up to what the histograms hold."""
        if self.tallies is None:
            return
        whole = self.groups("layer")
        for name, layers in self.tallies.layers.items():
            if layers.keys() != whole.keys():
                raise LedgerError(
                    f"expected tallies by {name} of the {len(whole)} neuron layers that send to "
                    f"targets, found {len(layers)} layers"
                )
            for source, tally in layers.items():
                expected, found = whole[source].joined(), tally.joined()
                if expected != found:
                    raise LedgerError(
                        f"expected tallies of {source!r} by {name} to sum up to "
                        f"{expected.sums.tolist()}, found {found.sums.tolist()}"
                    )

    def to_dict(self) -> dict[str, Any]:
        """The ledger as JSON values."""
        return {
            "format": FORMAT,
            "samples": self.samples,
            "neurons": {n: _encode(h) for n, h in self.neurons.items()},
            "operations": {
                name: {
                    "source": c.source,
                    "rows": c.rows,
                    "pairs": _encode(c.pairs),
                    "accumulators": c.accumulators,
                    "rescales": c.rescales,
                    "weight_bytes": c.weight_bytes,
                    "cache_bytes": c.cache_bytes,
                }
                for name, c in self.operations.items()
            },
        } | ({} if self.tallies is None else {"tallies": self.tallies.to_dict()})

    @classmethod
    def from_dict(cls, document: Any) -> Self:
        """Read what `to_dict` wrote; raises `LedgerError` where it is not that."""
        try:
            if document["format"] != FORMAT:
                raise LedgerError(f"expected a ledger of format {FORMAT}, found another")
            groups = document.get("tallies")
            ledger = cls(
                samples=_whole(document["samples"]),
                neurons={str(n): _decode(h) for n, h in document["neurons"].items()},
                operations={str(n): _count(c) for n, c in document["operations"].items()},
                tallies=None if groups is None else Tallies.from_dict(groups),
            )
        except KeyError as error:
            raise LedgerError(f"expected a key {error} in a ledger, found none") from None
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise LedgerError(f"expected a ledger, found something malformed: {error}") from None
        ledger.check_tallies()
        return ledger

    @classmethod
    def loads(cls, text: str | bytes) -> Self:
        """Read what `dumps` wrote; raises `LedgerError` where it is not that."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise LedgerError(f"expected a ledger as JSON: {error}") from None
        return cls.from_dict(document)

    def dumps(self) -> str:
        """The ledger as a JSON text."""
        return json.dumps(self.to_dict(), separators=(",", ":"))


def _tally(places: Counts, times: int | Counts) -> Counts:
    """How often each place 0, 1, 2 … occurs, each occurrence counted ``times``."""
    if isinstance(times, int):
        return np.bincount(places).astype(np.int64) * times
    tally = np.zeros(int(places.max(initial=-1)) + 1, np.int64)
    np.add.at(tally, places, times)  # bincount would weigh in float64
    return tally


def by_magnitude(sent: Histogram, pairs: Histogram, *, whole: bool = False) -> Tally:
    """One group for each magnitude that either histogram holds, or all of them in one."""
    magnitudes = np.array(sorted(sent.counts.keys() | pairs.counts.keys()), np.int64)
    try:
        times = np.array(
            [[h.counts.get(m, 0) for h in (sent, pairs)] for m in magnitudes.tolist()], np.int64
        ).reshape(-1, 2)
    except OverflowError:
        raise LedgerError(f"expected counts up to {_LARGEST_COUNT}, found larger ones") from None
    spikes = np.stack([code.spikes(magnitudes) for code in CODES.values()], -1)
    if times.size and float(times.max()) * float(spikes.max()) > _LARGEST_COUNT:
        raise LedgerError(f"expected sums of spikes up to {_LARGEST_COUNT}, found larger ones")
    each = np.concatenate([np.ones_like(magnitudes)[:, np.newaxis], spikes], 1)
    tally = Tally(times[:, :, np.newaxis] * each[:, np.newaxis], spikes)
    return tally.joined() if whole else tally


def _encode(histogram: Histogram) -> list[list[int]]:
    return [histogram.magnitudes.tolist(), histogram.occurrences.tolist()]


def _decode(document: Any) -> Histogram:
    magnitudes, counts = document
    if len(magnitudes) != len(counts):
        raise LedgerError(f"expected {len(magnitudes)} counts in a histogram, found {len(counts)}")
    decoded = {_magnitude(m): _whole(c) for m, c in zip(magnitudes, counts, strict=True)}
    if len(decoded) != len(magnitudes):
        raise LedgerError("expected each magnitude of a histogram once, found one twice")
    return Histogram(decoded)


def _magnitude(value: Any) -> int:
    if _whole(value) > LARGEST_MAGNITUDE:
        raise LedgerError(f"expected magnitudes up to {LARGEST_MAGNITUDE}, found {value}")
    return int(value)


def _count(document: Mapping[str, Any]) -> SynapticCount:
    return SynapticCount(
        source=_name(document["source"]),
        rows=_whole(document["rows"]),
        pairs=_decode(document["pairs"]),
        accumulators=_whole(document["accumulators"]),
        rescales=_whole(document["rescales"]),
        weight_bytes=_whole(document["weight_bytes"]),
        cache_bytes=_whole(document["cache_bytes"]),
    )


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise LedgerError(f"expected a name, found {value!r}")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _LARGEST_COUNT:
        raise LedgerError(f"expected a whole number of 0 to {_LARGEST_COUNT}, found {value!r}")
    return value
