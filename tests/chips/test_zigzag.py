"""Access counts against ZigZag's (Mei et al. 2021), recorded by `tests/oracles/record_zigzag.py`.

ZigZag chose the mappings, for AlexNet's convolutions on its Eyeriss-like core: registers in every
unit, then shared memories, another set for each operand. Here the same loops are counted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sangbo.chips.counts import Tiling
from sangbo.chips.nests import OPERANDS, B, C, K, R, S, X, Y, convolution
from sangbo.chips.networks import alexnet

RECORDS = json.loads(
    (Path(__file__).parents[1] / "oracles" / "zigzag-alexnet.json").read_text(encoding="utf-8")
)
NAMES = {"B": B, "K": K, "C": C, "OY": Y, "OX": X, "FY": R, "FX": S}
LETTERS = {"weights": "W", "inputs": "I", "sums": "O"}
ALLOWED = 0.05


@pytest.mark.parametrize("record", RECORDS, ids=[r["name"] for r in RECORDS])
def test_every_memory_of_every_operand(record: dict[str, Any]) -> None:
    nest = convolution(
        record["name"], record["outputs"], record["inputs"], record["size"], record["kernel"],
        stride=record["stride"],
    )  # fmt: skip
    loops = [loop for level in record["operands"]["W"]["loops"] for loop in level]
    tile = [1] * 8
    for name, size in record["space"].items():
        tile[NAMES[name]] *= size
    tiles = [list(tile)]
    for name, size in loops:  # one stage for each loop, innermost first
        tile[NAMES[name]] *= size
        tiles.append(list(tile))
    assert tuple(tile) == nest.sizes
    tiling = Tiling(nest, np.array([tiles]))
    orders = tuple(OPERANDS[0] for _ in loops)
    compared = 0
    for operand in OPERANDS:
        found, place = record["operands"][LETTERS[operand]], 0
        for level, (inside, moves) in enumerate(zip(found["loops"], found["moves"], strict=False)):
            traffic = tiling.traffic(orders, operand, place, private=level <= 1)
            own = level == 0  # the units' registers; with every unit's copies
            pairs = [
                (moves["rd_out_to_low"], traffic.filled if own else traffic.down),
                (moves["wr_in_by_low"], traffic.drained if own else traffic.up),
            ]
            if not own:
                below = found["moves"][level - 1]
                pairs += [
                    (below["wr_in_by_high"], traffic.filled),
                    (below["rd_out_to_high"], traffic.drained),
                ]
            for theirs, ours in pairs:
                assert float(ours[0]) == pytest.approx(theirs, rel=ALLOWED), (operand, level)
                compared += bool(theirs)
            place += len(inside)
    assert compared >= 14


def test_the_layers_are_alexnets() -> None:
    shapes = {n.name: n for n in alexnet()}
    for record in RECORDS:
        nest = shapes[record["name"]]
        assert (nest.outputs, nest.inputs, nest.rows, nest.kernel_rows, nest.stride) == (
            record["outputs"], record["inputs"], record["size"], record["kernel"],
            record["stride"],
        )  # fmt: skip
