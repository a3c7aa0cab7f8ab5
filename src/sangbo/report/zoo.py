"""The table of all families."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sangbo.zoo.table import Result

_HEAD = (
    "family", "network", "metric", "original", "converted", "may lose", "passed", "dense",
    "spikes per value", "speed / PyTorch",
)  # fmt: skip


def zoo_markdown(results: Sequence[Result]) -> str:
    """One line per network; figures are measured, but for dense shares and spikes, counted."""
    lines = [f"| {' | '.join(_HEAD)} |", "|---|---|---|---:|---:|---:|---|---:|---:|---:|"]
    for r in results:
        speed = r.speed_relative_to_torch
        cells = (
            r.family, r.network, r.metric, f"{r.original:.4g}", f"{r.converted:.4g}",
            f"{r.allowed:.3g}", "yes" if r.passed else "**no**", f"{100 * r.dense_fraction:.1f} %",
            f"{r.spikes_per_value:.2f}", "–" if speed is None else f"{speed:.2f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
