"""Which bytes move where when a counted network runs on a chip.

Every synaptic operation becomes a loop nest, every nest takes the mapping that costs least on this
chip (`sangbo.chips.search`), and the same mapping serves every scheme of execution, so that a
comparison of schemes is not decided by it. What is assumed beside that, all of it:

1. Every sample (a token that is decoded, an image, a sentence) passes through the network alone;
   its own rows, and ``batch`` samples, share one reading of the weights; steps of a recurrent cell
   do not. Default 1. Each sample has keys and values of its own.
2. Weights lie in the largest on-chip memory if all of them fit there, otherwise in external memory.
   Every stored byte counts, for zero levels too: memory is read in bursts that do not know which
   column will be skipped.
3. Cached keys and values lie beside the weights if both fit on the chip at the mean length of the
   cache, in the largest on-chip memory if they alone fit, otherwise in external memory. Each new
   one is written once in the whole bytes that the largest level of its layer needs. A neuron layer
   that no operation consumes is such a cache.
4. Levels stay on the chip between two operations where those of one are at most half of the largest
   memory used. A level takes the whole bytes that the largest level of its layer needs, with sign;
   a finished sum leaves as one byte.
5. Folded in time, a weight that is at hand is added once for each spike of its level before the
   next is fetched: weights are fetched as often as in dense execution. Step by step, everything is
   fetched again in each step unless it stays at hand, unfinished sums (membranes) too; the weights
   of inputs that are silent in a step are not fetched from the nearest memory. A spike and its sign
   take two bits.
6. Not counted, the same for every scheme: embedding look-ups, norms, activations, softmax, rotary
   positions, instructions and the network on the chip.

A chip whose synaptic operations contain their memory (``memory_included``) is charged nothing here.
A chip that is priced by its power is charged what must cross to its external memory at least.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sangbo.chips.chip import Chip, MemoryLevel
from sangbo.chips.nests import B, Nest, X, Y
from sangbo.chips.search import Flow, search
from sangbo.chips.shapes import Shaped, counted, stored_bits
from sangbo.errors import PriceError
from sangbo.ledger import Ledger

SPIKE_BYTES = 0.25
"""A spike and its sign."""


@dataclass(frozen=True, slots=True)
class Access:
    """Bytes of one operand that move at one memory level, per sample.

    Attributes:
        operation: name of the operation; of the neuron layer for new keys and values.
        operand: ``weights``, ``cache``, ``inputs`` or ``sums``.
        level: the memory.
        read: bytes read from it.
        written: bytes written into it.
    """

    operation: str
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


@dataclass(frozen=True, slots=True)
class Moved:
    """What moves while one sample passes, and how long the units turn.

    Attributes:
        accesses: bytes, by operation, operand and memory.
        cycles: turns of the units' loops, one product each.
        products: products of all operations.
    """

    accesses: tuple[Access, ...]
    cycles: float
    products: float

    def energy(self) -> dict[str, float]:
        """Energy of each memory by its name, in pJ."""
        found: dict[str, float] = {}
        for access in self.accesses:
            found[access.level.name] = found.get(access.level.name, 0.0) + access.energy
        return found

    def seconds(self) -> dict[str, float]:
        """How long each memory whose bandwidth is known is busy, by its name."""
        found: dict[str, float] = {}
        for access in self.accesses:
            if access.level.bandwidth is not None:
                time = (access.read + access.written) / access.level.bandwidth.value
                found[access.level.name] = found.get(access.level.name, 0.0) + time
        return found


def moved(
    ledger: Ledger,
    chip: Chip,
    *,
    batch: int = 1,
    bits: Mapping[str, int] | None = None,
    steps: Mapping[str, int] | None = None,
    density: Mapping[str, float] | None = None,
    nests: Mapping[str, Shaped] | None = None,
) -> Moved:
    """What moves while one sample of ``ledger`` passes through ``chip``, by the assumptions above.

    Args:
        ledger: at least one sample.
        chip: where it runs.
        batch: rows that share one reading of the weights, at least 1.
        bits: width of the levels of each neuron layer; those of `stored_bits` if not given.
        steps: time steps of each neuron layer, run one after the other; folded if not given.
        density: share of a layer's values that spike in a step.
        nests: of operations whose shape is known, as `sangbo.chips.shapes.weighted` gives them.

    Raises:
        LedgerError: where the ledger has no samples, or lacks the neurons of an operation.
        PriceError: where ``batch`` is not positive, or some tile fits nowhere.
    """
    shaped = counted(ledger, batch, nests)
    products = sum(c.pairs.total for c in ledger.operations.values()) / ledger.samples
    if chip.memory_included or not chip.memory:
        return Moved((), 0.0, products)
    levels = {level.name: level for level in chip.memory}
    on_chip = [m for m in chip.memory if m.kind == "on-chip" and "weights" in m.holds]
    external = next((m for m in chip.memory if m.kind == "external"), None)
    weights = weight_bytes(ledger)
    cache = sum(c.cache_bytes / c.rows for c in ledger.operations.values() if c.rows)
    largest = max(on_chip, key=lambda m: m.room, default=None)
    room = 0.0 if largest is None else largest.room
    keeps_weights = weights <= room
    beside = cache + (weights if keeps_weights else 0)
    keeps_cache = beside <= room
    resident = beside if keeps_cache else weights if keeps_weights else 0.0
    found, cycles = [], 0.0
    for name, (count, some) in {n: (ledger.operations[n], s) for n, s in shaped.items()}.items():
        nest = some.nest
        if steps is not None and steps[count.source] > 1:
            nest = replace(nest, steps=steps[count.source], input_bytes=SPIKE_BYTES)
        if chip.accounting == "power":
            flows, turned = _least(nest, external, keeps_weights), 0.0
        else:
            mapping = search(
                replace(nest, name=""),
                chip.stores,
                chip.array,
                resident=keeps_cache if nest.cached else keeps_weights,
                reserved=resident,
            )
            flows, turned = mapping.flows, mapping.cycles
        times = some.times
        cycles += turned * times
        narrower = 1.0
        if bits is not None:
            narrower = bits[count.source] / (8 * nest.input_bytes)
        spiking = 1.0 if density is None else density[count.source]
        nearest = next((f.store for f in flows if f.operand == "weights"), "")
        if spiking < 1 and flows and chip.accounting == "events":
            space = mapping.tiles[0]
            spiking = 1 - (1 - spiking) ** (space[B] * space[Y] * space[X])
        for flow in flows:
            factor = times
            if flow.operand == "inputs":
                factor *= narrower
            share = spiking if flow.operand == "weights" and flow.store == nearest else 1.0
            operand = "cache" if nest.cached and flow.operand == "weights" else flow.operand
            found.append(
                Access(
                    name, operand, levels[flow.store],
                    flow.read * factor * share, flow.written * factor,
                )
            )  # fmt: skip
    home = largest if keeps_cache or external is None else external
    if home is not None:
        found += _new_levels(ledger, home)
    return Moved(tuple(a for a in found if a.read or a.written), cycles, products)


def _least(nest: Nest, external: MemoryLevel | None, keeps_weights: bool) -> tuple[Flow, ...]:
    """What a nest must fetch from external memory at least: its weights or its cache, once."""
    if external is None or (keeps_weights and not nest.cached):
        return ()
    fetched = nest.weight_count * nest.weight_bytes
    return (Flow(external.name, "weights", fetched, 0.0),)


def _new_levels(ledger: Ledger, home: MemoryLevel) -> list[Access]:
    """New keys and values, written where the cache lies."""
    sources = {c.source for c in ledger.operations.values()}
    return [
        Access(name, "cache", home, 0.0, levels.total * stored_bits(levels) / 8 / ledger.samples)
        for name, levels in ledger.neurons.items()
        if name not in sources
    ]


def weight_bytes(ledger: Ledger) -> int:
    """Bytes of all weights that the counted operations use."""
    return sum(count.weight_bytes for count in ledger.operations.values())
