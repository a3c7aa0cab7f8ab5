"""``sangbo models``: the catalogue."""

from __future__ import annotations

from rich.table import Table

from sangbo.cli.output import JsonFlag, print_json, stdout
from sangbo.sources import entries


def models(json: JsonFlag = False) -> None:
    """List the networks that can be fetched by name."""
    found = list(entries().values())
    if json:
        print_json({"models": [entry.to_dict() for entry in found]})
        return
    table = Table(title="Networks that Sangbo fetches by name")
    for column in ("name", "task", "family", "parameters", "file", "licence", "source"):
        table.add_column(column)
    for entry in found:
        size, count = f"{entry.bytes / 1e6:.0f} MB", f"{entry.parameters / 1e6:.1f} M"
        packages = ", ".join(f"{p.name} {p.version}" for p in entry.packages)
        table.add_row(entry.name, entry.task, entry.family, count, size, entry.licence, packages)
    stdout.print(table)
