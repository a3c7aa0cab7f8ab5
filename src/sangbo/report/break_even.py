"""Where spikes break even, layer by layer: a table, a drawing, JSON, and what others published."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from rich.table import Table

from sangbo.chips import LayerBreakEven, Threshold
from sangbo.report.energy import begin_chip, by_chip

_AXIS = 10
_KINDS = {
    "arithmetic alone": "#e76f51",
    "memory, folded in time": "#2a9d8f",
    "memory, step by step": "#264653",
}
Figures = Mapping[str, tuple[float, float]]


def figures(layer: LayerBreakEven) -> Figures:
    """By kind: break-even in spikes per value, and the price of spikes over that of products."""
    arithmetic = layer.spikes / layer.compute
    folded = (layer.memory + layer.spikes * layer.per_spike) / layer.fair
    stepped = (layer.memory_stepped + layer.spikes * layer.per_spike_stepped) / layer.fair
    return dict(
        zip(
            _KINDS,
            (
                (layer.compute, arithmetic),
                (layer.folded, folded),
                (layer.stepped, stepped),
            ),
            strict=True,
        )
    )


def break_even_table(found: Sequence[LayerBreakEven]) -> Table:
    """One row for each kind of layer, over all blocks: its spikes and its break-evens."""
    heads = ("spikes", "arith.", "folded", "steps", "price")
    table = by_chip(
        "Spikes per value and where they break even with products",
        "layers",
        heads,
        "Picture: ● mean spikes per value (– their range), | break-even of arithmetic, f folded "
        "with memory, s step by step with memory. Price: of spikes over that of products at "
        "⌈log₂(T+1)⌉ bits, folded / step by step.",
    )
    limit = max((max(b.spikes, b.compute) for b in found), default=1.0) * 1.02
    table.add_column(f"0 … {limit:.1f}", no_wrap=True)
    last = ""
    for (chip, part), layers in _parts(found).items():
        spikes = [b.spikes for b in layers]
        means = {k: float(np.mean([figures(b)[k][0] for b in layers])) for k in _KINDS}
        prices = [figures(b)["memory, step by step"][1] for b in layers]
        folded = [figures(b)["memory, folded in time"][1] for b in layers]
        if chip != last:
            begin_chip(table, chip)
        table.add_row(
            f"  {part}",
            f"{np.mean(spikes):.2f}",
            *(f"{value:.2f}" for value in means.values()),
            f"{np.mean(folded):.2f}/{np.mean(prices):.2f}",
            _axis(spikes, list(means.values()), limit),
        )
        last = chip
    return table


def thresholds_table(found: Iterable[Threshold]) -> Table:
    """Published break-evens beside the modelled ones."""
    table = Table(title="Published break-evens", padding=(0, 1, 0, 0))
    for column in ("claim; what gives the modelled figure", "published", "modelled", "memory"):
        table.add_column(column)
    for row in found:
        table.add_row(
            f"{row.claim} ({row.unit})\n[dim]{row.assumption}[/dim]",
            format_range(row.published),
            format_range(row.modelled),
            "included" if row.memory else "left out",
        )
        table.add_section()
    return table


def break_even_document(
    found: Sequence[LayerBreakEven], thresholds: Iterable[Threshold]
) -> dict[str, Any]:
    """The keys that ``sangbo price --break-even --json`` adds."""
    return {
        "break_even": [layer.to_dict() for layer in found],
        "published_break_even": [row.to_dict() for row in thresholds],
    }


def break_even_drawing(found: Sequence[LayerBreakEven]) -> str:
    """An SVG: each layer's spikes per value against the price of spikes; below 1 spikes win."""
    width, height, left, low = 860, 420, 60, 370
    points = [(b, figures(b)) for b in found]
    right = max((b.spikes for b, _ in points), default=1.0) * 1.05
    highest = max((max(p for _, p in f.values()) for _, f in points), default=1.0)
    top = max(1.5, min(highest, 12.0)) * 1.05

    def x(spikes: float) -> float:
        return left + (width - left - 20) * spikes / right

    def y(price: float) -> float:
        return low - (low - 40) * min(price, top) / top

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<path d="M{left} 40V{low}H{width - 20}" fill="none" stroke="#555"/>',
        f'<path d="M{left} {y(1):.1f}H{width - 20}" stroke="#c00" stroke-dasharray="6 4"/>',
        f'<text x="{width - 22}" y="22" fill="#c00" text-anchor="end">'
        "- - break-even: products win above</text>",
        f'<text x="{width / 2}" y="{height - 12}" text-anchor="middle">spikes per value</text>',
        f'<text x="16" y="{low / 2 + 20}" transform="rotate(-90 16 {low / 2 + 20})" '
        'text-anchor="middle">price of spikes over products</text>',
    ]
    for step in range(5):
        value, price = right * step / 4, top * step / 4
        parts.append(f'<text x="{x(value):.1f}" y="{low + 18}">{value:.1f}</text>')
        parts.append(
            f'<text x="{left - 8}" y="{y(price):.1f}" text-anchor="end">{price:.1f}</text>'
        )
    for place, (kind, colour) in enumerate(_KINDS.items()):
        parts.append(f'<circle cx="{left + 12 + 170 * place}" cy="18" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{left + 22 + 170 * place}" y="22">{kind}</text>')
        for layer, values in points:
            price = values[kind][1]
            title = f"{layer.operation} on {layer.chip}: {layer.spikes:.2f} spikes, {price:.2f}"
            parts.append(
                f'<circle cx="{x(layer.spikes):.1f}" cy="{y(price):.1f}" r="3.5" '
                f'fill="{colour}" fill-opacity="0.55"><title>{escape(title)}</title></circle>'
            )
    return "".join([*parts, "</svg>"])


def _parts(found: Sequence[LayerBreakEven]) -> dict[tuple[str, str], list[LayerBreakEven]]:
    """Layers by chip and by what they are called without their block's number."""
    parts: dict[tuple[str, str], list[LayerBreakEven]] = {}
    for layer in found:
        part = re.sub(r"\.\d+\.", ".*.", layer.operation).removeprefix("layers.*.")
        parts.setdefault((layer.chip, part), []).append(layer)
    return parts


def _axis(spikes: Sequence[float], marks: Sequence[float], limit: float) -> str:
    def place(value: float) -> int:
        return min(_AXIS - 1, int(_AXIS * value / limit))

    cells = ["·"] * _AXIS
    for index in range(place(min(spikes)), place(max(spikes)) + 1):
        cells[index] = "–"
    for mark, letter in zip(reversed(marks), "sf|", strict=True):
        cells[place(mark)] = letter
    cells[place(float(np.mean(spikes)))] = "●"
    return "".join(cells)


def format_range(pair: tuple[float, float]) -> str:
    """Lowest and highest figure, or the one that both are."""
    low, high = pair
    return f"{low:.3g}" if low == high else f"{low:.2g}–{high:.2g}"
