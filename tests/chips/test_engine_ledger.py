"""A ledger that an engine filled, attention included, against products counted by hand."""

from __future__ import annotations

import numpy as np

from sangbo import chips
from sangbo.engines import Reference, Segment
from sangbo.graph import Attention, Graph, Linear, Neuron, ValueType, Weight
from sangbo.ledger import Ledger

ROWS, CHANNELS = 3, 4


def network() -> Graph:
    """x → neurons → q, k, v → neurons → attention of one head."""
    random = np.random.default_rng(5)
    tensors: dict[str, np.ndarray] = {
        "θ": np.array(0.25, np.float32),
        "1/θ": np.array(4, np.float32),
    }
    operations: list[Neuron | Linear | Attention] = [Neuron("x.n", "x", "θ", "1/θ")]
    for name in "qkv":
        tensors[name] = random.integers(-9, 10, (CHANNELS, CHANNELS)).astype(np.int8)
        tensors[f"{name}.scale"] = np.full((CHANNELS, 1), 0.1, np.float32)
        weight = Weight(name, 8, CHANNELS, f"{name}.scale")
        operations.append(Linear(f"{name}.y", "x.n", weight))
        operations.append(Neuron(f"{name}.n", f"{name}.y", "θ", "1/θ", -127, 127))
    operations.append(
        Attention(
            "a",
            "q.n",
            "k.n",
            "v.n",
            heads=1,
            key_heads=1,
            scale=0.5,
            threshold="θ",
            inverse="1/θ",
            highest=15,
        )
    )
    inputs = {"x": ValueType("real", ("rows", CHANNELS))}
    return Graph("small", inputs, tuple(operations), ("a",), tensors)


def test_products_of_an_engine_run() -> None:
    ledger = Ledger()
    engine = Reference(network())
    x = np.random.default_rng(6).normal(size=(ROWS, CHANNELS)).astype(np.float32)
    engine.run({"x": x}, [Segment(engine.cache(ROWS), ROWS)], ledger=ledger)
    assert ledger.samples == ROWS
    dense, spiking, both = chips.price(ledger, chips.load("horowitz-45nm"))
    seen = 1 + 2 + 3  # row r sees r + 1 keys
    linear = 3 * ROWS * CHANNELS * CHANNELS
    assert dense.events.macs * ROWS == linear + 2 * seen * CHANNELS
    assert dense.events.neuron_updates * ROWS == 4 * ROWS * CHANNELS + seen
    assert dense.energy is not None
    assert spiking.energy is not None
    assert both.energy is not None
    assert both.energy.compute <= min(dense.energy.compute, spiking.energy.compute)
    # Keys and values are cached: 8 levels of one byte a row are written, and every key and value
    # seen is read.
    found = chips.moved(ledger, chips.load("horowitz-45nm")).accesses
    home = [a for a in found if a.operand == "cache" and a.level.name == "sram-1m"]
    assert sum(a.written for a in home) == 2 * CHANNELS
    assert sum(a.read for a in home) * ROWS == 2 * seen * CHANNELS
