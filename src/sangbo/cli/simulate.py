"""`sangbo simulate`: networks of spiking neurons that everybody knows."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sangbo.cli.output import JsonFlag, print_json, progress_bars, stderr
from sangbo.errors import SangboError

if TYPE_CHECKING:
    from sangbo.dynamics import Network, Run
    from sangbo.dynamics.ranks import Ranks
    from sangbo.progress import Progress

app = typer.Typer(no_args_is_help=True, help="Simulate networks of spiking neurons.")

Neurons = Annotated[int, typer.Option(min=5, help="Neurons.")]
Degree = Annotated[int, typer.Option(min=2, help="Synapses of each.")]
Duration = Annotated[float, typer.Option(min=0, help="Milliseconds.")]
Seed = Annotated[int, typer.Option(min=0, help="Of everything random.")]
Threads = Annotated[int | None, typer.Option(help="Threads; all processors.")]
Place = Annotated[bool, typer.Option("--place", help="Place on Loihi's cores; say what breaks.")]
Record = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Record to Parquet files.")]
Checkpoint = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Save there what the network is doing.")
]
Every = Annotated[float, typer.Option(min=0.1, help="Milliseconds between checkpoints.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")]
Figure = Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw what was learned.")]
Report = Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a report.")]


@app.command()
def random(
    neurons: Neurons = 10_000,
    synapses_per_neuron: Degree = 1000,
    rate: Annotated[float, typer.Option(help="Hz of a neuron alone.")] = 10.0,
    duration: Duration = 1000.0,
    plastic: Annotated[bool, typer.Option("--plastic", help="STDP among excitatory ones.")] = False,
    seed: Seed = 1,
    threads: Threads = None,
    place: Place = False,
    record: Record = None,
    checkpoint: Checkpoint = None,
    every: Every = 1000.0,
    resume: Resume = False,
    report: Report = None,
    json: JsonFlag = False,
) -> None:
    """Leaky integrate-and-fire neurons connected at random, steps of 1 ms."""
    from sangbo.dynamics import presets

    network = presets.random(
        neurons, synapses_per_neuron, rate, plastic=plastic, seed=seed, threads=threads
    )
    keep = _Keeping(record, checkpoint, every, resume)
    _run("random", network, duration, place, keep, report, json)


@app.command()
def microcircuit(
    scale: Annotated[float, typer.Option(help="Of neurons and in-degrees.")] = 0.1,
    duration: Duration = 1000.0,
    seed: Seed = 1,
    threads: Threads = None,
    place: Place = False,
    record: Record = None,
    checkpoint: Checkpoint = None,
    every: Every = 1000.0,
    resume: Resume = False,
    report: Report = None,
    json: JsonFlag = False,
) -> None:
    """The cortical microcircuit of Potjans and Diesmann, steps of 0.1 ms."""
    from sangbo.dynamics import presets

    network = presets.microcircuit(scale, seed=seed, threads=threads)
    keep = _Keeping(record, checkpoint, every, resume)
    _run("microcircuit", network, duration, place, keep, report, json)


@app.command()
def loihi(
    neurons: Neurons = 131_072,
    synapses_per_neuron: Degree = 1000,
    rate: Annotated[float, typer.Option(help="Hz of a neuron alone.")] = 5.0,
    duration: Duration = 1000.0,
    seed: Seed = 1,
    threads: Threads = None,
    place: Place = False,
    record: Record = None,
    checkpoint: Checkpoint = None,
    every: Every = 1000.0,
    resume: Resume = False,
    report: Report = None,
    json: JsonFlag = False,
) -> None:
    """A whole Loihi chip of integer neurons, bit for bit, steps of 1 ms."""
    from sangbo.dynamics import presets

    network = presets.loihi(neurons, synapses_per_neuron, rate, seed=seed, threads=threads)
    keep = _Keeping(record, checkpoint, every, resume)
    _run("loihi", network, duration, place, keep, report, json)


@app.command()
def digits(
    seed: Seed = 1, threads: Threads = None, figure: Figure = None, json: JsonFlag = False
) -> None:
    """Unsupervised plasticity on handwritten digits; labels only name neurons afterwards."""
    from sangbo.learning.digits import learn_digits

    with progress_bars() as progress:
        found = learn_digits(seed, threads=threads, progress=progress)
    if figure is not None:
        from sangbo.report.learning import digits_figure

        digits_figure(found, figure)
    if json:
        print_json(found.to_dict())
        return
    typer.echo(
        f"{found.neurons:,} neurons learned from {found.samples:,} digits, each shown once, in "
        f"{found.training_seconds:.0f} s\n"
        f"measured: {found.accuracy:.1%} of 1,000 held-out digits; {found.by_names:.1%} where each "
        "neuron has one name"
    )


@app.command()
def cartpole(seed: Seed = 1, figure: Figure = None, json: JsonFlag = False) -> None:
    """A spiking controller that learns to balance a pole by reward alone."""
    from sangbo.learning.cartpole import balance

    with progress_bars() as progress:
        found = balance(seed, progress=progress)
    if figure is not None:
        from sangbo.report.learning import cartpole_figure

        cartpole_figure(found, figure)
    if json:
        print_json(found.to_dict())
        return
    typer.echo(
        f"{found.neurons} neurons learned in {len(found.course)} episodes, {found.samples:,} "
        f"decisions, {found.training_seconds:.0f} s\n"
        f"measured: mean return {found.mean_return:.1f} over {len(found.returns)} other episodes"
    )


@app.command()
def connectome(
    touch: Annotated[str, typer.Option(help="none, nose, anterior or posterior.")] = "posterior",
    duration: Duration = 1000.0,
    seed: Seed = 1,
    threads: Threads = None,
    figure: Figure = None,
    json: JsonFlag = False,
) -> None:
    """The nervous system of C. elegans: at rest, then touched."""
    from sangbo.learning.connectome import touch_worm

    with progress_bars() as progress:
        found = touch_worm(touch, seed=seed, duration=duration, threads=threads, progress=progress)
    if figure is not None:
        from sangbo.report.learning import connectome_figure

        connectome_figure(found, figure)
    if json:
        print_json(found.to_dict())
        return
    typer.echo(
        f"{found.neurons} neurons, {found.muscles} body muscles, {found.synapses:,} synapses, "
        f"{found.spikes:,} spikes, real-time factor {found.real_time_factor:.3g}"
    )
    for name, rate in found.rates.items():
        typer.echo(f"{name.replace('_', ' ')}: {found.rest[name]:.1f} Hz, touched {rate:.1f} Hz")


@app.command()
def cable(
    swc: Annotated[Path | None, typer.Option(metavar="FILE.swc", help="The cell.")] = None,
    current: Annotated[float, typer.Option(help="Into the soma from 2 ms on, pA.")] = 500.0,
    duration: Annotated[float, typer.Option(min=0, help="Milliseconds.")] = 50.0,
    step: Annotated[float, typer.Option(help="Milliseconds.")] = 0.01,
    longest: Annotated[float, typer.Option(help="Longest compartment, µm.")] = 5.0,
    json: JsonFlag = False,
) -> None:
    """A cell of many compartments with the squid's channels; a ball and stick without a file."""
    from sangbo import dynamics
    from sangbo.dynamics.cables.measure import measure

    if swc is None:
        stick = dynamics.cylinder("dendrite", 1000.0, 2.0, parent="soma")
        shape = dynamics.Morphology([dynamics.sphere("soma", 20.0), stick])
    else:
        shape = dynamics.read_swc(swc)
    with progress_bars() as progress:
        found = measure(
            shape,
            ["hh"],
            current=current,
            duration=duration,
            step=step,
            longest=longest,
            progress=progress,
        )
    if json:
        print_json(found.to_dict())
        return
    times = ", ".join(f"{t:.2f}" for t in found.spike_times_ms[:8]) or "none"
    velocity = found.conduction_velocity_m_per_s
    travels = "no spike travels" if velocity is None else f"spikes travel at {velocity:.3g} m/s"
    typer.echo(
        f"{shape}, {found.compartments} compartments\n"
        f"spikes at {times} ms; {travels}\n"
        f"a steady potential keeps {found.attenuation:.3g} of itself from the soma to the far tip"
    )


@dataclass(frozen=True, slots=True)
class _Keeping:
    """What a run leaves on disk: a recording, and checkpoints every so many ms."""

    record: Path | None
    checkpoint: Path | None
    every: float
    resume: bool


@contextlib.contextmanager
def _ended_together(ranks: Ranks) -> Iterator[None]:
    """Where one rank fails, end all: the others would wait for its spikes."""
    try:
        yield
    except BaseException as error:
        if ranks.size > 1:
            print(f"sangbo: error: rank {ranks.rank}: {error}", file=sys.stderr, flush=True)
            ranks.abort()
        raise


def _simulated(network: Network, duration: float, keep: _Keeping, progress: Progress) -> Run:
    """Simulate up to ``duration`` ms, from checkpoint to checkpoint."""
    from sangbo import dynamics
    from sangbo.dynamics.checkpoint import LIST

    where = keep.checkpoint
    if keep.resume and where is None:
        raise SangboError("expected --checkpoint FOLDER to go on from, found --resume alone")
    if where is not None and keep.resume:
        network.restore(where)
    elif where is not None and (where / LIST).exists():
        raise SangboError(f"expected --resume, or a folder without a checkpoint, found {where}")
    recorder: dynamics.Recorder | None = None
    if keep.record is not None and network.ranks.rank == 0:
        after = network.time if keep.resume else None
        recorder = dynamics.ParquetFolder(keep.record, after=after)
    if where is not None and network.ranks.rank == 0:
        where.mkdir(parents=True, exist_ok=True)
        # Said now: where a rank dies, launchers end the others before they can say anything.
        stderr.print(
            f"checkpoints in {where}; if this run ends early, --resume goes on from there",
            soft_wrap=True,
        )
    runs: list[Run] = []
    try:
        while not runs or duration - network.time > network.step / 2:
            left = max(0.0, duration - network.time)
            piece = left if where is None else min(keep.every, left)
            runs.append(network.run(piece, recorder=recorder, progress=progress))
            if where is not None:
                network.save(where)
    except SangboError as error:
        if where is None or not (where / LIST).exists():
            raise
        raise SangboError(f"{error}; the last checkpoint is in {where}, --resume goes on") from None
    return sum(runs[1:], runs[0])


def _run(
    name: str,
    network: Network,
    duration: float,
    place: bool,
    keep: _Keeping,
    report: Path | None,
    json: bool,
) -> None:
    from sangbo import dynamics

    if keep.record is not None and report is not None:
        raise SangboError("expected --record or --report, found both: a report needs memory")
    with _ended_together(network.ranks), progress_bars(network.ranks.rank == 0) as progress:
        progress("building", 0.0)
        network.build()
        run = _simulated(network, duration, keep, progress)
        placement = None
        if place:
            progress("placing", 0.0)
            placement = dynamics.place(network)
    if network.ranks.rank > 0:
        return
    found = dynamics.document(network, run, placement)
    if report is not None:
        from sangbo.report.dynamics import simulation_page

        simulation_page(name, network, run).write(report)
    if json:
        print_json(found)
        return
    typer.echo(
        f"{run.neurons:,} neurons, {run.synapses:,} synapses ({found['bytes_per_synapse']} bytes "
        f"each), {run.duration:g} ms\n"
        f"{run.spikes:,} spikes, {run.spikes / run.neurons / run.duration * 1000:.2f} Hz, "
        f"{run.synaptic_events:,} synaptic events\n"
        f"measured: {run.seconds:.3f} s, real-time factor {run.real_time_factor:.3g}, "
        f"{run.events_per_second / 1e6:,.0f} million events/s on {run.threads} threads"
        + (f" of each of {run.ranks} ranks, {run.waited:.3f} s of waiting" if run.ranks > 1 else "")
    )
    for entry in found["energy"]:
        typer.echo(f"modelled: {entry['chip']} {entry['total_pj'] / 1e9:.3g} mJ per second")
    if placement is not None:
        step = found["placement"]["step"]
        typer.echo(
            f"{placement}\nmodelled: a step takes {step['energy_pj']['total'] / 1e6:.3g} µJ and "
            f"{(step['time_ns'] or 0) / 1000:.3g} µs, core {step['slowest_core']} longest"
        )
