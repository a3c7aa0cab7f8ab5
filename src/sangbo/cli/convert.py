"""``sangbo convert``: float network in, complementary network out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sangbo.cli.output import JsonFlag, print_json, progress_bars, read_text, stdout
from sangbo.convert import Settings
from sangbo.convert import convert as convert_network
from sangbo.convert.settings import DEFAULT_BUDGET
from sangbo.network import Network

SOURCE = "A catalogue name, a folder with config.json, a .gguf file, or hf:org/name."


def convert(
    source: Annotated[str, typer.Argument(help=SOURCE)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    weight_bits: Annotated[int, typer.Option(help="8, or 4 for groups of 32.")] = 8,
    levels: Annotated[int | None, typer.Option(help="Largest level that is sent.")] = None,
    cache_bits: Annotated[int, typer.Option(help="8 or 16 for a cached key or value.")] = 16,
    code: Annotated[str, typer.Option(help="Spike code: rate, radix, csd, graded.")] = "csd",
    split: Annotated[
        str, typer.Option(help="Split that prices assume: value, token, channel, tile, layer.")
    ] = "value",
    chip: Annotated[str, typer.Option(help="Chip whose prices decide.")] = "horowitz-45nm",
    budget: Annotated[
        float, typer.Option(help="Divergence that encoding may cost, in nats per token.")
    ] = DEFAULT_BUDGET,
    calibrate: Annotated[
        Path | None, typer.Option(help="Text to calibrate on, instead of the network's own.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the calibration.")] = 0,
    json: JsonFlag = False,
) -> None:
    """Convert a network and write it to a folder."""
    settings = Settings(
        weight_bits=weight_bits,
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
    if json:
        print_json({"folder": str(output), **network.conversion})
    else:
        show(network)


def show(network: Network) -> None:
    """Print what the conversion chose and which neuron layers were hardest."""
    summary = network.conversion["summary"]
    stdout.print(network.graph.summary().splitlines()[0])
    stdout.print(
        f"{summary['neuron_layers']} neuron layers, "
        f"{summary['spikes_per_value']:.2f} spikes per value, "
        f"predicted divergence of encoding {summary['predicted_divergence']:.4f} nats per token"
    )
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
