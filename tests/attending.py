"""Attention of every form, and what it is row by row."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import single
from sangbo.graph import Attention, Graph, Neuron, Operation

HEADS, KEY_HEADS, SIZE = 4, 2, 3
DISTANCES = 2


def bias_of(table: Any, head: int, distance: int) -> float:
    most = table.shape[1] // 2
    return float(table[head, min(max(distance, -most), most) + most])


def slow(
    q: Any, k: Any, v: Any, *, causal: bool, table: Any = None, first: int = 0, levels: int = 0
) -> Any:
    """Attention of one sequence in float64, row by row; probabilities in ``levels`` if given."""
    y = np.zeros(q.shape)
    for row, head in itertools.product(range(len(q)), range(HEADS)):
        own = slice(head * SIZE, head * SIZE + SIZE)
        kept = slice(head // 2 * SIZE, head // 2 * SIZE + SIZE)
        seen = first + row + 1 if causal else len(k)
        scores = k[:seen, kept] @ q[row, own].astype(np.float64) / 2
        if table is not None:
            scores += [bias_of(table, head, j - first - row) for j in range(seen)]
        e = np.exp(scores - scores.max())
        if levels:
            e = np.floor(e * levels + 0.5)
        y[row, own] = (e / e.sum()) @ v[:seen, kept]
    return y


def made(
    query: tuple[Any, ...], key: tuple[Any, ...], *, causal: bool, distances: bool,
    levels: bool = False,
) -> tuple[Graph, Any]:  # fmt: skip
    table = np.random.default_rng(9).normal(size=(HEADS, 2 * DISTANCES + 1)).astype(np.float32)
    tensors: dict[str, Any] = {"d": table} if distances else {}
    q, k, v = "q", "k", "v"
    operations: list[Operation] = []
    if levels:
        tensors |= {"t": np.float32(0.25), "i": np.float32(4),
                    "pt": np.float32(1 / 15), "pi": np.float32(15)}  # fmt: skip
        operations += [Neuron(f"{n}.n", n, "t", "i", -127, 127) for n in (q, k, v)]
        q, k, v = (f"{n}.n" for n in (q, k, v))
    operation = Attention(
        "y", q, k, v, HEADS, KEY_HEADS, 0.5, causal, "pt" if levels else None,
        "pi" if levels else None, 15, "d" if distances else None,
    )  # fmt: skip
    kept = single.real(*key, KEY_HEADS * SIZE)
    inputs = {"q": single.real(*query, HEADS * SIZE), "k": kept, "v": kept}
    return single.graph_of([*operations, operation], tensors, **inputs), table


def drawn(rng: np.random.Generator, rows: int, heads: int) -> Any:
    return (rng.integers(-8, 9, (rows, heads * SIZE)) / 4).astype(np.float32)
