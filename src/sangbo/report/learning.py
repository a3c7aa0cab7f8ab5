"""Pictures of what was learned, as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sangbo.extras import need
from sangbo.files import write_file
from sangbo.learning.cartpole import Balance
from sangbo.learning.connectome import Worm, is_neuron
from sangbo.learning.digits import Digits
from sangbo.learning.events import Streamed

need("inspect", "matplotlib")

from matplotlib.figure import Figure  # noqa: E402 - only once it is known to be there

from sangbo.report.layer_figures import png  # noqa: E402

_SHOWN = 40  # neurons of the middle group


def digits_figure(found: Digits, path: Path) -> None:
    """The course of learning, and what neurons of the middle of the picture look for."""
    figure, (left, right) = _panels((1.0, 1.2))
    left.plot(*np.transpose(found.course), marker="o", label="while it learned")
    left.axhline(found.accuracy, ls="--", color="C1", label=f"held out: {found.accuracy:.1%}")
    left.axhline(found.by_names, ls=":", color="C2", label=f"one name each: {found.by_names:.1%}")
    left.set(xlabel="digits seen", ylabel="accuracy", ylim=(0, 1))
    left.legend(loc="lower right")
    group = found.weights[len(found.weights) // 2][:_SHOWN, 0]
    side = group.shape[1]
    rows = -(-len(group) // 8)
    sheet = np.ones((rows * (side + 1), 8 * (side + 1)))
    for k, weights in enumerate(group):
        row, column = divmod(k, 8)
        sheet[row * (side + 1) :, column * (side + 1) :][:side, :side] = 1 - weights
    right.imshow(sheet, cmap="gray", vmin=0, vmax=1)
    right.set(title="weights of neurons of the middle patch", xticks=[], yticks=[])
    _write(figure, path)


def cartpole_figure(found: Balance, path: Path) -> None:
    """Returns while it learned, and afterwards."""
    figure, (left, right) = _panels((1.6, 1.0))
    left.plot(np.arange(1, len(found.course) + 1), found.course, lw=1)
    left.set(xlabel="episode", ylabel="return", title="while it learned", ylim=(0, 510))
    right.hist(found.returns, bins=np.arange(0, 511, 10))
    right.axvline(195, color="C1", ls="--", label="195")
    right.set(
        xlabel="return", ylabel="episodes", title=f"afterwards: {found.mean_return:.0f} on average"
    )
    right.legend()
    _write(figure, path)


def events_figure(found: Streamed, path: Path) -> None:
    """Accuracy while events stream in."""
    figure, (axes,) = _panels((1.0,))
    axes.plot(*np.transpose(found.course))
    axes.set(
        xlabel="ms since the digit began to move",
        ylabel="accuracy",
        ylim=(0, 1),
        title=f"{found.events:.0f} events a digit, {found.accuracy:.1%} at the end",
    )
    _write(figure, path)


def connectome_figure(found: Worm, path: Path) -> None:
    """Every spike, and rates of groups before and while it was touched."""
    figure, (left, right) = _panels((1.4, 1.0))
    neurons = np.array([is_neuron(name) for name in found.names])
    place = np.argsort(np.argsort(~neurons, kind="stable"), kind="stable")
    left.plot(found.times, place[found.cells], ",k")
    left.axhline(found.neurons, color="C1", lw=0.5)
    left.set(xlabel="ms", ylabel="neurons, then muscles and others", title=f"touch: {found.touch}")
    names = list(found.rates)
    at = np.arange(len(names))
    right.barh(at + 0.2, [found.rest[n] for n in names], 0.4, label="rest")
    right.barh(at - 0.2, [found.rates[n] for n in names], 0.4, label="touched")
    right.set(xlabel="Hz", yticks=at, yticklabels=[n.replace("_", " ") for n in names])
    right.legend()
    _write(figure, path)


def _panels(widths: tuple[float, ...]) -> tuple[Figure, Any]:
    figure = Figure(figsize=(9 if len(widths) > 1 else 5, 3.6), layout="constrained")
    axes = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    return figure, axes


def _write(figure: Figure, path: Path) -> None:
    write_file(path, png(figure, dpi=110))
