"""Which bytes move where when a counted network runs on a chip.

The mapping is one fixed scheme, chosen to be simple and the same for every scheme of execution, so
that a comparison of schemes is not decided by it. Its assumptions, all of them:

1. Decoding: every row (token, sample) passes through the network alone; ``batch`` rows share one
   reading of the weights. Default 1.
2. Weights live in the largest on-chip memory if all of them fit there, otherwise in external
   memory. Every stored weight byte is read from there once per ``batch`` rows, for zero levels
   too: memory is read in bursts that do not know which column will be skipped.
3. Cached keys and values live beside the weights if both fit on the chip at the mean length of the
   cache, in the largest on-chip memory if they alone fit, otherwise in external memory. They are
   read once per row, as counted, and each new one is written once in the whole bytes that the
   largest level of its layer needs. A neuron layer that no operation consumes is such a cache.
4. Whatever comes from further away is written into the buffer, the on-chip memory nearest to the
   arithmetic, and read from it once per row.
5. Spikes are folded in time: a weight that is at hand is added once for each spike of its level
   before the next is fetched, so weights are fetched as often as in dense execution. A chip that
   runs step by step would fetch them again for every step, and its neurons' sums too.
6. Levels live in the smallest on-chip memory that holds one row of their layer (external memory if
   none does). Each is written once and read once for every `OUTPUTS_AT_ONCE` outputs. A level takes
   the whole bytes that the largest level of its layer needs, with sign.
7. Sums stay in registers until they are finished, and reals between a sum and the next neuron are
   consumed where they arise.
8. Not counted, the same for every scheme: embedding look-ups, norms, activations, softmax, rotary
   positions, instructions and the network on the chip.

A chip whose synaptic operations contain their memory (``memory_included``) is charged nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sangbo.chips.chip import Chip, MemoryLevel
from sangbo.errors import LedgerError, PriceError
from sangbo.ledger import Histogram, Ledger

OUTPUTS_AT_ONCE = 64
"""Outputs that share one reading of a level: the width of the array of sums."""


@dataclass(frozen=True, slots=True)
class Access:
    """Bytes of one operand that move at one memory level, per sample.

    Attributes:
        operand: ``weights``, ``cache`` or ``levels``.
        level: the memory.
        read: bytes read from it.
        written: bytes written into it.
    """

    operand: str
    level: MemoryLevel
    read: float
    written: float

    @property
    def energy(self) -> float:
        """Energy in pJ."""
        read, write = self.level.read, self.level.write
        if read is None or write is None:
            raise PriceError(f"expected energies of memory {self.level.name}, found none")
        return self.read * read.value + self.written * write.value


def accesses(
    ledger: Ledger, chip: Chip, *, batch: int = 1, bits: Mapping[str, int] | None = None
) -> list[Access]:
    """Every access of one sample of ``ledger`` on ``chip``, by the assumptions above.

    Args:
        ledger: at least one sample.
        chip: where it runs.
        batch: rows that share one reading of the weights, at least 1.
        bits: width of the levels of each neuron layer; those of `stored_bits` if not given.

    Raises:
        LedgerError: where the ledger has no samples, or lacks the neurons of an operation.
        PriceError: where ``batch`` is not positive.
    """
    check(ledger, batch)
    if chip.memory_included:
        return []
    on_chip = [level for level in chip.memory if level.kind == "on-chip"]
    buffer, largest = on_chip[0], max(on_chip, key=_capacity)
    external = next((level for level in chip.memory if level.kind == "external"), largest)
    weights = weight_bytes(ledger)
    cache = sum(c.cache_bytes / c.rows for c in ledger.operations.values() if c.rows)
    weight_home = largest if largest.holds(weights) else external
    beside = cache + (weights if weight_home is largest else 0)
    cache_home = largest if largest.holds(beside) else external

    once = sum(c.weight_bytes * c.rows for c in ledger.operations.values()) / ledger.samples
    cached = sum(c.cache_bytes for c in ledger.operations.values()) / ledger.samples
    sources = {c.source for c in ledger.operations.values()}
    kept = [h for n, h in ledger.neurons.items() if n not in sources]
    new = sum(h.total * stored_bits(h) / 8 for h in kept) / ledger.samples
    found = [Access("cache", cache_home, 0.0, new)]
    for operand, home, fetched, used in (
        ("weights", weight_home, once / batch, once),
        ("cache", cache_home, cached, cached),
    ):
        if home is buffer:
            found.append(Access(operand, home, used, 0.0))
        else:
            found += [Access(operand, home, fetched, 0.0), Access(operand, buffer, used, fetched)]
    return [a for a in found if a.read or a.written] + _level_accesses(ledger, chip, bits)


def _level_accesses(ledger: Ledger, chip: Chip, bits: Mapping[str, int] | None) -> list[Access]:
    """Assumption 6, one access per neuron layer that some operation consumes."""
    consumers: dict[str, list[str]] = {}
    for name, count in ledger.operations.items():
        consumers.setdefault(count.source, []).append(name)
    found = []
    for source, operations in consumers.items():
        levels = ledger.neurons[source]
        counts = [ledger.operations[name] for name in operations]
        if not levels.total:
            continue
        width = (stored_bits(levels) if bits is None else bits[source]) / 8
        row = max((levels.total * width / c.rows for c in counts if c.rows), default=0.0)
        home = next((m for m in chip.memory if m.holds(row)), chip.memory[-1])
        readings = sum(-(-c.pairs.total // (levels.total * OUTPUTS_AT_ONCE)) for c in counts)
        written = levels.total * width / ledger.samples
        found.append(Access("levels", home, written * readings, written))
    return found


def stored_bits(levels: Histogram) -> int:
    """Bits of one stored level: whole bytes that hold the layer's largest level with its sign."""
    return 8 * -(-(max(levels.counts, default=0).bit_length() + 1) // 8)


def weight_bytes(ledger: Ledger) -> int:
    """Bytes of all weights that the counted operations use."""
    return sum(count.weight_bytes for count in ledger.operations.values())


def check(ledger: Ledger, batch: int) -> None:
    """Raise unless ``ledger`` can be priced for ``batch``."""
    if batch < 1:
        raise PriceError(f"expected a batch of at least 1, found {batch}")
    if ledger.samples < 1:
        raise LedgerError(f"expected a ledger of at least one sample, found {ledger.samples}")
    for name, count in ledger.operations.items():
        if count.source not in ledger.neurons:
            raise LedgerError(
                f"expected neurons {count.source!r} of operation {name!r}, found none"
            )


def _capacity(level: MemoryLevel) -> float:
    return float("inf") if level.capacity is None else level.capacity.value
