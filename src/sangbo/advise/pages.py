"""The HTML report of `sangbo advise`."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from sangbo.advise.advice import Advice
from sangbo.report import Page

_INK, _USE, _NETWORK = "#264653", "#e76f51", "#6d597a"
_SHOWN = 50


def advice_page(advice: Advice) -> Page:
    """The report: the answer, what is unknown, every candidate with its costs, and figures."""
    what = f"What to use for {advice.target}" if advice.target else "How many groups"
    page = Page(what)
    page.text(advice.summary(), "lead")
    page.text(
        f"{advice.source}: {len(advice.table.x):,} rows, {advice.table.x.shape[1]} columns, "
        f"{advice.table.task}. {advice.seconds:.1f} of {advice.budget:g} seconds."
    )
    if advice.table.findings or advice.notes:
        page.heading("What the data cannot tell, and what was done about it")
        for words in [*advice.table.findings, *advice.notes]:
            page.text(words, "warning")
    if advice.advisor is None:
        _groups(page, advice)
    else:
        _candidates(page, advice, advice.advisor.results_)
        _rows(page, advice)
    return page


def _candidates(page: Page, advice: Advice, results: list[dict[str, Any]]) -> None:
    advisor = advice.advisor
    if advisor is None:
        return
    done = sorted((r for r in results if r["finished"]), key=lambda r: -float(r["mean"]))
    page.heading("What was tried")
    page.figure(
        _figure(done, advisor.recommended_, advisor.metric_),
        f"Left: {advisor.metric_} with its {advisor.confidence:.0%} interval. Right: the same "
        "against the modelled energy of a prediction (arithmetic only, 45 nm, logarithmic).",
    )
    marked = next(i for i, r in enumerate(done) if r["name"] == advisor.recommended_)
    page.table(
        ["method", advisor.metric_, "interval", "worse by", "noise", "rows a fold"],
        [
            [
                r["title"],
                f"{r['mean']:.3f}",
                "–" if r["interval"] is None else " to ".join(f"{e:.3f}" for e in r["interval"]),
                f"{r['worse_than_best']:.3f}",
                "–" if r["standard_error"] is None else f"{r['standard_error']:.3f}",
                f"{r['rows']:,}",
            ]
            for r in done
        ],
        marked=marked,
    )
    page.text(
        "Noise is the standard error of the difference from the best, corrected for folds that "
        "share training rows (Nadeau and Bengio 2003). Of the methods at most that much worse, "
        "those that are not networks go first, then the least modelled energy of a prediction."
    )
    page.heading("What they cost")
    page.table(
        ["method", "train, J", "ratio", "predict, µJ", "ratio", "FLOP a row", "pJ a row", "bytes"],
        [
            [
                r["title"],
                f"{r['train_joules']:.3g}",
                _times(r["relative_train_energy"]),
                f"{1e6 * r['predict_joules']:,.0f}",
                _times(r["relative_predict_energy"]),
                f"{r['flop_per_prediction']:,.0f}",
                f"{r['picojoules_per_prediction']:,.0f}",
                f"{r['bytes']:,}",
            ]
            for r in done
        ],
        marked=marked,
    )
    page.text(
        f"Joules: energy of this machine in one run, {advisor.energy_basis_}; ratios to the method "
        "recommended. FLOP and pJ: counted and modelled (Horowitz 2014, 45 nm), arithmetic of the "
        "method only, memory left out."
    )
    if advisor.importances_:
        page.heading("What the recommended method looks at")
        page.table(
            ["column", f"loss of {advisor.metric_} if shuffled", "deviation"],
            [
                [i["column"], f"{i['mean']:.4f}", f"{i['deviation']:.4f}"]
                for i in advisor.importances_[:_SHOWN]
            ],
        )


def _rows(page: Page, advice: Advice) -> None:
    for title, rows in (
        ("Rows that were judged", advice.judged),
        ("Rows of classes too rare to learn", advice.rare),
    ):
        if not rows:
            continue
        page.heading(title)
        page.table(
            ["row", "class", "prediction", "why not"],
            [
                [
                    str(r["row"]),
                    str(r.get("class", "")),
                    "unlike anything seen" if r["unlike_anything_seen"] else str(r["prediction"]),
                    "; ".join(r["reasons"]),
                ]
                for r in rows[:_SHOWN]
            ],
            caption=f"The first {_SHOWN} of {len(rows):,}." if len(rows) > _SHOWN else "",
        )


def _groups(page: Page, advice: Advice) -> None:
    page.heading("Numbers of groups tried")
    page.table(
        ["groups", "silhouette", "by chance", "stability", "at worst", "sizes", "holds"],
        [
            [
                str(g.groups),
                f"{g.silhouette:.3f}",
                f"{g.chance[0]:.3f} (at most {g.chance[1]:.3f})",
                f"{g.stability:.2f}",
                f"{g.lowest:.2f}",
                ", ".join(map(str, g.sizes)),
                "yes" if g.holds else "no",
            ]
            for g in advice.tried
        ],
        marked=next((i for i, g in enumerate(advice.tried) if g.groups == advice.groups), None),
    )


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"×{ratio:.2g}" if ratio < 10 else f"×{ratio:,.0f}"


def _figure(done: list[dict[str, Any]], recommended: str, metric: str) -> str:
    figure = Figure(figsize=(9.5, 0.33 * len(done) + 1.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=False, width_ratios=(3, 2))
    for place, r in enumerate(reversed(done)):
        colour = _USE if r["name"] == recommended else _NETWORK if r["network"] else _INK
        low, high = r["interval"] or (r["mean"], r["mean"])
        left.plot([low, high], [place, place], color=colour, linewidth=2, alpha=0.6)
        left.plot([r["mean"]], [place], "o", color=colour)
        right.plot([max(r["picojoules_per_prediction"], 0.1)], [r["mean"]], "o", color=colour)
    left.set_yticks(range(len(done)), [r["title"] for r in reversed(done)], fontsize=8)
    left.set_xlabel(metric)
    right.set_xscale("log")
    right.set_xlabel("pJ a prediction (modelled; 0 shown as 0.1)", fontsize=8)
    right.set_ylabel(metric)
    for axes in (left, right):
        axes.grid(visible=True, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for label, colour in (("recommended", _USE), ("network", _NETWORK), ("other", _INK)):
        right.plot([], [], "o", color=colour, label=label)
    right.legend(fontsize=8, frameon=False)
    stream = io.StringIO()
    FigureCanvasSVG(figure)
    with mpl.rc_context({"svg.hashsalt": "sangbo"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
