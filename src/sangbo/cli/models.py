"""``sangbo models``: the catalogue."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from sangbo.cli.output import JsonFlag, print_json, stdout
from sangbo.sources import entries


def models(json: JsonFlag = False) -> None:
    """List the networks that can be fetched by name."""
    found = list(entries().values())
    if json:
        print_json({"models": [entry.to_dict() for entry in found]})
        return
    table = Table(
        title="Networks that Sangbo fetches by name", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for column in ("name", "task", "family", "weights", "file", "licence"):
        table.add_column(column, no_wrap=True)
    for entry in found:
        size, count = f"{entry.bytes / 1e6:.0f} MB", f"{entry.parameters / 1e6:.1f} M"
        licence = "none stated" if entry.licence == "NOASSERTION" else entry.licence
        table.add_row(entry.name, entry.task, entry.family, count, size, licence)
    stdout.print(table)
