"""The drawings of the limits reports, as SVG text."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from sangbo.limits.fit import Fit, design, error_of
from sangbo.limits.history import Growth, Place, Quantity, System
from sangbo.limits.project import Projection, band

_INK, _LINE, _OTHER = "#264653", "#e76f51", "#2a9d8f"
_LABELS: dict[Quantity, str] = {
    "parameters": "parameters",
    "training_flop": "training computation, FLOP",
    "dollars": "training cost, 2023 dollars",
}
_POINTS = 200


def fit_figure(fits: Sequence[Fit], projection: Projection | None = None) -> str:
    """Error against computation: the systems, each form's line and band, and a projection."""
    figure, axes = _axes("computation, FLOP", "error")
    seen = fits[0].observations
    low, high = np.log10(seen.compute.min()), np.log10(seen.compute.max())
    if projection is not None:
        low, high = min(low, projection.log10_compute), max(high, projection.log10_compute)
    at = np.linspace(low - 0.3, high + 0.3, _POINTS)
    for fit, colour in zip(fits, (_LINE, _OTHER), strict=False):
        year = None if fit.observations.year is None else float(fit.observations.year.max())
        years = None if year is None else np.full_like(at, year)
        line = design(10.0**at, years) @ fit.result.params
        bottom, top = band(fit, at, year)
        label = f"{fit.form}, R² {fit.r2:.3f}" + ("" if year is None else f", in {year:.0f}")
        axes.plot(10**at, error_of(fit.form, line), color=colour, label=label)
        axes.fill_between(
            10**at,
            error_of(fit.form, top),
            error_of(fit.form, bottom),
            color=colour,
            alpha=0.18,
            linewidth=0,
        )
        if fit.quantile is not None and year is None:
            values = fit.quantile.intercept + fit.quantile.slope * at
            axes.plot(
                10**at,
                error_of(fit.form, values),
                color=colour,
                linestyle=":",
                label=f"{fit.form}, quantile {fit.quantile.quantile:g}",
            )
    known = ~seen.imputed
    axes.scatter(
        seen.compute[known], seen.error[known], s=14, color=_INK, zorder=3, label="systems"
    )
    if seen.imputed.any():
        axes.scatter(
            seen.compute[seen.imputed],
            seen.error[seen.imputed],
            s=16,
            facecolors="none",
            edgecolors=_INK,
            zorder=3,
            label="systems, computation imputed",
        )
    if projection is not None:
        axes.plot(
            [10.0**projection.log10_compute],
            [projection.target],
            marker="*",
            markersize=13,
            color=_LINE,
            linestyle="",
            label=f"target {projection.target:g}",
        )
    lowest = min(seen.error.min(), 1 if projection is None else projection.target)
    axes.set_ylim(lowest / 1.3, min(1.0, seen.error.max() * 1.3))
    axes.legend(fontsize=8, frameon=False)
    return _svg(figure)


def history_figure(
    known: Sequence[System],
    quantity: Quantity,
    lines: Sequence[Growth],
    run: tuple[float, Place] | None = None,
) -> str:
    """A quantity of the systems over time, its growth by period, and the user's run.

    Args:
        known: the systems.
        quantity: which of their numbers.
        lines: growths to draw, those of other quantities are left out.
        run: year and place of the user's run.
    """
    figure, axes = _axes("year", _LABELS[quantity])
    axes.set_xscale("linear")
    points = [(s.year, v, s.name) for s in known if (v := getattr(s, quantity)) is not None]
    axes.scatter([p[0] for p in points], [p[1] for p in points], s=16, color=_INK, zorder=3)
    named = {"AlexNet", "Transformer", "BERT-Large", "GPT-3 175B", "GPT-4", "PaLM", "Gemini Ultra"}
    for year, value, name in points:
        if name in named:
            axes.annotate(
                name,
                (year, value),
                textcoords="offset points",
                xytext=(4, -8),
                ha="left" if year < 2022 else "right",
                fontsize=7,
            )
    colours = (_LINE, _OTHER, "#6d597a")
    for line, colour in zip((g for g in lines if g.quantity == quantity), colours, strict=False):
        ends = np.array([max(line.first, 2012.5), min(line.last, 2024.0)])
        axes.plot(
            ends,
            10 ** (line.intercept + line.slope * ends),
            color=colour,
            label=f"{line.first}–{line.last - 1}: ×{line.per_year:.1f} a year",
        )
    if run is not None:
        axes.plot(
            [run[0]],
            [run[1].value],
            marker="*",
            markersize=13,
            color=_LINE,
            linestyle="",
            label="your run",
        )
    axes.legend(fontsize=8, frameon=False)
    return _svg(figure)


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "sangbo", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure)
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
