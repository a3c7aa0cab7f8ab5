"""A trace as a table and as a page."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from sangbo.report.layers import sparkline
from sangbo.report.page import Page
from sangbo.tracing import LayerTrace, Trace

HEAD = (
    "part", "T", "active", "spikes per step", "spikes/level", "first", "dense", "accumulates",
)  # fmt: skip
_NARROW = ("part", "T", "act.", "spikes per step", "spikes", "first", "dense", "acc.")
"""The same, so that a row fits a terminal of 80 columns."""
NOTES = (
    "Layers of all blocks together. T: time steps of a layer; active: most steps from the first "
    "spike to the last in one of them. Spikes per step: the fullest bar the largest; the last step "
    "of codes by place is worth 1. Spikes: per level. First: mean step of a neuron's first spike. "
    "Dense: share of the levels that took the dense side. Accumulates: share of all."
)


def trace_table(trace: Trace) -> Table:
    """One row per part of a block."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for i, column in enumerate(_NARROW):
        table.add_column(
            column, justify="left" if i in (0, 3) else "right", no_wrap=i > 0, overflow="fold"
        )
    for cells in rows(trace):
        table.add_row(*cells)
    return table


def rows(trace: Trace) -> list[tuple[str, ...]]:
    """The cells of `trace_table`."""
    found: list[tuple[str, ...]] = []
    for part, layers in parts(trace).items():
        spikes = sum(layer.fired.spikes for layer in layers)
        first = sum(layer.fired.first for layer in layers)
        levels = sum(layer.fired.levels for layer in layers)
        dense = sum(layer.fired.dense for layer in layers)
        accumulates = sum(int(layer.accumulates.sum()) for layer in layers)
        steps = layers[0].fired.steps
        fired = int(np.sum(first))
        mean = f"{first @ np.arange(1, steps + 1) / fired:.1f}" if fired else "–"
        found.append(
            (
                part,
                str(steps),
                str(max(layer.fired.active for layer in layers)),
                sparkline(np.asarray(spikes, float).tolist()),
                f"{np.sum(spikes) / max(1, levels):.2f}",
                mean,
                f"{dense / max(1, levels):.1%}",
                f"{accumulates / max(1, trace.accumulates):.1%}" if accumulates else "–",
            )
        )
    return found


def parts(trace: Trace) -> dict[str, list[LayerTrace]]:
    """Layers by their part of a block, in the order of the network."""
    found: dict[str, list[LayerTrace]] = {}
    for layer in trace.layers:
        found.setdefault(layer.place.part, []).append(layer)
    return found


def headline(trace: Trace) -> str:
    """What was sent, how long it took, and whether it is what the native engine computes."""
    tokens = len(trace.tokens)
    differ = "no logit differs" if not trace.different else f"{trace.different} logits differ"
    return (
        f"{trace.network}: {tokens} tokens in code {trace.code}; per token "
        f"{trace.spikes / tokens:,.0f} spikes, {trace.accumulates / tokens / 1e6:,.1f} M "
        f"accumulates, {trace.macs / tokens / 1e6:,.2f} M MACs on the dense side (counted). "
        f"From token to logits {trace.latency} time steps, {trace.active_latency} of them between "
        f"a layer's first spike and its last. {trace.seconds:.2f} s; the native engine took "
        f"{trace.native_seconds:.3f} s (measured), and {differ} from its. "
        f"Next token: {trace.next_token!r}."
    )


def trace_page(trace: Trace) -> Page:
    """The whole trace as a page; needs matplotlib."""
    from sangbo.report import trace_figures as figures
    from sangbo.report.layer_figures import svg

    page = Page(f"{trace.network}, spike by spike")
    page.text(headline(trace), "lead")
    page.heading("Spikes in time")
    page.figure(
        svg(figures.in_time(trace)),
        "Spikes of all layers in each step of network time, from tokens to logits. A layer begins "
        "once all that it depends on has settled.",
    )
    page.figure(
        svg(figures.by_part(trace)),
        "Spikes in each step of a layer's own time, per level, all blocks together. Grey: steps "
        "that the layer does not have, or in which nothing fires.",
    )
    for name, recording in trace.activity.recordings.items():
        page.heading(name)
        page.figure(
            svg(figures.recorded(name, recording)),
            "Spikes of the last tokens, one column of steps for each token (red +1, blue −1); "
            "then, for the last token, potentials of the neurons that send most, from v₀ to rest "
            "between 0 and 1; and sums of the membranes that end furthest from 0, in units.",
        )
    page.heading("Every part")
    page.table(HEAD, rows(trace), caption=NOTES)
    return page
