"""Drawings of a trace: spikes in network time and by part, rasters, potentials and membranes."""

from __future__ import annotations

from typing import Any

from sangbo.engines.activity import Recording
from sangbo.extras import need
from sangbo.report.traces import parts
from sangbo.tracing import Trace

need("inspect", "matplotlib")

import matplotlib as mpl  # noqa: E402 - only once it is known to be there
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.colors import ListedColormap, LogNorm  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

_EMPTY, _INK, _UP, _DOWN = "#eceff1", "#263238", "#c62828", "#1565c0"
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_TOKENS = 8
"""Last tokens whose rasters are drawn."""
_NEURONS = 96
"""First neurons whose spikes are drawn."""
_TRACES = 6
"""Neurons and membranes that are drawn."""


def overview(trace: Trace) -> Figure:
    """All in one: spikes in network time, by part, and everything recorded."""
    recordings = trace.activity.recordings
    heights = [2.2, 0.8 + 0.24 * len(parts(trace)), *[4.4] * len(recordings)]
    figure = Figure(figsize=(13, sum(heights)), layout="constrained")
    figure.suptitle(f"{trace.network}, spike by spike in code {trace.code}", color=_INK)
    panels = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_time(panels[0].subplots(), trace)
    _draw_parts(panels[1].subplots(), trace)
    for panel, (name, recording) in zip(panels[2:], recordings.items(), strict=True):
        _draw_recorded(panel, name, recording)
    return figure


def in_time(trace: Trace) -> Figure:
    """Spikes of all layers in each step of network time."""
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    _draw_time(figure.subplots(), trace)
    return figure


def by_part(trace: Trace) -> Figure:
    """Spikes in each step of a layer, by part of a block."""
    figure = Figure(figsize=(11, 1.1 + 0.27 * len(parts(trace))), layout="constrained")
    _draw_parts(figure.subplots(), trace)
    return figure


def recorded(name: str, recording: Recording) -> Figure:
    """Raster, potentials and membranes of one operation."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    _draw_recorded(figure, name, recording)
    return figure


def _draw_time(axes: Axes, trace: Trace) -> None:
    total = np.zeros(trace.latency)
    for layer in trace.layers:
        total[layer.begins : layer.begins + layer.fired.steps] += layer.fired.spikes
    axes.fill_between(np.arange(trace.latency), total / len(trace.tokens), step="post", color=_UP)
    axes.set_xlim(0, max(1, trace.latency))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("network time step, tokens to logits", fontsize=8, color=_INK)
    _title(axes, "spikes per token in each step, all layers")


def _draw_parts(axes: Axes, trace: Trace) -> None:
    groups = parts(trace)
    longest = max(layers[0].fired.steps for layers in groups.values())
    matrix = np.full((len(groups), longest), np.nan)
    for row, layers in enumerate(groups.values()):
        spikes = sum(np.asarray(layer.fired.spikes, float) for layer in layers)
        levels = sum(layer.fired.levels for layer in layers)
        # Codes by place end together, at the step that is worth 1; rate begins together.
        steps = layers[0].fired.steps
        at = 0 if trace.code == "rate" else longest - steps
        matrix[row, at : at + steps] = spikes / max(1, levels)
    matrix[matrix == 0] = np.nan
    axes.set_facecolor(_EMPTY)
    if np.isfinite(matrix).any():
        top = float(np.nanmax(matrix))
        image = axes.imshow(
            np.ma.masked_invalid(matrix), aspect="auto", cmap="OrRd", interpolation="nearest",
            norm=LogNorm(top / 1e4, top),
        )  # fmt: skip
        bar = axes.figure.colorbar(image, ax=axes, pad=0.01, fraction=0.02)
        bar.ax.tick_params(labelsize=7)
    axes.set_yticks(range(len(groups)), list(groups), fontsize=8)
    axes.set_xticks(range(longest), _step_names(trace.code, longest), fontsize=7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(
        "step" if trace.code == "rate" else "step, by what its spikes are worth", fontsize=8,
        color=_INK,
    )  # fmt: skip
    _title(axes, "spikes per level in each step of a layer")


def _step_names(code: str, steps: int) -> list[str]:
    if code in ("rate", "graded"):
        return [str(s) if steps <= 40 or s % 10 == 0 else "" for s in range(1, steps + 1)]
    return [f"2{str(steps - 1 - s).translate(_RAISED)}" for s in range(steps)]


def _draw_recorded(figure: Any, name: str, recording: Recording) -> None:
    raster, sender, receiver = figure.subplots(1, 3, width_ratios=(2.2, 1, 1))
    spikes = np.sign(recording.train.spikes[:, -_TOKENS:, :_NEURONS])
    steps, rows, neurons = spikes.shape
    raster.imshow(
        spikes.transpose(2, 1, 0).reshape(neurons, -1), aspect="auto", interpolation="nearest",
        cmap=ListedColormap([_DOWN, "white", _UP]), vmin=-1, vmax=1,
        extent=(0, rows * steps, neurons, 0),
    )  # fmt: skip
    for edge in range(1, rows):
        raster.axvline(edge * steps, color=_INK, linewidth=0.6)
    raster.set_xlabel(f"last {rows} tokens, {steps} steps each", fontsize=8, color=_INK)
    of = recording.train.spikes.shape[2]
    raster.set_ylabel(f"first {neurons} of {of} neurons", fontsize=8, color=_INK)
    _title(raster, f"{recording.source} → {name} (red +1, blue −1)")
    shades = mpl.colormaps["viridis"](np.linspace(0, 0.9, _TRACES))
    last = np.abs(recording.train.spikes[:, -1].astype(int)).sum(axis=0)
    most = np.argsort(-last, kind="stable")[:_TRACES]
    at = np.arange(steps + 1)
    for shade, chosen in zip(shades, most, strict=False):
        sender.step(at, recording.potentials[:, -1, chosen], where="mid", color=shade, lw=1)
    sender.axhspan(0, 1, color=_EMPTY)
    sender.set_yscale("symlog", linthresh=2)
    sender.set_xlabel("step", fontsize=8, color=_INK)
    _title(sender, "potentials of the last token, thresholds")
    sums = recording.membranes[:, -1, :, 0]
    final = recording.settled[-1, :, 0]
    furthest = np.argsort(-np.abs(final), kind="stable")[:_TRACES]
    for shade, chosen in zip(shades, furthest, strict=False):
        receiver.step(at, sums[:, chosen], where="mid", color=shade, lw=1)
        receiver.plot([steps], [final[chosen]], "o", color=shade, markersize=3)
    receiver.set_xlabel("step; dots: settled", fontsize=8, color=_INK)
    groups = recording.settled.shape[2]
    of = f", weight group 1 of {groups}" if groups > 1 else ""
    _title(receiver, f"membranes, units{of}")


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=9, loc="left", color=_INK)
    axes.tick_params(labelsize=7)
