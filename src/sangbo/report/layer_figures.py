"""Drawings of an inspection: which layers lose, which cost, and what levels they send."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from sangbo.extras import need
from sangbo.inspection import BUCKETS, Inspection, NeuronView, Place, SynapticView

need("inspect", "matplotlib")

import matplotlib as mpl  # noqa: E402 - only once it is known to be there
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: E402
from matplotlib.colors import LogNorm  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

View: TypeAlias = NeuronView | SynapticView
Matrix: TypeAlias = NDArray[np.float64]

LOSS, COST, ERROR = "OrRd", "GnBu", "YlOrBr"
_EMPTY, _INK = "#eceff1", "#263238"
_DECADES = 2.0
"""Most decades that colours span, from the largest within a block downwards."""
_BEYOND = "last"
"""Column of the layers that stand outside all blocks."""


def overview(inspection: Inspection) -> Figure:
    """All in one: heat maps of loss and spikes, levels by part, and loss against spikes."""
    parts = len(_rows(inspection.neurons))
    figure = Figure(figsize=(15, 4.2 + 0.5 * parts), layout="constrained")
    figure.suptitle(
        f"{inspection.network}: where it loses and where it spikes", fontsize=14, color=_INK
    )
    axes = figure.subplots(2, 2, width_ratios=(1.35, 1))
    _draw_loss(axes[0, 0], inspection)
    _draw_cost(axes[1, 0], inspection)
    _draw_levels(axes[0, 1], inspection)
    _draw_balance(axes[1, 1], inspection)
    return figure


def loss_and_spikes(inspection: Inspection) -> Figure:
    """Heat maps of loss and spikes, layer by part."""
    figure, axes = _stacked(inspection, 2)
    _draw_loss(axes[0], inspection)
    _draw_cost(axes[1], inspection)
    return figure


def errors(inspection: Inspection) -> Figure:
    """Heat maps of measured errors: of neuron layers, of operations alone, and accumulated."""
    figure, axes = _stacked(inspection, 3)
    _heat(
        axes[0], _known(inspection.neurons), lambda v: 100 * _local(v), ERROR,
        "error of each neuron layer by itself, %", "max",
    )  # fmt: skip
    operations = _known(inspection.synaptic)
    _heat(
        axes[1], operations, lambda v: 100 * _local(v), ERROR,
        "error of each synaptic operation by itself, %", "max",
    )  # fmt: skip
    _heat(
        axes[2], operations, lambda v: 100 * (v.error.accumulated if v.error else np.nan), ERROR,
        "error of each synaptic operation with everything upstream, %", "max",
    )  # fmt: skip
    return figure


def levels(inspection: Inspection) -> Figure:
    """Levels that each part sends, as shares of magnitudes."""
    figure = Figure(figsize=(9, 1.6 + 0.36 * len(_rows(inspection.neurons))), layout="constrained")
    _draw_levels(figure.subplots(), inspection)
    return figure


def balance(inspection: Inspection) -> Figure:
    """Share of the loss against share of the spikes, one point a neuron layer."""
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    _draw_balance(figure.subplots(), inspection)
    return figure


def svg(figure: Figure) -> str:
    """A figure as an SVG element, the same text for the same figure."""
    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "sangbo", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure)
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def png(figure: Figure, dpi: int = 130) -> bytes:
    """A figure as a PNG file of so many pixels an inch."""
    stream = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()


def _stacked(inspection: Inspection, panels: int) -> tuple[Figure, Any]:
    height = 0.9 + 0.27 * len(_rows(inspection.neurons))
    figure = Figure(figsize=(10.5, panels * height), layout="constrained")
    return figure, figure.subplots(panels, 1)


def _draw_loss(axes: Axes, inspection: Inspection) -> None:
    total = inspection.predicted
    if total is None:
        _heat(
            axes, _known(inspection.neurons), lambda v: 100 * _local(v), LOSS,
            "error of each neuron layer by itself, % (no predicted loss is stored)", "max",
        )  # fmt: skip
        return
    _heat(
        axes, inspection.neurons, lambda v: 100 * (v.divergence or np.nan) / total, LOSS,
        f"predicted loss of each neuron layer, % of {total:.2g} nats per token", "sum",
    )  # fmt: skip


def _draw_cost(axes: Axes, inspection: Inspection) -> None:
    total = max(1.0, inspection.synaptic_operations)
    _heat(
        axes, inspection.neurons, lambda v: 100 * (v.synaptic_operations or np.nan) / total, COST,
        f"accumulates caused by each neuron layer's spikes, % of {total / 1e6:.3g} M per token "
        f"({inspection.code})", "sum",
    )  # fmt: skip


def _heat(
    axes: Axes,
    views: Sequence[Any],
    value: Callable[[Any], float],
    colours: str,
    title: str,
    margin: str,
) -> None:
    """Parts down, blocks across; the margin tells each part's sum or largest."""
    rows, columns = _rows(views), _columns(views)
    matrix = np.full((len(rows), len(columns)), np.nan)
    for view in views:
        matrix[rows.index(view.place.part), columns.index(_column(view.place))] = value(view)
    axes.set_title(title, fontsize=9.5, loc="left", color=_INK)
    axes.set_facecolor(_EMPTY)
    within = matrix[:, : columns.index(_BEYOND)] if _BEYOND in columns else matrix
    shown = within if np.isfinite(within).any() else matrix
    shown = shown[np.isfinite(shown) & (shown > 0)]
    if shown.size:
        top = float(shown.max())
        bottom = max(float(shown.min()), top / 10**_DECADES) * (1 - 1e-9)
        image = axes.imshow(
            np.ma.masked_invalid(matrix), aspect="auto", cmap=colours, norm=LogNorm(bottom, top),
            interpolation="nearest",
        )  # fmt: skip
        bar = axes.figure.colorbar(image, ax=axes, pad=0.06, fraction=0.025, aspect=25)
        ticks = np.geomspace(bottom, top, 5).tolist()
        bar.set_ticks(ticks, labels=[f"{t:.2g}" for t in ticks])
        bar.minorticks_off()
        bar.ax.tick_params(labelsize=7, length=2)
        bar.outline.set_visible(False)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    step = max(1, len(columns) // 15)
    ticked = [i for i, c in enumerate(columns) if c == _BEYOND or int(c) % step == 0]
    axes.set_xticks(ticked, [columns[i] for i in ticked], fontsize=8)
    axes.set_xlabel("block", fontsize=8, color=_INK, labelpad=1)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.8)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    reduce_ = np.nansum if margin == "sum" else np.nanmax
    for row, cells in enumerate(matrix):
        text = f"{reduce_(cells):.3g}" if np.isfinite(cells).any() else "–"
        axes.text(
            len(columns) - 0.3, row, text, va="center", fontsize=8, color=_INK,
        )  # fmt: skip
    axes.text(
        len(columns) - 0.3, -0.75, "Σ" if margin == "sum" else "max", fontsize=8, color=_INK,
    )  # fmt: skip


def _draw_levels(axes: Axes, inspection: Inspection) -> None:
    rows = _rows(inspection.neurons)
    colours = mpl.colormaps["viridis_r"](np.linspace(0.02, 1, len(BUCKETS) - 1))
    shades = [mpl.colors.to_rgba("#dfe4e7"), *colours]
    left = np.zeros(len(rows))
    shares = np.zeros((len(rows), len(BUCKETS)))
    notes = []
    for row, part in enumerate(rows):
        group = [v for v in inspection.neurons if v.place.part == part]
        weights = np.array([v.values for v in group])
        shares[row] = np.average([v.histogram for v in group], axis=0, weights=weights)
        spikes = np.average([v.spikes_per_value for v in group], weights=weights)
        sent = group[0].role != "cached"
        dense = np.average([v.dense_fraction for v in group], weights=weights)
        notes.append(f"{spikes:.2f} spikes, {dense:.0%} dense" if sent else "cached, not sent")
    for bucket, label in enumerate(BUCKETS):
        axes.barh(
            range(len(rows)), shares[:, bucket], left=left, color=shades[bucket], label=label,
            height=0.78, linewidth=0,
        )  # fmt: skip
        left += shares[:, bucket]
    for row, note in enumerate(notes):
        axes.text(1.01, row, note, va="center", fontsize=8, color=_INK)
    axes.set_title(
        "levels |n| of each part; spikes per value, share of nonzero levels sent densely\n"
        f"({inspection.chip})", fontsize=9.5, loc="left", color=_INK,
    )  # fmt: skip
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"], fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.legend(
        ncols=len(BUCKETS), fontsize=7.5, frameon=False, loc="upper left",
        bbox_to_anchor=(-0.02, -0.06), handlelength=0.9, columnspacing=0.9, handletextpad=0.35,
    )  # fmt: skip


def _draw_balance(axes: Axes, inspection: Inspection) -> None:
    total = inspection.predicted
    sent = [v for v in inspection.neurons if v.synaptic_operations and v.divergence]
    axes.set_title(
        "share of the loss against share of the spikes, one point a neuron layer", fontsize=9.5,
        loc="left", color=_INK,
    )  # fmt: skip
    if total is None or not sent:
        axes.text(0.5, 0.5, "no predicted loss is stored", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    spikes = max(1.0, inspection.synaptic_operations)
    for index, part in enumerate(_rows(sent)):
        group = [v for v in sent if v.place.part == part]
        axes.scatter(
            [100 * v.synaptic_operations / spikes for v in group],
            [100 * (v.divergence or 0) / total for v in group],
            s=22, color=f"C{index}", alpha=0.8, linewidth=0, label=part,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(0.12)
    low = max(axes.get_xlim()[0], axes.get_ylim()[0])
    high = min(axes.get_xlim()[1], axes.get_ylim()[1])
    axes.plot([low, high], [low, high], color="#90a4ae", linewidth=0.8, linestyle=":", zorder=0)
    for part in _rows(sent):
        view = max((v for v in sent if v.place.part == part), key=lambda v: v.divergence or 0)
        axes.annotate(
            _column(view.place),
            (100 * view.synaptic_operations / spikes, 100 * (view.divergence or 0) / total),
            textcoords="offset points", xytext=(4, 4), fontsize=7.5, color=_INK,
        )  # fmt: skip
    axes.set_xlabel("accumulates, % of all", fontsize=8.5)
    axes.set_ylabel("predicted loss, % of all", fontsize=8.5)
    axes.tick_params(labelsize=8)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7.5, frameon=False, loc="upper left", title="most lossy block named",
                title_fontsize=7.5)  # fmt: skip


def _rows(views: Sequence[View]) -> list[str]:
    return list(dict.fromkeys(v.place.part for v in views))


def _columns(views: Sequence[View]) -> list[str]:
    blocks = sorted({v.place.block for v in views if v.place.block is not None})
    beyond = [_BEYOND] if any(v.place.block is None for v in views) else []
    return [*map(str, blocks), *beyond]


def _column(place: Place) -> str:
    return _BEYOND if place.block is None else str(place.block)


def _known(views: Sequence[Any]) -> list[Any]:
    return [v for v in views if v.error is not None]


def _local(view: View) -> float:
    return np.nan if view.error is None else view.error.local
