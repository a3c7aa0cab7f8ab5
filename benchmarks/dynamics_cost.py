"""What simulating costs as networks grow from a million synapses to a hundred million.

    make figure-dynamics

Random networks of 1,000 synapses a neuron fire near 10 Hz; the figure shows seconds by synaptic
events (measured), and the line of the same cost for every event.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from sangbo.dynamics import presets

SIZES = (1000, 3000, 10_000, 30_000, 100_000)
DEGREE, RATE, THREADS, ROUNDS = 1000, 10.0, 2, 3


def measured(neurons: int) -> tuple[int, float, float]:
    """Synapses, and synaptic events and seconds of the median round."""
    network = presets.random(neurons, DEGREE, RATE, threads=THREADS)
    duration = min(1000.0, 2e6 / neurons * 20)
    network.run(duration)
    runs = sorted((network.run(duration) for _ in range(ROUNDS)), key=lambda r: r.seconds)
    run = runs[ROUNDS // 2]
    return run.synapses, run.synaptic_events, run.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    from matplotlib.figure import Figure

    found = [measured(n) for n in SIZES]
    print("| synapses | synaptic events | seconds | ns an event |")
    print("|---:|---:|---:|---:|")
    for synapses, events, seconds in found:
        print(f"| {synapses:,} | {events:,} | {seconds:.3f} | {seconds / events * 1e9:.2f} |")
    each = statistics.median(seconds / events for _, events, seconds in found)
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    events = [e for _, e, _ in found]
    ax.loglog(events, [e * each for e in events], color="#8d99ae", linewidth=1,
              label=f"{each * 1e9:.2f} ns an event")  # fmt: skip
    ax.loglog(events, [s for _, _, s in found], "o", color="#264653", label="measured, two threads")
    for synapses, e, s in found:
        ax.annotate(f"{synapses / 1e6:g}M synapses", (e, s), (6, -10), textcoords="offset points",
                    fontsize="small")  # fmt: skip
    ax.set(xlabel="synaptic events", ylabel="seconds", xlim=(None, max(events) * 4))
    ax.legend()
    figure.savefig(options.picture, dpi=120)


if __name__ == "__main__":
    main()
