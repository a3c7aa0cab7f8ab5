"""A simulation as a page: raster, rates and spectra."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sangbo.dynamics import document
from sangbo.extras import need
from sangbo.report.page import Page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sangbo.dynamics import Network, Population, Run

MOST_DOTS = 20_000
RASTER_NEURONS = 500
BIN = 2.0  # ms


def simulation_page(name: str, network: Network, run: Run) -> Page:
    """What ``run`` of ``network`` did, with pictures of the populations that were recorded."""
    need("inspect", "matplotlib")
    found = document(network, run)
    page = Page(f"Simulation: {name}")
    page.text(
        f"{run.neurons:,} neurons, {run.synapses:,} synapses, {run.duration:g} ms: "
        f"{run.spikes / run.neurons / run.duration * 1000:.2f} Hz on average, real-time factor "
        f"{run.real_time_factor:.3g}.",
        kind="lead",
    )
    page.table(
        ["what", "value", "basis"],
        [
            ["spikes", f"{run.spikes:,}", "counted"],
            ["synaptic events", f"{run.synaptic_events:,}", "counted"],
            ["seconds", f"{run.seconds:.3f}", "measured"],
            ["synaptic events per second", f"{run.events_per_second:,.0f}", "measured"],
            ["threads", f"{run.threads}", "set"],
            ["bytes per synapse", f"{found['bytes_per_synapse']}", "counted"],
        ]
        + [
            [f"energy on {e['chip']}, mJ per second", f"{e['total_pj'] / 1e9:.4g}", e["basis"]]
            for e in found["energy"]
        ],
    )
    seen = [p for p in network.populations if p in network.recorded]
    page.figure(_svg(_raster(seen, run)), f"Spikes of up to {RASTER_NEURONS} neurons of each.")
    page.figure(
        _svg(_rates(seen, run)),
        f"Rate of each population, Hz, in bins of {BIN:g} ms; on the left its mean.",
    )
    page.figure(_svg(_spectra(seen, run)), "Power of the rate, by frequency (Welch's method).")
    return page


def _raster(populations: list[Population], run: Run) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.5 + 0.8 * len(populations)), layout="constrained")
    axes = figure.subplots(len(populations), sharex=True, squeeze=False)[:, 0]
    for ax, population in zip(axes, populations, strict=True):
        times, neurons = run.recorded.spike_times(population.name)
        few = neurons < RASTER_NEURONS
        times, neurons = times[few], neurons[few]
        every = max(1, len(times) * len(populations) // MOST_DOTS)
        ax.scatter(times[::every], neurons[::every], s=1.5, linewidths=0, color="#264653",
                   rasterized=True)  # fmt: skip
        ax.set_ylabel(population.name, rotation=0, ha="right", va="center")
        ax.set_yticks([])
        ax.margins(x=0)
    axes[-1].set_xlabel("time, ms")
    return figure


def _rates(populations: list[Population], run: Run) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1 + 0.8 * len(populations)), layout="constrained")
    axes = figure.subplots(len(populations), sharex=True, squeeze=False)[:, 0]
    for ax, population in zip(axes, populations, strict=True):
        at, rate = _rate(population, run)
        ax.fill_between(at, rate, step="mid", linewidth=0, color="#264653")
        ax.set_ylabel(
            f"{population.name}\n{rate.mean():.2f} Hz", rotation=0, ha="right", va="center"
        )
        ax.yaxis.tick_right()
        ax.set_ylim(0, None)
        ax.margins(x=0)
    axes[-1].set_xlabel("time, ms")
    return figure


def _spectra(populations: list[Population], run: Run) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    ax = figure.subplots()
    for population in populations:
        _, rate = _rate(population, run)
        length = min(256, len(rate) // 2 * 2)
        if length < 8:
            continue
        window = np.hanning(length)
        parts = [
            np.abs(np.fft.rfft((rate[i : i + length] - rate.mean()) * window)) ** 2
            for i in range(0, len(rate) - length + 1, length // 2)
        ]
        power = np.mean(parts, 0) * 2 * BIN / 1000 / (window**2).sum()
        frequency = np.fft.rfftfreq(length, BIN / 1000)
        ax.semilogy(frequency[1:], power[1:], linewidth=1, label=population.name)
    ax.set(xlabel="frequency, Hz", ylabel="power, Hz²/Hz")
    figure.legend(loc="outside right upper", fontsize="small")
    ax.margins(x=0)
    return figure


def _rate(population: Population, run: Run) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    times, _ = run.recorded.spike_times(population.name)
    bins = max(1, round(run.duration / BIN))
    start = population.network.time - run.duration
    # Spikes lie on the ends of steps: a hair more on the left puts each into its own bin.
    counts, edges = np.histogram(times - 1e-6, bins, (start, start + bins * BIN))
    return edges[:-1] + BIN / 2, counts / population.size / BIN * 1000


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", dpi=160)
    text = stream.getvalue()
    return text[text.index("<svg") :]
