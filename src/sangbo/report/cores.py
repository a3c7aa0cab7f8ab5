"""One switching core beside two separate ones, as a table."""

from __future__ import annotations

from rich.table import Table

from sangbo.swings import CoreComparison


def cores_table(found: CoreComparison) -> Table:
    """Latency and utilisation of every core, and how the split swings below."""
    swings = "; ".join(
        f"{name}: " + ", ".join(f"{key} {share:.0%}" for key, share in quantiles.items())
        for name, quantiles in found.swings.items()
    )
    table = Table(
        title=f"Cores of one area on {found.chip} (counted, code {found.code})",
        caption=f"Dense share of the work by {swings}.",
        padding=(0, 1, 0, 0),
    )
    columns = (
        "additions",
        "core",
        "cycles per token",
        "latency",
        "utilisation",
        "dense",
        "spiking",
    )
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 1 else "right")
    for row in found.to_dict()["cores"]:
        table.add_row(
            str(row["additions_per_cycle"]),
            row["core"],
            f"{row['cycles_per_token']:,.0f}",
            f"{row['latency_relative']:.2f}×",
            f"{row['utilisation']:.0%}",
            f"{row['dense_busy']:.0%}",
            f"{row['spiking_busy']:.0%}",
        )
    return table
