"""From a ledger to bytes at each memory: each assumption worked out by hand, and by properties."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sangbo import chips
from sangbo.chips.chip import Chip, MemoryKind, MemoryLevel, Quantity
from sangbo.chips.memory import moved
from sangbo.chips.nests import OPERANDS, Nest, linear
from sangbo.chips.networks import decoder, resnet50, total_macs, vgg16
from sangbo.chips.search import Array, Store, search
from sangbo.chips.shapes import counted, stored_bits
from sangbo.errors import PriceError
from sangbo.ledger import Histogram, Ledger


def memory(name: str, capacity: int | None, energy: float, **changes: Any) -> MemoryLevel:
    def number(value: float, unit: str) -> Quantity:
        return Quantity(value, unit, "a test", "estimate")

    room = None if capacity is None else number(capacity, "byte")
    each = number(energy, "pJ/byte")
    kind: MemoryKind = "external" if capacity is None else "on-chip"
    return replace(MemoryLevel(name, kind, room, each, each), **changes)


def chip(*levels: MemoryLevel, **changes: Any) -> Chip:
    energies = {"mac": Quantity(1, "pJ", "a test", "estimate")}
    units = {"columns": Quantity(64, "1", "a test", "estimate")}
    fields: dict[str, Any] = {
        "name": "test", "title": "a test", "dense": True, "spiking": True, "execution": "folded",
        "memory_included": False, "tables": {"energy": energies, "units": units},
        "memory": levels,
    }  # fmt: skip
    return Chip(**(fields | changes))


SMALL, LARGE, FAR = memory("small", 600, 1), memory("large", 5000, 10), memory("far", None, 100)
ALL = chip(SMALL, LARGE, FAR)


def layer(outputs: int, rows: int = 2, highest: int = 5) -> Ledger:
    """A linear layer of 80 inputs, int8 weights."""
    ledger = Ledger(samples=rows)
    ledger.neuron("n").add(np.full((rows, 80), highest, np.int32))
    count = ledger.operation("o", "n", 80 * outputs)
    count.rows = rows
    count.pairs.merge(ledger.neuron("n"), outputs)
    return ledger


def bytes_of(ledger: Ledger, on: Chip, **options: Any) -> dict[tuple[str, str], Any]:
    found = moved(ledger, on, **options).accesses
    return {(a.operand, a.level.name): (a.read, a.written) for a in found}


def test_weights_that_do_not_fit_come_from_far_once_a_row() -> None:
    # 100 outputs in two passes of 64 units. 8000 bytes of weights pass the small memory; 80 levels
    # stay on the chip and are read once in each pass; 100 sums leave as one byte each.
    found = bytes_of(layer(100), ALL)
    assert found["weights", "far"] == (8000, 0)
    assert found["weights", "small"] == (8000, 8000)
    assert found["inputs", "small"][0] == 160
    assert found["sums", "small"] == (0, 100)
    assert ("inputs", "far") not in found
    shared = bytes_of(layer(100), ALL, batch=2)
    assert shared["weights", "far"] == (4000, 0)


def test_weights_that_fit_stay_on_the_chip() -> None:
    found = bytes_of(layer(10), ALL)
    assert found["weights", "large"][0] == 800
    assert not [key for key in found if key[1] == "far"]
    lone = bytes_of(layer(1), chip(LARGE))
    assert lone["weights", "large"] == (80, 0)


def test_wide_levels_take_more_bytes() -> None:
    narrow, wide = (bytes_of(layer(100, highest=h), ALL) for h in (127, 128))
    assert wide["inputs", "small"][0] == 2 * narrow["inputs", "small"][0]
    fewer = bytes_of(layer(100), ALL, bits={"n": 3})
    assert fewer["inputs", "small"][0] == pytest.approx(narrow["inputs", "small"][0] * 3 / 8)
    assert fewer["weights", "far"] == narrow["weights", "far"]


@pytest.mark.parametrize(
    ("highest", "bits"), [(0, 8), (127, 8), (128, 16), (32767, 16), (32768, 24), (2**20, 24)]
)
def test_stored_bits(highest: int, bits: int) -> None:
    assert stored_bits(Histogram({0: 1, highest: 1})) == bits


def attention(rows: int, length: int, heads: int, key_heads: int, width: int) -> tuple[Ledger, int]:
    """Products of ``rows`` queries with ``length`` cached keys of 8 channels a head."""
    ledger = Ledger(samples=rows)
    ledger.neuron("q").add(np.ones((rows, heads * 8), np.int32))
    ledger.neuron("k").add(np.ones((rows, key_heads * 8), np.int32))
    count = ledger.operation("a.scores", "q")
    count.rows, count.cache_bytes = rows, rows * key_heads * 8 * length * width
    count.pairs.merge(ledger.neuron("q"), length)
    count.accumulators = rows * heads * length
    return ledger, key_heads * 8 * length * width


@pytest.mark.parametrize(("heads", "key_heads", "width"), [(4, 4, 1), (9, 3, 2), (12, 4, 2)])
def test_attention_has_the_shape_of_its_heads(heads: int, key_heads: int, width: int) -> None:
    ledger, stored = attention(3, 20, heads, key_heads, width)
    nest = counted(ledger)["a.scores"].nest
    assert (nest.batch, nest.groups) == (heads // key_heads, key_heads)
    assert (nest.inputs, nest.outputs, nest.cached) == (8, 20, True)
    assert nest.weight_count * nest.weight_bytes == stored


@pytest.mark.parametrize(("length", "home"), [(20, "large"), (300, "far")])
def test_cached_keys_are_read_once_a_row_and_written_once(length: int, home: str) -> None:
    ledger, stored = attention(3, length, 4, 4, 1)
    found = bytes_of(ledger, ALL)
    total = moved(ledger, ALL).accesses
    new = [a for a in total if a.operation == "k"]
    assert [(a.level.name, a.read, a.written) for a in new] == [(home, 0, 32)]
    reading = [a for a in total if a.operand == "cache" and a.operation != "k"]
    assert sum(a.read for a in reading if a.level.name == home) == stored
    if home == "large":
        assert not [key for key in found if key == ("cache", "far")]


def test_the_cache_gives_way_to_the_weights() -> None:
    ledger = layer(50)  # 4000 of the 5000 bytes
    count = ledger.operation("a.scores", "n")
    for size, home in ((1001, "far"), (1000, "large")):
        count.rows, count.cache_bytes = 2, 2 * size
        count.pairs = Histogram({1: 2 * 80 * 12})
        count.accumulators = 2 * 12
        total = moved(ledger, ALL).accesses
        places = {a.level.name for a in total if a.operand == "cache"}
        assert ("far" in places) == (home == "far")


def test_step_by_step_fetches_again() -> None:
    ledger = layer(100)
    folded, stepped = moved(ledger, ALL), moved(ledger, ALL, steps={"n": 6})
    assert sum(stepped.energy().values()) > sum(folded.energy().values())
    silent = moved(ledger, ALL, steps={"n": 6}, density={"n": 0.0})
    weights = [a for a in silent.accesses if a.operand == "weights" and a.level.name == "small"]
    assert sum(a.read for a in weights) == 0
    assert stepped.cycles == 6 * folded.cycles


def test_memory_that_is_included_is_not_charged_again() -> None:
    assert moved(layer(10), chip(SMALL, memory_included=True)).accesses == ()
    level = MemoryLevel("bare", "on-chip", SMALL.capacity)
    with pytest.raises(PriceError, match="expected energies of memory bare"):
        _ = chips.Access("o", "inputs", level, 1, 1).energy


def test_a_chip_priced_by_power_pays_what_must_cross() -> None:
    on = chip(FAR, accounting="power")
    found = bytes_of(layer(100), on, batch=4)
    assert found == {("weights", "far"): (2000, 0)}


STORES = (
    Store("a", False, False, OPERANDS, 256, 1, 1.5),
    Store("b", False, False, OPERANDS, 4096, 4, 4),
    Store("c", False, True, OPERANDS, float("inf"), 100, 100),
)
nests = st.builds(
    Nest,
    name=st.just("n"),
    batch=st.integers(1, 12),
    outputs=st.integers(1, 40),
    inputs=st.integers(1, 40),
    rows=st.sampled_from([1, 1, 6]),
    columns=st.sampled_from([1, 1, 7]),
    kernel_rows=st.sampled_from([1, 3]),
    kernel_columns=st.sampled_from([1, 3]),
    stride=st.integers(1, 2),
    groups=st.integers(1, 2),
    steps=st.sampled_from([1, 1, 4]),
)


@settings(max_examples=40, deadline=None)
@given(nests, st.integers(0, 2), st.integers(1, 6), st.booleans())
def test_a_larger_or_another_memory_never_costs_more(
    nest: Nest, which: int, times: int, resident: bool
) -> None:
    array = Array(2, 4)
    before = search(nest, STORES, array)
    if which < 2:
        stores = tuple(
            replace(s, room=s.room * times) if i == which else s for i, s in enumerate(STORES)
        )
        assert search(nest, stores, array).energy <= before.energy * (1 + 1e-9)
    else:
        extra = Store("d", False, False, OPERANDS, 1024, 2, 2)
        more = (STORES[0], extra, *STORES[1:])
        assert search(nest, more, array).energy <= before.energy * (1 + 1e-9)
    again = search(replace(nest, name="other"), STORES, array)
    assert again == before
    # Nothing can cost less than reading every weight and input and writing every output once.
    assert before.utilisation <= 1
    flows = {(f.store, f.operand): f for f in before.flows}
    assert flows["c", "weights"].read >= nest.weight_count
    for operand in ("inputs", "sums"):
        stays = operand in before.resident
        assert (("c", operand) in flows) != stays
    if not resident:
        return
    kept = search(nest, STORES, array, resident=True, reserved=min(1000, nest.weight_count))
    assert not any(f.store == "c" and f.operand == "weights" for f in kept.flows)


@settings(max_examples=8, deadline=None)
@given(nests)
def test_the_search_finds_what_trying_everything_finds(nest: Nest) -> None:
    """One memory and one external: every tile and order, counted one by one."""
    from sangbo.chips.counts import Tiling, fits
    from sangbo.chips.search import _sizes, exchange, pairs

    nest = replace(
        nest, steps=1, rows=1, columns=1, kernel_rows=1, kernel_columns=1,
        batch=min(3, nest.batch), outputs=min(12, nest.outputs), inputs=min(9, nest.inputs),
    )  # fmt: skip
    stores, array = (STORES[1], STORES[2]), Array(2, 4)
    found = search(nest, stores, array)
    space = array.unroll(nest)
    stages = ((stores[0],), (stores[1],))
    best = float("inf")
    for tile in itertools.product(*(_sizes(s, w) for s, w in zip(space, nest.sizes, strict=True))):
        tiles = np.array([[space, tile, nest.sizes]])
        for kept in ((), ("inputs",), ("sums",), ("inputs", "sums")):
            room = stores[0].room / 2
            if "inputs" in kept and nest.input_count > room:
                continue
            if "sums" in kept and nest.output_count > room:
                continue
            if not fits(nest, tiles[:, 1], OPERANDS, kept, stores[0].room)[0]:
                continue
            for orders in itertools.product(OPERANDS, repeat=2):
                total = 0.0
                for operand in OPERANDS:
                    for pair in pairs(stages, operand):
                        some, (read, written) = exchange(nest, Tiling(nest, tiles), orders, pair)
                        if pair.crossing and operand in kept:
                            total += float("inf") if operand == "sums" and read[0][0] else 0.0
                            continue
                        for store, r, w in zip(some, read, written, strict=True):
                            total += float(r[0]) * store.read + float(w[0]) * store.write
                best = min(best, total * nest.groups)
    assert found.energy == pytest.approx(best)


def test_private_memories_are_filled_for_every_unit() -> None:
    spads = tuple(Store(o, True, False, (o,), 64, 0.1, 0.1) for o in OPERANDS)
    stores = (*spads, Store("buffer", False, False, ("inputs", "sums"), 4096, 2, 2), STORES[2])
    nest = linear("n", 8, 16, batch=6)
    found = search(nest, stores, Array(2, 4))
    flows = {(f.store, f.operand): f for f in found.flows}
    assert flows["sums", "sums"].written >= nest.macs  # a unit adds up in its own memory
    assert flows["inputs", "inputs"].written >= 4 * flows["buffer", "inputs"].read / 4
    assert ("buffer", "weights") not in flows
    assert found.describe().startswith("c: ")


def test_what_fits_nowhere_is_refused() -> None:
    tiny = (Store("tiny", False, False, OPERANDS, 3, 1, 1), STORES[2])
    with pytest.raises(PriceError, match="expected memories that hold what 8 units need of 'n'"):
        search(linear("n", 8, 8), tiny, Array(2, 4))


def test_shapes_of_known_networks() -> None:
    # Products and weights as published with each network.
    assert total_macs(vgg16()) == pytest.approx(15.47e9, rel=0.001)
    assert sum(n.weight_count for n in vgg16()) == pytest.approx(138.3e6, rel=0.001)
    assert total_macs(resnet50()) == pytest.approx(4.09e9, rel=0.001)
    assert sum(n.weight_count for n in resnet50()) == pytest.approx(25.5e6, rel=0.001)
    medium = decoder(24, 1024, 16, vocabulary=50257, length=1)
    weights = sum(n.weight_count for n in medium if not n.cached)
    assert weights == pytest.approx(24 * 12 * 1024**2 + 50257 * 1024)


@given(st.integers(1, 300), st.integers(1, 4), st.integers(1, 200))
@settings(max_examples=25, deadline=None)
def test_energy_is_bytes_times_energy_per_byte(outputs: int, rows: int, highest: int) -> None:
    ledger = layer(outputs, rows, highest)
    on = chips.load("horowitz-45nm")
    price = chips.price(ledger, on)[0]
    expected: dict[str, float] = {}
    for access in moved(ledger, on).accesses:
        name = access.level.name
        assert access.level.read is not None
        assert access.level.write is not None
        spent = access.read * access.level.read.value + access.written * access.level.write.value
        expected[name] = expected.get(name, 0) + spent
    assert price.energy is not None
    assert price.energy.levels == pytest.approx(expected)
    assert price.energy.memory == pytest.approx(sum(expected.values()))
