"""The waterfall from dense int8 to all inventions: a table, bars, a drawing and a page."""

from __future__ import annotations

from html import escape

from rich.table import Table
from rich.text import Text

from sangbo.report.energy import format_energy
from sangbo.report.page import Page
from sangbo.waterfall import Waterfall
from sangbo.waterfall.published import PUBLISHED, SCALING

_HEAD = ("step", "compute", "external", "bytes", "per token", "perplexity", "tokens/s")
_PARTS = {"compute": "#e76f51", "on-chip memory": "#2a9d8f", "external memory": "#264653"}
_LETTERS = {"compute": "a", "on-chip memory": "▒", "external memory": "█"}
_WIDTH = 40


def waterfall_table(found: Waterfall) -> Table:
    """One row per step; compute and external memory beside those of dense int8."""
    table = Table(
        title=f"From dense int8 to all inventions on {found.chip} (modelled; speed measured)",
        caption="external: energy of external memory; bytes: read from it",
        padding=(0, 1, 0, 0),
    )
    for place, column in enumerate(_HEAD):
        table.add_column(column, justify="right" if place else "left", no_wrap=bool(place))
    for row in _rows(found):
        table.add_row(*row)
    table.add_section()
    for claim in PUBLISHED:
        row = (claim.source, claim.compute, claim.external, "", claim.token, "", "")
        table.add_row(*row, style="dim")
    return table


def waterfall_bars(found: Waterfall) -> Table:
    """Energy per token, stacked: each bar is a share of the dearest step's."""
    legend = ", ".join(f"{letter} {name}" for name, letter in _LETTERS.items())
    table = Table(title="The same, stacked", caption=legend, padding=(0, 1, 0, 0))
    table.add_column("step", no_wrap=True)
    table.add_column("", no_wrap=True, min_width=_WIDTH)
    largest = max(step.costs.total for step in found.steps)
    for name, parts in _stacks(found):
        bar, done, drawn = Text(), 0.0, 0
        for part, spent in parts.items():
            done += spent / largest
            until = round(_WIDTH * done)
            bar.append(_LETTERS[part] * (until - drawn), style=_PARTS[part])
            drawn = until
        table.add_row(name, bar)
    return table


def waterfall_drawing(found: Waterfall) -> str:
    """The same as an SVG, and beside it compute alone, which memory hides at this scale."""
    stacks = list(_stacks(found))
    largest = max(sum(parts.values()) for _, parts in stacks)
    dearest = max(parts["compute"] for _, parts in stacks)
    height = 26 * len(stacks) + 44
    parts_of = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 {height}" width="960" '
        f'height="{height}" font-family="sans-serif" font-size="12">'
    ]
    for index, (label, colour) in enumerate(_PARTS.items()):
        at = 200 + 130 * index
        parts_of.append(f'<rect x="{at}" y="6" width="12" height="12" fill="{colour}"/>')
        parts_of.append(f'<text x="{at + 17}" y="16">{label}</text>')
    parts_of.append('<text x="690" y="16">compute alone</text>')
    for place, (name, parts) in enumerate(stacks):
        y, x = 34 + 26 * place, 200.0
        parts_of.append(f'<text x="10" y="{y + 13}">{escape(name)}</text>')
        for label, spent in parts.items():
            width = 360 * spent / largest
            parts_of.append(
                f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="18" '
                f'fill="{_PARTS[label]}"/>'
            )
            x += width
        total = format_energy(sum(parts.values()))
        parts_of.append(f'<text x="{x + 6:.2f}" y="{y + 13}">{total}</text>')
        width = 170 * parts["compute"] / dearest
        parts_of.append(
            f'<rect x="690" y="{y}" width="{width:.2f}" height="18" fill="{_PARTS["compute"]}"/>'
        )
        compute = format_energy(parts["compute"])
        parts_of.append(f'<text x="{696 + width:.2f}" y="{y + 13}">{compute}</text>')
    return "".join([*parts_of, "</svg>"])


def waterfall_page(found: Waterfall) -> Page:
    """Table, drawing, published figures and notes in one file."""
    page = Page(f"{found.network}: what each invention is worth on {found.chip}")
    last = found.steps[-1]
    relative = last.to_dict(found.steps[0].costs)
    page.text(
        f"With all of them a token costs {format_energy(last.costs.total)}: "
        f"{relative['compute_relative']:.2f}× the compute and "
        f"{relative['external_memory_relative']:.2f}× the external memory of dense int8.",
        "lead",
    )
    add_waterfall(page, found)
    page.heading("What was published")
    page.table(
        ("source", "compute", "external memory", "per token"),
        [(c.source, c.compute, c.external, c.token) for c in PUBLISHED],
    )
    page.text(SCALING)
    page.heading("What to know about these numbers")
    for step in found.steps:
        for note in step.notes:
            page.text(f"{step.name}: {note}")
    return page


def add_waterfall(page: Page, found: Waterfall) -> None:
    """Add the drawing and the table to a page."""
    page.figure(waterfall_drawing(found), "Modelled energy per token after each invention.")
    caption = (
        "External: energy of external memory; bytes: read from it. Perplexity: against the "
        f"original network, on {found.tokens} tokens."
    )
    page.table(_HEAD, list(_rows(found)), caption=caption)


def _rows(found: Waterfall) -> list[tuple[str, ...]]:
    dense = found.steps[0].costs
    rows: list[tuple[str, ...]] = []
    for step in found.steps:
        values = step.to_dict(dense)
        change, speed = values["perplexity_relative_change"], values["decode_tokens_per_second"]
        rows.append(
            (
                step.name,
                f"{values['compute_relative']:.3f}×",
                f"{values['external_memory_relative']:.3f}×",
                f"{values['external_bytes_relative']:.3f}×",
                format_energy(step.costs.total),
                "–" if change is None else f"{change:+.2%}",
                "–" if speed is None else f"{speed:.0f}",
            )
        )
    return rows


def _stacks(found: Waterfall) -> list[tuple[str, dict[str, float]]]:
    return [
        (
            step.name,
            {
                "compute": step.costs.compute,
                "on-chip memory": step.costs.on_chip,
                "external memory": step.costs.external,
            },
        )
        for step in found.steps
    ]
