"""``sangbo convert``: float network in, complementary network out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sangbo.chips import fit, layers_of, load
from sangbo.cli.chips import show_fit
from sangbo.cli.output import JsonFlag, print_json, progress_bars, read_text, stdout
from sangbo.convert import Settings
from sangbo.convert import convert as convert_network
from sangbo.convert.budget import DEFAULT, default
from sangbo.network import Network
from sangbo.tasks.translate import Translate

WAYS = {"into_weights": "into weights", "as_sent": "as sent", "by_targets": "by targets"}
"""How values are counted; see `sangbo.convert.spikes`."""
SOURCE = "A catalogue name (see models), a folder or file that holds a network, or hf:org/name."


def convert(
    source: Annotated[str, typer.Argument(help=SOURCE)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    weight_bits: Annotated[
        int | None,
        typer.Option(help="8 per channel, or 4 in groups of 32; else as the source holds them."),
    ] = None,
    generated: Annotated[
        float | None,
        typer.Option(help="Make weights again from seeds of a generator: 2 to 5 bits per weight."),
    ] = None,
    allotted: Annotated[
        float | None,
        typer.Option(
            help="Give every weight a step that suits what it costs, and code them: 1 to 8 bits "
            "per weight in the mean. Keeps a file's own grid where that is cheaper, unless 8 bits "
            "per channel are asked for."
        ),
    ] = None,
    coded: Annotated[
        bool, typer.Option("--coded", help="Entropy-code what is stored, without loss.")
    ] = False,
    levels: Annotated[int | None, typer.Option(help="Largest level that is sent.")] = None,
    cache_bits: Annotated[int, typer.Option(help="8 or 16 for a cached key or value.")] = 16,
    code: Annotated[str, typer.Option(help="Spike code: rate, radix, csd, graded.")] = "csd",
    split: Annotated[
        str, typer.Option(help="Split that prices assume: value, token, channel, tile, layer.")
    ] = "value",
    chip: Annotated[str, typer.Option(help="Chip whose prices decide.")] = "horowitz-45nm",
    budget: Annotated[
        str | None,
        typer.Option(
            help="What thresholds may spend: perplexity=0.2%, energy=50uJ, spikes=1.2 per value "
            "that weights read, or spikes=1.2,dense=5% beside so many values on the dense side. "
            f"{DEFAULT}; {default(Translate())} for networks that translate or "
            "transcribe, classify pictures or read text."
        ),
    ] = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="Text to calibrate on, instead of the network's own.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the calibration.")] = 0,
    json: JsonFlag = False,
) -> None:
    """Convert a network and write it to a folder."""
    settings = Settings(
        weight_bits=weight_bits,
        generated=generated,
        allotted=allotted,
        coded=coded,
        levels=levels,
        cache_bits=cache_bits,
        code=code,
        split=split,
        chip=chip,
        budget=budget,
        seed=seed,
    )
    text = None if calibrate is None else read_text(calibrate)
    with progress_bars() as progress:
        network = convert_network(source, output, settings, calibration=text, progress=progress)
    fits = fit(layers_of(network.graph), load(chip))
    if json:
        print_json({"folder": str(output), **network.conversion, "fit": fits.to_dict()})
        return
    show(network)
    if fits.chips is not None:
        show_fit(fits)


def frontier_table(summary: Mapping[str, Any]) -> Table:
    """What could have been chosen and what was: lost perplexity against spikes and energy."""
    share = summary["beside_dense"]["share"]
    beside = f", beside {share:.0%} dense" if share else ""
    table = Table(title=f"Frontier, by prediction; spikes per value{beside}")
    for column in ("", "perplexity", *WAYS.values(), "dense side", "energy per token"):
        table.add_column(column, justify="left" if not column else "right")
    chosen = summary["chosen"]
    rows = [("", p) for p in summary["frontier"]] + [("chosen", chosen)]
    for mark, entry in sorted(rows, key=lambda row: row[1]["divergence"]):
        energy = entry["energy_pj"]
        table.add_row(
            mark,
            f"+{100 * entry['perplexity']:.2g} %",
            *(f"{entry['spikes_per_value'][way]:.2f}" for way in WAYS),
            f"{100 * entry['dense_fraction']:.1f} %",
            "–" if energy is None else f"{energy / 1e6:.1f} µJ",
        )
    return table


def show(network: Network) -> None:
    """Print what the conversion chose and which neuron layers were hardest."""
    summary = network.conversion["summary"]
    chosen = summary["chosen"]
    stdout.print(network.graph.summary().splitlines()[0])
    stdout.print(frontier_table(summary))
    stdout.print(
        f"{summary['neuron_layers']} neuron layers, "
        f"predicted rise of perplexity by encoding {100 * chosen['perplexity']:.2g} %"
    )
    stdout.print("Spikes per value, counted: " + _ways(summary["spikes_per_value"]))
    beside = summary["beside_dense"]
    if beside["share"]:
        stdout.print(f"Left beside {beside['share']:.0%} dense: " + _ways(beside))
    table = Table(title="Hardest neuron layers")
    for column in ("layer", "threshold θ", "mean |n|", "divergence"):
        table.add_column(column)
    for entry in summary["hardest"]:
        table.add_row(
            entry["layer"],
            f"{entry['threshold']:.4g}",
            f"{entry['mean_level']:.1f}",
            f"{entry['divergence']:.2g}",
        )
    stdout.print(table)
    if network.folder is not None:
        stdout.print(f"Written to {network.folder}")


def _ways(spikes: Mapping[str, float]) -> str:
    return ", ".join(f"{spikes[way]:.2f} {name}" for way, name in WAYS.items())
