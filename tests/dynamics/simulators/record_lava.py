"""Records what Lava's learning synapses do; run with Python 3.10 and lava-nc 0.10 installed.

    python tests/dynamics/simulators/record_lava.py tests/dynamics/simulators/loihi-learning.npz

Lava draws one number a step for all neurons; here nothing is ever rounded up, so that both sides
can be compared bit for bit. (Impulses are whole: Lava always rounds those of a second spike up.)
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from lava.magma.core.learning import random as lava_random
from lava.magma.core.learning.learning_rule import Loihi2FLearningRule
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import LearningDense
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.utils.weightutils import SignMode

PRE, POST, STEPS = 12, 9, 120

CASES: list[dict[str, Any]] = [
    {
        "dw": "2^-2*x1*y0 - 2^-2*y1*x0", "epoch": 1, "sign": "mixed",
        "x1": (16, 10), "y1": (20, 8),
    },
    {
        "dw": "2^-3*x1*y0 - 2^-4*y1*x0 + 2^-5*u2*w", "dt": "x0*y1 - 2*u2*t", "epoch": 4,
        "sign": "mixed", "x1": (40, 12), "y1": (30, 20),
    },
    {
        "dw": "3*2^-5*x2*y0 - 2^-6*(w - 20)*x0 - 2^-3*y3*y2*y0", "dt": "2^-2*y0*(x1 + 3)",
        "epoch": 7, "sign": "excitatory", "x1": (25, 6), "x2": (60, 30), "y1": (10, 5),
        "y2": (12, 9), "y3": (9, 15),
    },
    {
        "dw": "2^-1*x0*y1 - 2^-2*x1*y0*x0 - u0*sgn(t)", "dt": "y1*x0 - x1*y0", "epoch": 2,
        "sign": "inhibitory", "x1": (90, 4), "y1": (100, 3),
    },
]  # fmt: skip


class Never:
    """Random numbers that never round up."""

    def advance(self) -> None:
        pass

    random_trace_decay = 1.0
    random_impulse_addition = 1 << 20
    random_stochastic_round = 1.0


def record(case: dict[str, Any], seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    pre = generator.random((PRE, STEPS)) < 0.15
    post = generator.random((POST, STEPS)) < 0.12
    low, high = {"mixed": (-200, 200), "excitatory": (0, 200), "inhibitory": (-200, 0)}[
        case["sign"]
    ]
    weights = generator.integers(low // 2, high // 2 + 1, (POST, PRE)) * 2
    traces = {}
    for name in ("x1", "x2", "y1", "y2", "y3"):
        traces[f"{name}_impulse"], traces[f"{name}_tau"] = case.get(name, (0, 0))
    rule = Loihi2FLearningRule(dw=case["dw"], dt=case.get("dt"), t_epoch=case["epoch"], **traces)
    dense = LearningDense(
        weights=weights, tag_1=np.zeros((POST, PRE), int), learning_rule=rule,
        sign_mode=SignMode[case["sign"].upper()],
    )  # fmt: skip
    sources = [Source(data=pre.astype(int)), Source(data=post.astype(int))]
    sources[0].s_out.connect(dense.s_in)
    sources[1].s_out.connect(dense.s_in_bap)
    sink = Sink(shape=(POST,), buffer=STEPS)
    dense.a_out.connect(sink.a_in)
    found: dict[str, list[np.ndarray]] = {k: [] for k in ("weights", "tag_1", "x1", "y1")}
    for _ in range(STEPS):
        dense.run(
            condition=RunSteps(num_steps=1),
            run_cfg=Loihi2SimCfg(select_tag="fixed_pt"),
        )
        for name, values in found.items():
            values.append(np.array(getattr(dense, name).get()).astype(np.int16))
    dense.stop()
    return {
        "pre": np.packbits(pre), "post": np.packbits(post), "initial": weights.astype(np.int16),
        **{k: np.array(v) for k, v in found.items()},
    }  # fmt: skip


def main() -> None:
    import lava.magma.core.model.py.connection as connection

    for module in (lava_random, connection):
        for name in ("TraceRandom", "ConnVarRandom"):
            setattr(module, name, lambda *_, **__: Never())
    arrays: dict[str, Any] = {"cases": np.array(json.dumps(CASES))}
    for i, case in enumerate(CASES):
        for name, values in record(case, i).items():
            arrays[f"{i}.{name}"] = values
    np.savez_compressed(sys.argv[1], **arrays)


if __name__ == "__main__":
    main()
