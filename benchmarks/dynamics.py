"""Networks of spiking neurons beside NEST and Brian2, interleaved in one run.

    make benchmark-dynamics

Every engine lives in a process of its own, builds its network once and waits while another is
measured. The first round warms up and is dropped; ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from interleaved import answer, spread, take_turns

THREADS = 2
NEURONS, DEGREE, RATE = 10_000, 1000, 15.0

# What a maker returns: seconds it took to build, and a function that simulates so many ms and
# returns (seconds, spikes, synaptic events).
Simulate = Callable[[float], tuple[float, int, int]]


def sangbo_random(plastic: bool) -> tuple[float, Simulate]:
    from sangbo.dynamics import presets

    return _sangbo(presets.random(NEURONS, DEGREE, RATE, plastic=plastic, threads=THREADS))


def sangbo_microcircuit() -> tuple[float, Simulate]:
    from sangbo.dynamics import presets

    return _sangbo(presets.microcircuit(0.1, threads=THREADS))


def sangbo_loihi() -> tuple[float, Simulate]:
    from sangbo.dynamics import presets

    return _sangbo(presets.loihi(threads=THREADS))


def sangbo_coba() -> tuple[float, Simulate]:
    from sangbo import dynamics as d

    network = d.Network(step=0.1, seed=1, threads=THREADS)
    model = d.TraubMiles(
        v=d.Normal(-63.0, 5.0),
        receptors=d.ConductanceExponential(
            tau_excitatory=5.0, tau_inhibitory=10.0, e_excitatory=0.0, e_inhibitory=-80.0
        ),
    )
    groups = [network.population(n, model, name=name) for n, name in ((3200, "e"), (800, "i"))]
    for target in groups:
        for source, weight, receptor in zip(
            groups, (6.0, 67.0), ("excitatory", "inhibitory"), strict=True
        ):
            network.connect(
                source,
                target,
                d.FixedProbability(0.02),
                d.Static(weight=weight, delay=0.1),
                receptor=receptor,
            )
    return _sangbo(network, again=True)


def _sangbo(network: Any, again: bool = False) -> tuple[float, Simulate]:
    """`again`: every run begins anew, as Brian2's programs do."""
    start = time.perf_counter()
    network.build()
    built = time.perf_counter() - start
    begin = Path(tempfile.mkdtemp()) / "begin.safetensors"
    if again:
        network.save(begin)

    def simulate(duration: float) -> tuple[float, int, int]:
        if again:
            network.restore(begin)
        run = network.run(duration)
        return run.seconds, run.spikes, run.synaptic_events

    return built, simulate


def nest_random(plastic: bool) -> tuple[float, Simulate]:
    import math

    import nest

    from sangbo.dynamics.presets import CAPACITANCE, REFRACTORY, TAU, THRESHOLD, WEIGHT

    _nest(nest, 1.0)
    wait = 1000 / RATE - REFRACTORY
    current = THRESHOLD / -math.expm1(-wait / TAU) * CAPACITANCE / TAU
    start = time.perf_counter()
    cells = nest.Create(
        "iaf_psc_exp",
        NEURONS,
        {
            "tau_m": TAU,
            "C_m": CAPACITANCE,
            "E_L": 0.0,
            "V_th": THRESHOLD,
            "V_reset": 0.0,
            "t_ref": REFRACTORY,
            "I_e": current,
            "V_m": nest.random.uniform(0.0, THRESHOLD),
        },
    )
    excitatory, inhibitory = cells[: NEURONS * 4 // 5], cells[NEURONS * 4 // 5 :]
    degree = DEGREE * 4 // 5
    nest.CopyModel(
        "stdp_synapse",
        "plastic",
        {
            "lambda": 0.01 / 3,
            "alpha": 1.05,
            "mu_plus": 0.0,
            "mu_minus": 0.0,
            "Wmax": 3 * WEIGHT,
            "tau_plus": 20.0,
        },
    )
    for target in (excitatory, inhibitory):
        kind = "plastic" if plastic and target is excitatory else "static_synapse"
        nest.Connect(
            excitatory,
            target,
            {"rule": "fixed_indegree", "indegree": degree},
            {"synapse_model": kind, "weight": WEIGHT, "delay": 2.0},
        )
        nest.Connect(
            inhibitory,
            target,
            {"rule": "fixed_indegree", "indegree": DEGREE - degree},
            {"weight": -4 * WEIGHT, "delay": 2.0},
        )
    recorder = nest.Create("spike_recorder")
    nest.Connect(cells, recorder)
    nest.Prepare()
    built = time.perf_counter() - start
    return built, _nest_simulate(nest, recorder, DEGREE)


def nest_microcircuit() -> tuple[float, Simulate]:
    import nest
    import numpy as np

    from sangbo.dynamics import presets

    # The very network that Sangbo simulates, population by population.
    ours = presets.microcircuit(0.1, threads=THREADS)
    _nest(nest, 0.1)
    start = time.perf_counter()
    groups = {}
    for p in ours.populations:
        m = p.model
        groups[p.name] = nest.Create(
            "iaf_psc_exp",
            p.size,
            {
                "tau_m": float(m.tau_m),
                "C_m": float(m.c_m),
                "E_L": float(m.e_l),
                "V_th": float(m.v_th),
                "V_reset": float(m.v_reset),
                "t_ref": float(m.t_ref),
                "I_e": float(m.i_e),
                "tau_syn_ex": 0.5,
                "tau_syn_in": 0.5,
            },
        )
        groups[p.name].V_m = np.asarray(m.v)
    for q in ours.projections:
        w, d = q.synapses.weight, q.synapses.delay
        low, high = w.bounds
        nest.Connect(
            groups[q.pre.name],
            groups[q.post.name],
            {"rule": "fixed_total_number", "N": q.rule.total},
            {
                "weight": nest.math.redraw(nest.random.normal(w.mean, w.deviation), low, high),
                "delay": nest.math.redraw(
                    nest.random.normal(d.mean, d.deviation), 0.1 - 0.5 * 0.1, 100.0
                ),
            },
        )
    recorder = nest.Create("spike_recorder")
    for population, stimulus in ours.stimuli:
        source = nest.Create("poisson_generator", {"rate": stimulus.rate * stimulus.sources})
        nest.Connect(
            source, groups[population.name], syn_spec={"weight": stimulus.weight, "delay": 1.5}
        )
    for group in groups.values():
        nest.Connect(group, recorder)
    nest.Prepare()
    built = time.perf_counter() - start
    synapses = sum(q.rule.total for q in ours.projections)
    return built, _nest_simulate(nest, recorder, synapses / ours.neurons)


def _nest(nest: Any, step: float) -> None:
    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.local_num_threads = THREADS
    nest.resolution = step
    nest.rng_seed = 1


def _nest_simulate(nest: Any, recorder: Any, degree: float) -> Simulate:
    def simulate(duration: float) -> tuple[float, int, int]:
        before = recorder.n_events
        start = time.perf_counter()
        nest.Run(duration)
        took = time.perf_counter() - start
        spikes = recorder.n_events - before
        return took, spikes, round(spikes * degree)

    return simulate


def brian_coba() -> tuple[float, Simulate]:
    """Compiled ahead, with OpenMP; a run of another length is another program."""
    import brian2 as b

    folder = tempfile.mkdtemp()
    built: dict[float, Any] = {}

    def make(duration: float) -> None:
        b.device.reinit()
        b.device.activate(build_on_run=False, directory=f"{folder}/{duration}")
        b.prefs.devices.cpp_standalone.openmp_threads = THREADS
        b.prefs.codegen.cpp.extra_compile_args_gcc = ["-O3", "-march=native", "-ffast-math"]
        b.seed(1)
        b.defaultclock.dt = 0.1 * b.ms
        space = {
            "Cm": 200 * b.pF, "gl": 10 * b.nS, "El": -60 * b.mV, "EK": -90 * b.mV,
            "ENa": 50 * b.mV, "g_na": 20 * b.uS, "g_kd": 6 * b.uS, "VT": -63 * b.mV,
            "taue": 5 * b.ms, "taui": 10 * b.ms, "Ee": 0 * b.mV, "Ei": -80 * b.mV,
            "we": 6 * b.nS, "wi": 67 * b.nS,
        }  # fmt: skip
        equations = """
        dv/dt = (gl*(El-v)+ge*(Ee-v)+gi*(Ei-v)-g_na*(m*m*m)*h*(v-ENa)
                 -g_kd*(n*n*n*n)*(v-EK))/Cm : volt
        dm/dt = alpha_m*(1-m)-beta_m*m : 1
        dn/dt = alpha_n*(1-n)-beta_n*n : 1
        dh/dt = alpha_h*(1-h)-beta_h*h : 1
        dge/dt = -ge*(1./taue) : siemens
        dgi/dt = -gi*(1./taui) : siemens
        alpha_m = 0.32*(mV**-1)*4*mV/exprel((13*mV-v+VT)/(4*mV))/ms : Hz
        beta_m = 0.28*(mV**-1)*5*mV/exprel((v-VT-40*mV)/(5*mV))/ms : Hz
        alpha_h = 0.128*exp((17*mV-v+VT)/(18*mV))/ms : Hz
        beta_h = 4./(1+exp((40*mV-v+VT)/(5*mV)))/ms : Hz
        alpha_n = 0.032*(mV**-1)*5*mV/exprel((15*mV-v+VT)/(5*mV))/ms : Hz
        beta_n = .5*exp((10*mV-v+VT)/(40*mV))/ms : Hz
        """
        cells = b.NeuronGroup(
            4000, equations, threshold="v>-20*mV", refractory=3 * b.ms, method="exponential_euler",
            namespace=space,
        )  # fmt: skip
        excitatory = b.Synapses(cells[:3200], cells, on_pre="ge+=we", namespace=space)
        inhibitory = b.Synapses(cells[3200:], cells, on_pre="gi+=wi", namespace=space)
        excitatory.connect(p=0.02)
        inhibitory.connect(p=0.02)
        cells.v = "-63*mV + randn()*5*mV"
        counts = b.SpikeMonitor(cells, record=False)
        network = b.Network(cells, excitatory, inhibitory, counts)
        network.run(duration * b.ms)
        b.device.build(directory=folder, run=False, compile=True)
        built[duration] = (network, counts, b.device)

    b.set_device("cpp_standalone", build_on_run=False, directory=folder)

    def simulate(duration: float) -> tuple[float, int, int]:
        if duration not in built:
            make(duration)
        _, counts, device = built[duration]
        device.run(with_output=False)
        # What the program says of its own loop, without loading and saving.
        return device._last_run_time, int(counts.num_spikes), int(counts.num_spikes * 80)

    return 0.0, simulate


CASES: dict[str, tuple[float, float, dict[str, Callable[[], tuple[float, Simulate]]]]] = {
    "random, static": (
        1000.0,
        10.0,
        {"sangbo": lambda: sangbo_random(False), "NEST": lambda: nest_random(False)},
    ),
    "random, STDP": (
        1000.0,
        10.0,
        {"sangbo": lambda: sangbo_random(True), "NEST": lambda: nest_random(True)},
    ),
    "microcircuit at 10 %": (
        1000.0,
        8.0,
        {"sangbo": sangbo_microcircuit, "NEST": nest_microcircuit},
    ),
    "Hodgkin-Huxley COBA": (1000.0, 3.0, {"sangbo": sangbo_coba, "Brian2": brian_coba}),
    "Loihi whole": (1000.0, 0.0, {"sangbo": sangbo_loihi}),
}


def serve(case: str, name: str, pipe: Connection) -> None:
    """Build, then answer durations with what a run did, until the pipe closes."""
    duration, _, makers = CASES[case]
    built, simulate = makers[name]()
    simulate(duration)
    answer(built, simulate, pipe)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    options = parser.parse_args()
    print(f"{THREADS} threads, {options.rounds} rounds, median (range)\n")
    print("| network | engine | build, s | run, s per s | million events/s | Hz | times slower |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for case in options.cases:
        duration, wanted, makers = CASES[case]
        built, runs = take_turns(serve, case, makers, duration, options.rounds)
        for name, found in runs.items():
            ratios = [a[0] / b[0] for a, b in zip(found, runs["sangbo"], strict=True)]
            neurons = {"random": NEURONS, "microc": 7717, "Hodgki": 4000, "Loihi ": 131072}[
                case[:6]
            ]
            rate = statistics.median(r[1] for r in found) / neurons / duration * 1000
            goal = f" (goal ≥ {wanted:g})" if wanted and name != "sangbo" else ""
            print(
                f"| {case} | {name} | {built[name]:.2f} | "
                f"{spread([r[0] / duration * 1000 for r in found])} | "
                f"{spread([r[2] / r[0] / 1e6 for r in found])} | {rate:.2f} | "
                f"{spread(ratios)}{goal} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
