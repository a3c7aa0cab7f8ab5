"""An inspection as tables and as a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from sangbo.inspection import Inspection, NeuronView
from sangbo.report.page import Page

_BARS = " ▁▂▃▄▅▆▇█"
_HEAD = (
    "neuron layer", "θ", "levels 0…≥128", "mean |n|", "spikes", "dense", "accumulates", "loss",
    "error",
)  # fmt: skip
_NARROW = ("neuron layer", "θ", "levels", "|n|", "spikes", "dense", "acc. %", "loss %", "err. %")
"""The same, so that a row fits a terminal of 80 columns."""
_MOST = 10
NOTES = (
    "θ: threshold. |n|: mean level. Levels: shares of |n| = 0, 1, 2, 3, 4–7, 8–15, 16–31, 32–63, "
    "64–127, ≥128, the fullest bar the largest. Spikes: per value. Dense: share of the nonzero "
    "levels that the chip sends densely. Accumulates: share of all that spikes would cause. Loss: "
    "share of the predicted divergence. Error: share of the layer's input that rounding loses, "
    "measured."
)


def layer_table(inspection: Inspection, views: Sequence[NeuronView] | None = None) -> Table:
    """One row per neuron layer; all of them, or those given."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for i, column in enumerate(_NARROW):
        table.add_column(
            column, justify="left" if i in (0, 2) else "right", no_wrap=i > 0, overflow="fold"
        )
    for view in inspection.neurons if views is None else views:
        table.add_row(*(cell.removesuffix(" %") for cell in _cells(inspection, view)))
    return table


def headline(inspection: Inspection) -> str:
    """What was seen, and on what, in a few sentences."""
    lines = [
        f"{inspection.network}: {len(inspection.neurons)} neuron layers, "
        f"{len(inspection.synaptic)} synaptic operations, code {inspection.code}, "
        f"chip {inspection.chip}. Counted on {inspection.counted} tokens ({inspection.text})."
    ]
    if inspection.predicted is not None:
        lines.append(f"Predicted loss of all rounding: {inspection.predicted:.4g} nats per token.")
    if inspection.kl_divergence is not None:
        lines.append(
            f"Measured on {inspection.measured} tokens: {inspection.kl_divergence:.4g} nats per "
            "token, weights and everything else included."
        )
    return " ".join(lines)


def hardest(inspection: Inspection) -> str:
    """Which layers lose most and which cost most, in a sentence or two."""
    lines = []
    lossy: list[NeuronView] = [v for v in inspection.neurons if v.divergence]
    if inspection.predicted and lossy:
        lines.append("Most of the loss: " + _named(lossy, _loss, inspection.predicted) + ".")
    total = max(1.0, inspection.synaptic_operations)
    lines.append("Most of the accumulates: " + _named(inspection.neurons, _cost, total) + ".")
    wrong = [v for v in inspection.synaptic if v.error is not None]
    if wrong:
        worst = sorted(wrong, key=lambda v: -v.error.local if v.error else 0)[:3]
        lines.append(
            "Operations that lose most by themselves: "
            + ", ".join(f"{v.name} ({v.error.local:.1%})" for v in worst if v.error)
            + "."
        )
    return " ".join(lines)


def layer_page(inspection: Inspection) -> Page:
    """The whole inspection as a page; needs matplotlib."""
    from sangbo.report import layer_figures as figures

    page = Page(f"{inspection.network}: where it loses and where it spikes")
    page.text(hardest(inspection), "lead")
    page.text(headline(inspection))
    page.heading("Loss and spikes, layer by layer")
    page.figure(
        figures.svg(figures.loss_and_spikes(inspection)),
        "Parts down, blocks across, darker is more, on a logarithmic scale that ends at the "
        "largest within a block. Grey: nothing there, or nothing sent.",
    )
    page.figure(
        figures.svg(figures.balance(inspection)),
        "Above the dotted line a layer has a larger share of the loss than of the spikes: a finer "
        "threshold there is cheap. Below it a coarser one costs little. The worst of each part is "
        "named.",
    )
    page.heading("Levels")
    page.figure(
        figures.svg(figures.levels(inspection)),
        "Share of each magnitude among the levels of a part, all blocks together.",
    )
    if any(v.error for v in inspection.neurons):
        page.heading("Errors")
        page.figure(
            figures.svg(figures.errors(inspection)),
            "Mean over tokens of the share of a value that is lost; by itself: given the "
            "original's own values. Each panel has its own scale.",
        )
    page.heading("Every neuron layer")
    page.table(_HEAD, [_cells(inspection, v) for v in inspection.neurons], caption=NOTES)
    page.heading("Every synaptic operation")
    page.table(
        ("operation", "error by itself", "with everything upstream"),
        [
            (v.name, _percent(v.error.local), _percent(v.error.accumulated))
            for v in inspection.synaptic
            if v.error
        ],
    )
    return page


def sparkline(shares: Sequence[float]) -> str:
    """Bars as characters, the highest for the largest share; a share above zero always shows."""
    top = max(shares, default=0.0)
    if top <= 0:
        return " " * len(shares)
    return "".join(
        _BARS[max(1, round(s / top * (len(_BARS) - 1)))] if s > 0 else " " for s in shares
    )


def most_important(inspection: Inspection) -> list[NeuronView]:
    """The neuron layers that lose most, predicted or else measured, and those that cost most."""
    key = _loss if inspection.predicted else _error
    chosen = sorted(inspection.neurons, key=key, reverse=True)[:_MOST]
    chosen += sorted(inspection.neurons, key=_cost, reverse=True)[:_MOST]
    names = {v.name for v in chosen}
    return [v for v in inspection.neurons if v.name in names]


def _cells(inspection: Inspection, view: NeuronView) -> tuple[str, ...]:
    sent = view.role != "cached"
    predicted, cost = inspection.predicted, max(1.0, inspection.synaptic_operations)
    return (
        view.name.removesuffix(".levels"),
        f"{view.threshold:.3g}",
        sparkline(view.histogram),
        f"{view.mean_level:.1f}",
        f"{view.spikes_per_value:.2f}" if sent else "–",
        f"{view.dense_fraction:.0%}" if sent else "–",
        _percent(view.synaptic_operations / cost) if sent else "–",
        _percent(view.divergence / predicted) if predicted and view.divergence is not None else "–",
        "–" if view.error is None else _percent(view.error.local),
    )


def _named(views: Sequence[NeuronView], key: Callable[[NeuronView], float], total: float) -> str:
    best = sorted(views, key=key, reverse=True)[:3]
    return ", ".join(f"{v.name.removesuffix('.levels')} ({key(v) / total:.1%})" for v in best)


def _loss(view: NeuronView) -> float:
    return view.divergence or 0.0


def _cost(view: NeuronView) -> float:
    return view.synaptic_operations


def _error(view: NeuronView) -> float:
    return view.error.local if view.error else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
