"""Brunel's network (2000) of 2,500 neurons in NEST, ten seeds: rate, irregularity, synchrony.

make record-simulators
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXCITATORY, INHIBITORY = 2000, 500
DEGREE_E, DEGREE_I = 200, 50
J, G, ETA = 0.2, 5.0, 2.0  # mV; balance; external drive in units of what reaches threshold
TAU, THRESHOLD, RESET, REFRACTORY, DELAY = 20.0, 20.0, 10.0, 2.0, 1.5
STEP, BEGIN, END = 0.1, 200.0, 1700.0  # ms
DRIVE = 1000 * ETA * THRESHOLD / (J * TAU)  # Hz of Poisson events of weight J
BIN = 3.0


def statistics(times: NDArray[np.float64], neurons: NDArray[Any]) -> dict[str, float]:
    """Of the excitatory spikes from BEGIN to END: Hz, mean CV of intervals, Fano factor in bins."""
    late = (times > BEGIN) & (neurons < EXCITATORY)
    times, neurons = times[late], neurons[late]
    order = np.lexsort((times, neurons))
    times, neurons = times[order], neurons[order]
    cvs = []
    for train in np.split(times, np.flatnonzero(np.diff(neurons)) + 1):
        if len(train) > 5:
            intervals = np.diff(train)
            cvs.append(intervals.std() / intervals.mean())
    counts = np.histogram(times - 1e-6, np.arange(BEGIN, END + BIN / 2, BIN))[0]
    return {
        "rate": len(times) / EXCITATORY / (END - BEGIN) * 1000,
        "cv": float(np.mean(cvs)),
        "synchrony": float(counts.var() / counts.mean()),
    }


def with_nest(seed: int) -> dict[str, float]:
    import nest

    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.resolution, nest.rng_seed = STEP, seed
    neuron = {
        "C_m": 1.0, "tau_m": TAU, "t_ref": REFRACTORY, "E_L": 0.0, "V_reset": RESET, "V_m": 0.0,
        "V_th": THRESHOLD,
    }  # fmt: skip
    cells = nest.Create("iaf_psc_delta", EXCITATORY + INHIBITORY, neuron)
    drive = nest.Create("poisson_generator", 1, {"rate": DRIVE})
    recorder = nest.Create("spike_recorder")
    nest.Connect(drive, cells, syn_spec={"weight": J, "delay": DELAY})
    for sources, degree, weight in (
        (cells[:EXCITATORY], DEGREE_E, J),
        (cells[EXCITATORY:], DEGREE_I, -G * J),
    ):
        nest.Connect(
            sources,
            cells,
            {"rule": "fixed_indegree", "indegree": degree},
            {"weight": weight, "delay": DELAY},
        )
    nest.Connect(cells, recorder)
    nest.Simulate(END)
    events = recorder.events
    return statistics(events["times"], events["senders"] - 1)


if __name__ == "__main__":
    from pathlib import Path

    found = [with_nest(seed) for seed in range(1, 11)]
    Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
