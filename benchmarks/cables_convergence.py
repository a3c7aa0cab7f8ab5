"""How the errors of cables fall with compartments and with steps.

    make figure-cables

Space: the steady attenuation of a sealed passive cable, whose solution is known (Rall 1959). Time:
when a spike reaches the end of an axon, against a step sixteen times finer than the finest shown.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from sangbo import dynamics as d
from sangbo.dynamics.cables.measure import crossings

LENGTHS = (250.0, 125.0, 62.5, 31.25, 15.625)
STEPS = (0.1, 0.05, 0.025, 0.0125)
FINEST = STEPS[-1] / 16


def samples(cell: d.Cable, step: float, duration: float, current: float) -> d.Memory:
    network = d.Network(step=step, threads=1)
    cells = network.population(1, cell, name="cell")
    network.stimulate(cells, d.StepInput(times=[0.0], values=[current]))
    for state in ("v", "v@tip"):
        network.record(cells, state)
    return network.run(duration).recorded


def in_space(longest: float) -> float:
    """Error of the attenuation along 1,000 µm in compartments of ``longest`` µm."""
    cell = d.Cable(
        morphology=d.Morphology([d.cylinder("c", 1000.0, 2.0)]),
        channels={"all": [d.Passive(g=2e-4, e=-65.0)]},
        places={"tip": d.Place("c", 1.0)},
        detector=d.Place("c", 0.0),
        longest=longest,
    )
    seen = samples(cell, 0.1, 200.0, 100.0)
    near, far = (float(seen.samples("cell", s)[1][-1, 0]) + 65.0 for s in ("v", "v@tip"))
    length = 1e4 * math.sqrt(0.5e-4 / (100.0 * 2e-4))
    return abs(far / near * math.cosh(1000.0 / length) - 1)


def arrival(step: float, method: d.Method) -> float:
    """When a spike reaches the end of an axon of 400 µm, ms."""
    axon = d.cylinder("axon", 400.0, 2.0, parent="soma")
    cell = d.Cable(
        morphology=d.Morphology([d.sphere("soma", 20.0), axon]),
        channels={"all": ["hh"]},
        places={"tip": d.Place("axon", 1.0)},
        longest=20.0,
        method=method,
    )
    times, v = samples(cell, step, 6.0, 400.0).samples("cell", "v@tip")
    return crossings(times, v[:, 0])[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    from matplotlib.figure import Figure

    space = [in_space(x) for x in LENGTHS]
    true = arrival(FINEST, "crank_nicolson")
    methods: tuple[d.Method, ...] = ("crank_nicolson", "implicit_euler")
    time = {m: [abs(arrival(h, m) - true) for h in STEPS] for m in methods}
    print("| compartment, µm | error of attenuation |")
    print("|---:|---:|")
    for x, error in zip(LENGTHS, space, strict=True):
        print(f"| {x:g} | {error:.3g} |")
    print("\n| step, ms | Crank–Nicolson, ms | implicit Euler, ms |")
    print("|---:|---:|---:|")
    for row in zip(STEPS, *time.values(), strict=True):
        print("| {:g} | {:.3g} | {:.3g} |".format(*row))
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.loglog(LENGTHS, space, "o-", label="measured")
    left.loglog(LENGTHS, [space[0] * (x / LENGTHS[0]) ** 2 for x in LENGTHS], "k:", label="order 2")
    left.set(xlabel="compartment, µm", ylabel="relative error of attenuation", title="space")
    for name, errors in time.items():
        right.loglog(STEPS, errors, "o-", label=name.replace("_", " "))
    first = time["crank_nicolson"][0]
    right.loglog(STEPS, [first * (h / STEPS[0]) ** 2 for h in STEPS], "k:", label="order 2")
    right.set(xlabel="step, ms", ylabel="error of arrival, ms", title="time")
    for axes, ticks in ((left, LENGTHS), (right, STEPS)):
        axes.minorticks_off()
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(options.picture, dpi=120)


if __name__ == "__main__":
    main()
