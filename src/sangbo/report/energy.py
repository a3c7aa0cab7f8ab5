"""Energy tables and their JSON: what each scheme costs on each chip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

from rich.box import SIMPLE_HEAD
from rich.table import Table

from sangbo.chips import Energy, Price

Per: TypeAlias = Literal["token", "sample"]
_PREFIXES = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"))
_MISSING = "no unit"
_UNKNOWN = "unknown"
_INCLUDED = "included"


def energy_table(prices: Sequence[Price], per: Per = "token", *, baselines: bool = True) -> Table:
    """A table with one row per chip and scheme, and the dense baselines beside them if wanted."""
    codes = ", ".join(dict.fromkeys(price.code for price in prices))
    _, scheme_head, _, *figure_heads = _head(per)
    table = by_chip(f"Energy per {per} (modelled; code {codes})", scheme_head, figure_heads)
    last = ""
    for chip, scheme, _, *figures in _rows(prices, baselines):
        if chip != last:
            begin_chip(table, chip)
        table.add_row(f"  {scheme}", *figures)
        last = chip
    return table


def by_chip(title: str, first: str, figures: Sequence[str], caption: str | None = None) -> Table:
    """A table for 80 columns: names of chips are rows of their own, and no figure is cut."""
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    for column in figures:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def begin_chip(table: Table, chip: str) -> None:
    """The row with which a chip begins in a table of `by_chip`."""
    if table.row_count:
        table.add_section()
    table.add_row(chip, style="bold")


def energy_markdown(prices: Sequence[Price], per: Per = "token") -> str:
    """The table of `energy_table` as markdown, followed by the notes of every chip."""
    lines = [_line(_head(per)), "|---|---|---|---:|---:|---:|---:|"]
    lines += [_line(row) for row in _rows(prices, baselines=True)]
    notes = dict.fromkeys(f"- {p.chip}: {note}" for p in prices for note in p.notes)
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def energy_rows(
    prices: Sequence[Price], per: Per = "token"
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of the table of `energy_table`."""
    return _head(per), list(_rows(prices, baselines=True))


def price_document(prices: Sequence[Price]) -> dict[str, Any]:
    """What ``sangbo price --json`` prints."""
    return {"entries": [price.to_dict() for price in prices]}


def run_energy(prices: Sequence[Price], per: Per = "token") -> list[dict[str, Any]]:
    """The ``energy`` list of ``sangbo run --json``: every scheme that its chip can execute."""
    return [price.to_run_dict(per) for price in prices if price.energy is not None]


def _head(per: Per) -> tuple[str, ...]:
    return ("chip", "scheme", "code", "compute", "memory", f"per {per}", "of dense")


def _rows(prices: Sequence[Price], baselines: bool) -> Iterator[tuple[str, ...]]:
    for price in prices:
        dense = price.scheme == "dense"
        code = "–" if dense else price.code
        by = "" if price.split in ("value", "none") else f" by {price.split}"
        yield (price.chip, f"{price.scheme}{by}", code, *_figures(price.energy, price))
        for baseline in price.baselines if dense and baselines else ():
            name = f"dense, {baseline.name}"
            yield (price.chip, name, code, *_figures(baseline.energy, price))


def _figures(energy: Energy | None, price: Price) -> tuple[str, str, str, str]:
    if energy is None:
        missing = _MISSING if price.provenances else _UNKNOWN
        return (missing, missing, missing, "–")
    relative = f"{energy.total / price.dense:.3f}" if price.dense else "–"
    memory = format_energy(energy.memory) if energy.levels else _INCLUDED
    return (format_energy(energy.compute), memory, format_energy(energy.total), relative)


def format_energy(picojoules: float) -> str:
    """An energy in pJ with the prefix that suits it."""
    for size, unit in _PREFIXES:
        if picojoules >= size:
            return f"{picojoules / size:.3g} {unit}"
    return f"{picojoules:.3g} pJ"


def format_seconds(seconds: float) -> str:
    """A time with the prefix that suits it."""
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
