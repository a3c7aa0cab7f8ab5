"""Where the energy goes, as a table with a stacked bar in each row, and as a drawing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from rich.table import Table
from rich.text import Text

from sangbo.chips import Chip, Energy, Price
from sangbo.chips.price import energy_dict
from sangbo.report.energy import begin_chip, by_chip, format_energy, format_seconds

_COLOURS = {
    "arithmetic": "#e76f51",
    "neurons": "#f4a261",
    "control": "#8d99ae",
    "on-chip memory": "#2a9d8f",
    "external memory": "#264653",
}
_LETTERS = dict(zip(_COLOURS, "anc▒█", strict=True))
_WIDTH = 24


def shares(energy: Energy, chip: Chip) -> dict[str, float]:
    """Energy in pJ by what takes it: arithmetic, neurons, control and each kind of memory."""
    kinds = {level.name: level.kind for level in chip.memory}
    found = dict.fromkeys(_COLOURS, 0.0) | dict(energy.parts)
    for name, spent in energy.levels.items():
        key = "external memory" if kinds[name] == "external" else "on-chip memory"
        found[key] += spent
    return found


def budget_table(prices: Sequence[Price], chips: Mapping[str, Chip]) -> Table:
    """Where the energy of each scheme goes that a chip can execute."""
    heads = ("arithm.", "neurons", "control", "on-chip", "external", "time")
    table = by_chip("Where the energy goes", "scheme", heads, "on-chip and external: memory")
    last = ""
    for name, scheme, price, energy, _ in _rows(prices):
        if name != last:
            begin_chip(table, name)
        parts = shares(energy, chips[name])
        timing = price.timing if scheme == price.scheme else None
        seconds = None if timing is None else timing.seconds
        table.add_row(
            f"  {scheme}",
            *(format_energy(spent) if spent else "–" for spent in parts.values()),
            "–" if seconds is None else format_seconds(seconds),
        )
        last = name
    return table


def budget_bars(prices: Sequence[Price], chips: Mapping[str, Chip]) -> Table:
    """The same stacked: each bar is a share of the chip's dearest; and what bounds the time."""
    legend = ", ".join(f"{letter} {name}" for name, letter in _LETTERS.items())
    table = by_chip("The same, stacked", "scheme", ("total", "bound by"), legend)
    table.add_column("", no_wrap=True, min_width=_WIDTH)
    last = ""
    for name, scheme, price, energy, largest in _rows(prices):
        if name != last:
            begin_chip(table, name)
        timing = price.timing if scheme == price.scheme else None
        table.add_row(
            f"  {scheme}",
            format_energy(energy.total),
            "–" if timing is None else str(timing.bound),
            _bar(shares(energy, chips[name]), largest),
        )
        last = name
    return table


def budget_drawing(prices: Sequence[Price], chips: Mapping[str, Chip]) -> str:
    """The same as an SVG: a stacked bar for each scheme, chips scaled apart."""
    rows = list(_rows(prices))
    height = 24 * len(rows) + 40
    parts = [_svg(860, height)]
    for index, (label, colour) in enumerate(_COLOURS.items()):
        at = 10 + 165 * index
        parts.append(f'<rect x="{at}" y="6" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{at + 17}" y="16">{label}</text>')
    for place, (name, scheme, _, energy, largest) in enumerate(rows):
        y, x = 34 + 24 * place, 300.0
        parts.append(f'<text x="10" y="{y + 12}">{escape(name)}: {escape(scheme)}</text>')
        for label, spent in shares(energy, chips[name]).items():
            width = 440 * spent / largest if largest else 0.0
            parts.append(
                f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="16" '
                f'fill="{_COLOURS[label]}"/>'
            )
            x += width
        parts.append(f'<text x="{x + 6:.2f}" y="{y + 12}">{format_energy(energy.total)}</text>')
    return "".join([*parts, "</svg>"])


def batch_table(found: Mapping[str, Mapping[int, Sequence[Price]]], per: str = "token") -> Table:
    """Energy per token or sample by chip, scheme and batch, with what share memory has."""
    sizes = sorted({size for by_size in found.values() for size in by_size})
    title = f"Energy per {per} by batch (memory's share)"
    table = by_chip(title, "scheme", [str(size) for size in sizes])
    for chip, by_size in found.items():
        schemes = [p.scheme for p in by_size[sizes[0]] if p.energy is not None]
        begin_chip(table, chip)
        for scheme in schemes:
            energies = [p.energy for s in sizes for p in by_size[s] if p.scheme == scheme]
            table.add_row(
                f"  {scheme}",
                *(
                    f"{format_energy(e.total)} ({e.memory / (e.total or 1):.0%})"
                    for e in energies
                    if e is not None
                ),
            )
    return table


def batch_document(found: Mapping[str, Mapping[int, Sequence[Price]]]) -> list[dict[str, Any]]:
    """The key ``batches`` of ``sangbo price --batch N --json``; energies per token or sample."""
    return [
        {
            "chip": chip,
            "batch": size,
            "scheme": price.scheme,
            "energy_pj": energy_dict(price.energy),
        }
        for chip, by_size in found.items()
        for size, prices in by_size.items()
        for price in prices
        if price.energy is not None
    ]


def _rows(prices: Sequence[Price]) -> Iterator[tuple[str, str, Price, Energy, float]]:
    """Chip, scheme, its price, its energy, and the dearest energy of that chip."""
    largest: dict[str, float] = {}
    for price in prices:
        for energy in (price.energy, price.stepped):
            if energy is not None:
                largest[price.chip] = max(largest.get(price.chip, 0.0), energy.total)
    for price in prices:
        by = "" if price.split in ("value", "none") else f" by {price.split}"
        if price.energy is not None:
            yield price.chip, price.scheme + by, price, price.energy, largest[price.chip]
        if price.stepped is not None:
            name = f"{price.scheme}, by steps"
            yield price.chip, name, price, price.stepped, largest[price.chip]


def _bar(parts: Mapping[str, float], largest: float) -> Text:
    """A bar of letters, one colour each; rounding never makes it longer than the whole."""
    bar, done, drawn = Text(), 0.0, 0
    for name, spent in parts.items():
        done += spent / largest if largest else 0.0
        until = round(_WIDTH * done)
        bar.append(_LETTERS[name] * (until - drawn), style=_COLOURS[name])
        drawn = until
    return bar


def _svg(width: int, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12">'
    )
