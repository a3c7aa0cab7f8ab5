"""The table of all families."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sangbo.report.energy import format_energy

if TYPE_CHECKING:
    from sangbo.zoo.table import Result

_HEAD = (
    "family", "network", "metric", "original", "converted", "may lose", "passed", "dense",
    "spikes per value", "speed / PyTorch", "one at a time",
)  # fmt: skip


def zoo_markdown(results: Sequence[Result]) -> str:
    """One line per network, and its energy in a table below.

    Figures are measured, but for dense shares and spikes, counted, and energies, modelled.
    """
    lines = [f"| {' | '.join(_HEAD)} |", "|---|---|---|---:|---:|---:|---|---:|---:|---:|---:|"]
    for r in results:
        speeds = (r.speed_relative_to_torch, r.speed_of_one_relative_to_torch)
        cells = (
            r.family, r.network, r.metric, f"{r.original:.4g}", f"{r.converted:.4g}",
            f"{r.allowed:.3g}", "yes" if r.passed else "**no**", f"{100 * r.dense_fraction:.1f} %",
            f"{r.spikes_per_value:.2f}", *("–" if s is None else f"{s:.2f}" for s in speeds),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_energies(results)]) + "\n"


def _energies(results: Sequence[Result]) -> list[str]:
    """Totals with memory where the chip states one, and compute alone, relative to dense."""
    lines = [
        "| network | chip | per | dense | spiking | complementary | compute alone, spiking "
        "| compute alone, complementary |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for r in results:
        for chip in dict.fromkeys(e["chip"] for e in r.energy):
            by = {e["scheme"]: e for e in r.energy if e["chip"] == chip}
            dense = by["dense"]
            relative = [
                f"{by[scheme][key] / dense[key]:.3f} ×" if scheme in by and dense[key] else "–"
                for key in ("total_pj", "compute_pj")
                for scheme in ("spiking", "complementary")
            ]
            total = format_energy(dense["total_pj"])
            cells = (r.network, chip, dense["per"], total, *relative)
            lines.append(f"| {' | '.join(cells)} |")
    return lines
