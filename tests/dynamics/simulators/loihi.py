"""Random Loihi neurons stepped by Lava itself (lava-nc 0.10, Python 3.10), as checksums.

make record-lava
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
from numpy.typing import NDArray

NEURONS, STEPS, SEED = 256, 400, 20
INPUTS = ("du", "dv", "vth", "bias_mant", "bias_exp")
Arrays = dict[str, NDArray[np.int64]]


def drawn() -> Arrays:
    """Parameters (NEURONS,) over their whole ranges, and weights that arrive (STEPS, NEURONS)."""
    random = np.random.default_rng(SEED)
    half = random.random(NEURONS) < 0.5  # half of them near threshold, half anywhere
    a_in = np.where(
        random.random((STEPS, NEURONS)) < 0.4,
        random.integers(-(2**15), 2**15, (STEPS, NEURONS)),
        0,
    )
    # Currents of exactly ±2²³, where 24 bits end.
    a_in = np.where(random.random(a_in.shape) < 0.05, 2**17 * np.sign(a_in), a_in)
    return {
        "du": np.where(random.random(NEURONS) < 0.3, 4095, random.integers(0, 4096, NEURONS)),
        "dv": np.where(half, random.integers(0, 200, NEURONS), random.integers(0, 4096, NEURONS)),
        "vth": np.where(
            half, random.integers(0, 5000, NEURONS), random.integers(0, 2**17, NEURONS)
        ),
        "bias_mant": random.integers(-4096, 4096, NEURONS),
        "bias_exp": random.integers(0, 8, NEURONS),
        "a_in": a_in,
    }


def checksums(u: NDArray[np.int64], v: NDArray[np.int64], spikes: NDArray[np.int64]) -> list[str]:
    """Of currents, potentials after the step, and spikes, each (STEPS, NEURONS)."""
    return [
        hashlib.sha256(np.ascontiguousarray(x, np.int32).tobytes()).hexdigest()
        for x in (u, v, spikes)
    ]


def with_lava(given: Arrays) -> list[str]:
    from lava.proc.lif.models import PyLifModelBitAcc

    zeros = np.zeros(NEURONS, np.int32)
    model = PyLifModelBitAcc({})
    model.u, model.v = zeros.copy(), zeros.copy()
    for name in INPUTS:
        setattr(model, name, given[name].astype(np.int32))
    sent: list[NDArray[np.int64]] = []

    class In:
        at = -1

        def recv(self) -> NDArray[np.int32]:
            self.at += 1
            row: NDArray[np.int32] = given["a_in"][self.at].astype(np.int32)
            return row

    class Out:
        def send(self, spikes: NDArray[np.int64]) -> None:
            sent.append(spikes.astype(np.int64))

    model.a_in, model.s_out = In(), Out()
    u, v = [], []
    for _ in range(STEPS):
        model.run_spk()
        u.append(model.u.copy())
        v.append(model.v.copy())
    return checksums(np.array(u), np.array(v), np.array(sent))


if __name__ == "__main__":
    from pathlib import Path

    Path(sys.argv[1]).write_text(json.dumps(with_lava(drawn())) + "\n", encoding="utf-8")
