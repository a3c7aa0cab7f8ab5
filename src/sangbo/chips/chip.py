"""What a chip states: energies, memory, limits; each number with unit, source and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Literal, TypeAlias, get_args

from sangbo.chips.nests import OPERANDS, Operand
from sangbo.chips.search import COLUMN_DIMENSIONS, ROW_DIMENSIONS, Array, Store
from sangbo.errors import ChipError

Provenance: TypeAlias = Literal["silicon", "simulation", "claim", "estimate"]
"""Where a number comes from, best first.

* ``silicon``: measured on the chip, or fitted to measurements of it.
* ``simulation``: circuit or pre-silicon simulation by its designers.
* ``claim``: published, without a measurement or a simulation that can be looked up; the tables of
  energy per operation that everybody quotes for a process are claims.
* ``estimate``: worked out here by the formula in ``source``, or not found in a primary source.
"""

PROVENANCES: tuple[Provenance, ...] = get_args(Provenance)

Execution: TypeAlias = Literal["folded", "stepped"]
"""``folded``: a level's spikes are added one after the other while its weights are at hand, and
each neuron is settled once. ``stepped``: the chip runs one time step after the other, and every
neuron is updated in each of them."""

Accounting: TypeAlias = Literal["events", "power"]
"""``events``: energy is what events and accesses cost. ``power``: it is the chip's power for as
long as the work takes, because nothing finer is published; what events and external memory leave
of it is booked as control."""

MemoryKind: TypeAlias = Literal["unit", "on-chip", "external"]
"""``unit``: every unit has one of its own."""


@dataclass(frozen=True, slots=True)
class Field:
    """What one key of a chip file means, and the unit that it must have."""

    unit: str
    meaning: str


def _arithmetic() -> dict[str, Field]:
    types = {"int8": "8-bit integer", "int32": "32-bit integer", "float16": "", "float32": ""}
    return {
        f"{operation}_{name}": Field("pJ", f"one {words or name} {noun}")
        for name, words in types.items()
        for operation, noun in (("add", "addition"), ("multiply", "multiplication"))
    }


FIELDS: Mapping[str, Mapping[str, Field]] = {
    "process": {
        "node": Field("nm", "process node"),
        "voltage": Field("V", "supply voltage that the energies hold for"),
    },
    "energy": {
        "mac": Field("pJ", "8-bit × 8-bit multiplication added to a 32-bit sum (dense side)"),
        "accumulate": Field("pJ", "8-bit weight added to a 32-bit sum (spiking side, per spike)"),
        "rescale": Field("pJ", "float32 multiplication and addition of one finished sum"),
        "neuron_update": Field("pJ", "turning one real into a level; stepped: once per step"),
        "neuron_update_idle": Field("pJ", "update of a neuron that nothing reached"),
        "spike": Field("pJ", "what a neuron spends more when it fires"),
        "transport": Field("pJ", "bringing one spike to the core that it goes to, without hops"),
        "hop_east_west": Field("pJ", "one spike over one horizontal hop"),
        "hop_north_south": Field("pJ", "one spike over one vertical hop"),
        "plasticity_update": Field("pJ", "one synapse changed by its learning rule"),
    },
    "arithmetic": _arithmetic(),
    "time": {
        "accumulate": Field("ns", "one synaptic operation"),
        "neuron_update": Field("ns", "one neuron update"),
        "neuron_update_idle": Field("ns", "update of a neuron that nothing reached"),
        "barrier_shortest": Field("ns", "end of a time step, fewest cores in use"),
        "barrier_longest": Field("ns", "end of a time step, most cores in use"),
    },
    "units": {
        "rows": Field("1", "units along one axis of the array"),
        "columns": Field("1", "units along the other axis"),
    },
    "limits": {
        "area": Field("mm^2", "die area"),
        "clock": Field("Hz", "highest clock"),
        "power": Field("W", "highest power"),
        "peak": Field("operation/s", "peak rate, a MAC being two operations"),
        "cores": Field("1", "cores"),
        "neurons": Field("1", "neurons on the chip"),
        "neurons_per_core": Field("1", "neurons in one core"),
        "cores_per_tile": Field("1", "cores that share a router"),
        "tile_columns": Field("1", "routers from east to west"),
        "tile_rows": Field("1", "routers from north to south"),
        "synaptic_memory_per_core": Field("byte", "memory for synapses in one core"),
        "input_axons_per_core": Field("1", "axons that may enter one core"),
        "output_axons_per_core": Field("1", "axons that may leave one core"),
        "weight_bits": Field("bit", "widest weight"),
        "delay_bits": Field("bit", "widest delay"),
        "synapses": Field("1", "synapses on the chip"),
        "fan_in": Field("1", "synapses of one neuron"),
    },
}
"""Every number that a chip file may hold beside its memory, by table and key."""

MEMORY_FIELDS: Mapping[str, Field] = {
    "capacity": Field("byte", "bytes that fit"),
    "width": Field("byte", "bytes of one access"),
    "read": Field("pJ/byte", "reading one byte"),
    "write": Field("pJ/byte", "writing one byte"),
    "bandwidth": Field("byte/s", "bytes moved in a second"),
}
"""Every number of one ``[[memory]]`` table."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One positive number, and where it comes from."""

    value: float
    unit: str
    source: str
    provenance: Provenance

    def to_dict(self) -> dict[str, Any]:
        """The quantity as JSON values."""
        return {
            "value": self.value,
            "unit": self.unit,
            "source": self.source,
            "provenance": self.provenance,
        }


@dataclass(frozen=True, slots=True)
class MemoryLevel:
    """One memory. ``capacity`` is None where it has no limit that matters.

    ``holds`` names the operands that may lie there: weights, inputs, sums.
    """

    name: str
    kind: MemoryKind
    capacity: Quantity | None = None
    read: Quantity | None = None
    write: Quantity | None = None
    width: Quantity | None = None
    bandwidth: Quantity | None = None
    holds: tuple[Operand, ...] = OPERANDS

    def quantities(self) -> Iterator[tuple[str, Quantity]]:
        """Every number stated, by key."""
        for key in MEMORY_FIELDS:
            quantity: Quantity | None = getattr(self, key)
            if quantity is not None:
                yield key, quantity

    @property
    def room(self) -> float:
        """Bytes that fit; infinite where there is no limit."""
        return inf if self.capacity is None else self.capacity.value


@dataclass(frozen=True)
class Chip:
    """A chip, or a table of energies of one process.

    Attributes:
        name: as in `sangbo.chips.load`.
        title: what it is, in a line.
        dense: whether it has units that multiply and accumulate.
        spiking: whether it has units that accumulate spikes.
        execution: how spikes meet weights and neurons; see `Execution`.
        memory_included: whether ``accumulate`` and ``neuron_update`` already contain the memory
            that they touch, so that memory must not be charged again.
        tables: numbers by table and key, as `FIELDS` lists them.
        memory: levels, nearest to the arithmetic first.
        accounting: where energy comes from; see `Accounting`.
        row_dimensions, column_dimensions: what the two axes of the array of units unroll, names in
            `sangbo.chips.nests.DIMENSIONS`.
        notes: what a reader must know about these numbers, in sentences.
    """

    name: str
    title: str
    dense: bool
    spiking: bool
    execution: Execution
    memory_included: bool
    tables: Mapping[str, Mapping[str, Quantity]]
    memory: tuple[MemoryLevel, ...]
    notes: tuple[str, ...] = ()
    accounting: Accounting = "events"
    row_dimensions: tuple[str, ...] = ROW_DIMENSIONS
    column_dimensions: tuple[str, ...] = COLUMN_DIMENSIONS

    def get(self, table: str, key: str) -> Quantity | None:
        """The number ``key`` of ``table``, or None where this chip does not state it."""
        if key not in FIELDS.get(table, {}):
            raise ChipError(f"expected a number that chips may state, found {table}.{key}")
        return self.tables.get(table, {}).get(key)

    def energy(self, key: str) -> float | None:
        """Energy of event ``key`` in pJ, or None where this chip does not state it."""
        quantity = self.get("energy", key)
        return None if quantity is None else quantity.value

    def limit(self, key: str) -> float | None:
        """The limit ``key``, or None where this chip does not state it."""
        quantity = self.get("limits", key)
        return None if quantity is None else quantity.value

    @property
    def priced(self) -> bool:
        """Whether it states any energy; otherwise only its limits are known."""
        return bool(self.tables.get("energy"))

    @property
    def array(self) -> Array:
        """Its units; one where it states none."""
        rows, columns = (self.get("units", key) for key in ("rows", "columns"))
        return Array(
            1 if rows is None else int(rows.value),
            1 if columns is None else int(columns.value),
            self.row_dimensions,
            self.column_dimensions,
        )

    @property
    def stores(self) -> tuple[Store, ...]:
        """Its memories as the search for a mapping sees them."""
        return tuple(
            Store(
                level.name,
                level.kind == "unit",
                level.kind == "external",
                level.holds,
                level.room,
                0.0 if level.read is None else level.read.value,
                0.0 if level.write is None else level.write.value,
            )
            for level in self.memory
        )

    def arithmetic(self, key: str) -> float:
        """Energy of arithmetic operation ``key`` in pJ; raises `ChipError` where not stated."""
        quantity = self.get("arithmetic", key)
        if quantity is None:
            raise ChipError(f"expected chip {self.name} to state arithmetic.{key}, found nothing")
        return quantity.value

    def quantities(self) -> Iterator[tuple[str, str, Quantity]]:
        """Every number as (place, meaning, quantity)."""
        for table, keys in self.tables.items():
            for key, quantity in keys.items():
                yield f"{table}.{key}", FIELDS[table][key].meaning, quantity
        for level in self.memory:
            for key, quantity in level.quantities():
                place = f"memory.{level.name}.{key}"
                yield place, f"{MEMORY_FIELDS[key].meaning}, {level.kind}", quantity

    @property
    def provenances(self) -> tuple[Provenance, ...]:
        """Every provenance among the energies, best first."""
        found = {q.provenance for _, _, q in self.quantities() if q.unit.startswith("pJ")}
        return tuple(p for p in PROVENANCES if p in found)

    def to_dict(self) -> dict[str, Any]:
        """The chip as JSON values, every number with unit, source and provenance."""
        return {
            "name": self.name,
            "title": self.title,
            "dense": self.dense,
            "spiking": self.spiking,
            "execution": self.execution,
            "memory_included": self.memory_included,
            "accounting": self.accounting,
            "row_dimensions": list(self.row_dimensions),
            "column_dimensions": list(self.column_dimensions),
            **{t: {k: q.to_dict() for k, q in keys.items()} for t, keys in self.tables.items()},
            "memory": [
                {"name": m.name, "kind": m.kind, "holds": list(m.holds)}
                | {k: q.to_dict() for k, q in m.quantities()}
                for m in self.memory
            ],
            "notes": list(self.notes),
        }

    def to_markdown(self) -> str:
        """The chip as a markdown section with one table row per number."""
        units = [n for n, has in (("dense", self.dense), ("spiking", self.spiking)) if has]
        lines = [
            f"## {self.name}",
            "",
            f"{self.title}. Units: {' and '.join(units)}; execution: {self.execution}.",
            *(f"\n{note}" for note in self.notes),
            "",
            "| number | value | unit | meaning | provenance | source |",
            "|---|---:|---|---|---|---|",
        ]
        lines += [
            f"| {place} | {q.value:.6g} | {q.unit} | {meaning} | {q.provenance} | {q.source} |"
            for place, meaning, q in self.quantities()
        ]
        return "\n".join(lines) + "\n"

    def __str__(self) -> str:
        rows = [(p, f"{q.value:.6g} {q.unit}", q.provenance) for p, _, q in self.quantities()]
        left = max((len(place) for place, _, _ in rows), default=0)
        middle = max((len(value) for _, value, _ in rows), default=0)
        head = f"{self.name}: {self.title}"
        return "\n".join([head] + [f"  {p:<{left}}  {v:<{middle}}  {o}" for p, v, o in rows])
