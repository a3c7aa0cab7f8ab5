"""Records what NEST and NEURON do with single neurons; run by their own environment.

make record-simulators
"""

from __future__ import annotations

import json
import sys
from typing import Any

STEP = 0.1
DURATION = 1000.0
# Arrivals from one excitatory and one inhibitory source, ms; any irregular trains do.
EXCITATORY = sorted({round(5.0 + 7.3 * k + 2.1 * (k % 5), 1) for k in range(130)})
INHIBITORY = sorted({round(11.0 + 13.7 * k + 3.3 * (k % 3), 1) for k in range(70)})

CASES: dict[str, dict[str, Any]] = {
    "lif, exponential currents": {
        "model": "iaf_psc_exp",
        "parameters": {"I_e": 330.0, "tau_syn_ex": 2.0, "tau_syn_in": 3.0},
        "weights": [500.0, -300.0],
    },
    "lif, alpha currents": {
        "model": "iaf_psc_alpha",
        "parameters": {"I_e": 330.0, "tau_syn_ex": 2.0, "tau_syn_in": 3.0},
        "weights": [150.0, -120.0],
    },
    "lif, jumps": {
        "model": "iaf_psc_delta",
        "parameters": {"I_e": 330.0},
        "weights": [4.0, -1.5],
    },
    "lif, exponential conductances": {
        "model": "iaf_cond_exp",
        "parameters": {"I_e": 230.0, "tau_syn_ex": 2.0, "tau_syn_in": 3.0},
        "weights": [8.0, -5.0],
    },
    "lif, alpha conductances": {
        "model": "iaf_cond_alpha",
        "parameters": {"I_e": 230.0, "tau_syn_ex": 2.0, "tau_syn_in": 3.0},
        "weights": [8.0, -5.0],
    },
    "adaptive exponential": {
        "model": "aeif_cond_exp",
        "parameters": {"I_e": 1000.0, "t_ref": 2.0, "tau_syn_ex": 2.0, "tau_syn_in": 3.0},
        "weights": [0.0, 0.0],
    },
    "adaptive exponential, conductances": {
        "model": "aeif_cond_exp",
        "parameters": {"I_e": 1000.0, "t_ref": 2.0, "tau_syn_ex": 2.0, "tau_syn_in": 3.0},
        "weights": [8.0, -5.0],
    },
    "adaptive exponential, strong conductances": {
        "model": "aeif_cond_exp",
        "parameters": {"I_e": 700.0, "t_ref": 2.0, "tau_syn_ex": 2.0, "tau_syn_in": 3.0},
        "weights": [30.0, -20.0],
    },
    "adaptive exponential, never refractory": {
        "model": "aeif_cond_exp",
        "parameters": {"I_e": 800.0, "t_ref": 0.0, "tau_syn_ex": 2.0, "tau_syn_in": 3.0},
        "weights": [12.0, -9.0],
    },
    "izhikevich": {
        "model": "izhikevich",
        "parameters": {"I_e": 6.0},
        "weights": [2.0, -1.5],
    },
}


def with_nest() -> dict[str, list[float]]:
    import nest

    found: dict[str, list[float]] = {}
    nest.set_verbosity("M_ERROR")
    for name, case in CASES.items():
        nest.ResetKernel()
        nest.resolution = STEP
        cell = nest.Create(case["model"], 1, case["parameters"])
        recorder = nest.Create("spike_recorder")
        for times, weight in zip((EXCITATORY, INHIBITORY), case["weights"], strict=True):
            source = nest.Create("spike_generator", 1, {"spike_times": times})
            nest.Connect(source, cell, syn_spec={"weight": weight, "delay": 1.0})
        nest.Connect(cell, recorder)
        nest.Simulate(DURATION)
        found[name] = [float(t) for t in recorder.events["times"]]
    return found


def with_neuron() -> dict[str, list[float]]:
    from neuron import h

    h.load_file("stdrun.hoc")
    cell = h.Section(name="cell")
    cell.L = cell.diam = 17.841241161527712  # 1000 µm²
    cell.insert("hh")
    h.usetable_hh = 0  # the rates themselves, not tables in steps of 1 mV
    clamp = h.IClamp(cell(0.5))
    clamp.delay, clamp.dur, clamp.amp = 0.0, 1e9, 0.1  # nA: 10 µA/cm²
    h.celsius = 6.3
    solver = h.CVode()
    solver.active(1)
    solver.atol(1e-8)
    crossings = h.Vector()
    watch = h.NetCon(cell(0.5)._ref_v, None, sec=cell)
    watch.threshold = 0.0
    watch.record(crossings)
    h.finitialize(-65.0)
    h.continuerun(500.0)
    return {"hodgkin-huxley": [float(t) for t in crossings]}


if __name__ == "__main__":
    from pathlib import Path

    found = {**with_nest(), **with_neuron()}
    Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
