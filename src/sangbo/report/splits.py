"""What each split costs beside a split by value, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from sangbo.chips import SplitPrice
from sangbo.report.energy import format_energy

_HEAD = (
    "chip",
    "split",
    "spiking",
    "compute",
    "given up",
    "in all",
    "zeros skipped",
    "predicted",
    "right",
)
_MEANING = (
    "spiking: groups that are cheaper as spikes. Given up: compute beyond a split by value. In "
    "all: the same with memory, which no split changes. Zeros skipped: given up where the dense "
    "side skips zeros. Predicted: given up where sides are chosen beforehand; right: groups that "
    "then got their cheaper side."
)


def splits_table(found: Sequence[SplitPrice]) -> Table:
    """A table with one row per chip and split, and what its columns mean below."""
    codes = ", ".join(dict.fromkeys(f.price.code for f in found))
    title = f"Splits beside a split by value (modelled; code {codes})"
    table = Table(title=title, caption=_MEANING, padding=(0, 1, 0, 0))
    for place, column in enumerate(_HEAD):
        table.add_column(column, justify="left" if place < 2 else "right", no_wrap=True)
    last = ""
    for split in found:
        chip, *cells = _row(split)
        if last and chip != last:
            table.add_section()
        table.add_row("" if chip == last else chip, *cells)
        last = chip
    return table


def splits_markdown(found: Sequence[SplitPrice]) -> str:
    """The table of `splits_table` as markdown."""
    rows = [_HEAD, ("---", "---", *("---:",) * (len(_HEAD) - 2)), *map(_row, found)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{_MEANING}\n"


def splits_document(found: Sequence[SplitPrice]) -> list[dict[str, Any]]:
    """The key ``splits`` of ``sangbo price --split … --json``."""
    return [split.to_dict() for split in found]


def _row(split: SplitPrice) -> tuple[str, ...]:
    values = split.to_dict()
    relative, prediction = values["relative_to_value"], values["prediction"]
    return (
        values["chip"],
        values["split"],
        f"{values['spiking_groups']:.1%}",
        format_energy(values["energy_pj"]["compute"]),
        _given_up(relative["compute"]),
        _given_up(relative["total"]),
        _given_up(relative["compute_zeros_skipped"]),
        _given_up(relative["compute_predicted"]),
        "–" if prediction is None else f"{prediction['right']:.1%}",
    )


def _given_up(share: float | None) -> str:
    return "–" if share is None else f"{share - 1:+.3%}"
