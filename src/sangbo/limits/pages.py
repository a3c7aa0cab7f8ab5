"""The HTML reports of `sangbo limits`."""

from __future__ import annotations

from collections.abc import Sequence

from sangbo.limits.figures import fit_figure, history_figure
from sangbo.limits.fit import EQUATIONS, Fit
from sangbo.limits.history import (
    QUANTITIES,
    Efficiency,
    Growth,
    Place,
    System,
)
from sangbo.limits.measure import Measurement
from sangbo.limits.project import Projection
from sangbo.report import Page

_MOST_INFLUENTIAL = 10


def fit_page(title: str, fits: Sequence[Fit], projection: Projection | None = None) -> Page:
    """The report of fits over the same systems, and of a projection from the first."""
    page = Page(title)
    first = fits[0]
    if projection is not None:
        _projection(page, projection)
    elif first.form == "polynomial":
        page.text(
            f"To halve the error takes {2**first.power:,.0f} times the computation "
            f"(1/error grows with the computation to the power {first.slope:.4f}, over {first.n} "
            "systems).",
            "lead",
        )
    page.heading("The lines")
    page.figure(
        fit_figure(fits, projection),
        "Error against computation, both in logarithmic scale. Bands: "
        f"{first.confidence:.0%} confidence of the line.",
    )
    page.table(
        ["form", "n", "a", "b", "interval of b", "robust interval of b", "R²", "power 1/b"],
        [
            [
                EQUATIONS[f.form],
                str(f.n),
                f"{f.intercept:.4f}",
                f"{f.slope:.4f}",
                _span(f.intervals["slope"], "{:.4f}"),
                _span(f.robust_intervals["slope"], "{:.4f}"),
                f"{f.r2:.3f}",
                f"{f.power:.1f}" if f.form == "polynomial" else "–",
            ]
            for f in fits
        ],
        caption="Ordinary least squares; robust: HC3.",
    )
    for f in fits:
        if f.year_slope is not None and f.years_per_decade is not None:
            page.text(
                f"{f.form}: with the year, {f.year_slope:+.4f} a year; ten times the computation "
                f"is worth {f.years_per_decade:.1f} years of progress."
            )
        if f.quantile is not None:
            page.text(
                f"{f.form}, quantile {f.quantile.quantile:g}: a = {f.quantile.intercept:.4f}, "
                f"b = {f.quantile.slope:.4f} "
                f"({_span(f.quantile.intervals['slope'], '{:.4f}')})."
            )
    seen = first.observations
    if seen.imputation is not None:
        page.text(
            f"{int(seen.imputed.sum())} computations are imputed by a "
            f"{seen.imputation_basis} line: log10 = "
            f"{seen.imputation[0]:.4f} + {seen.imputation[1]:.4f}·log10(other column). "
            "The intervals take them as if they had been measured, so they are too narrow."
        )
    page.text(f"{seen.dropped} rows lack a score or a computation and are left out.")
    page.heading("Systems that move the line")
    if first.influential:
        page.table(
            ["system", "Cook's distance", "leverage", "studentised residual"],
            [
                [i.name, f"{i.cooks_distance:.3f}", f"{i.leverage:.3f}", f"{i.studentized:+.2f}"]
                for i in first.influential[:_MOST_INFLUENTIAL]
            ],
            caption=f"{first.form}: Cook's distance above 4/n = {4 / first.n:.3f}.",
        )
    else:
        page.text("None has a Cook's distance above 4/n.")
    return page


def history_page(
    known: Sequence[System],
    lines: Sequence[Growth],
    gains: Sequence[Efficiency],
    run: tuple[float, Sequence[Place]] | None = None,
) -> Page:
    """The report of the systems over time; ``run`` is the year and the places of one's own."""
    page = Page("How large training has become")
    places = [] if run is None else list(run[1])
    for p in places:
        page.text(
            f"Your run ({p.value:.3g} {p.quantity}) is larger than {p.larger_than} of {p.of} "
            f"systems, nearest to {p.nearest}, {p.of_its_year:.2g} times the trend of its date; "
            f"the trend was there in {p.trend_year:.1f}.",
            "lead",
        )
    for quantity in QUANTITIES:
        page.heading(quantity.replace("_", " "))
        mine = next((p for p in places if p.quantity == quantity), None)
        page.figure(
            history_figure(
                known, quantity, lines, None if mine is None or run is None else (run[0], mine)
            ),
            f"{quantity.replace('_', ' ')} of notable systems over time, logarithmic scale.",
        )
        page.table(
            ["period", "n", "factor a year", "95 % interval", "doubles in", "R²"],
            [
                [
                    f"{g.first}–{g.last - 1}",
                    str(g.n),
                    f"{g.per_year:.2f}",
                    _span(g.interval, "{:.2f}"),
                    "–" if g.doubling_months is None else f"{g.doubling_months:.1f} months",
                    f"{g.r2:.2f}",
                ]
                for g in lines
                if g.quantity == quantity
            ],
        )
    page.heading("The same quality for less")
    page.table(
        ["quality", "first", "later", "factor", "halves in", "source"],
        [
            [
                e.level,
                e.first,
                e.later,
                f"{e.factor:.0f}",
                f"{e.halving_months:.1f} months",
                e.source,
            ]
            for e in gains
        ],
    )
    page.heading("The systems")
    page.text(
        "A small hand-picked table, so the growth rates are those of these systems and not of the "
        "field. Most computations and all dollars are Epoch AI's estimates (final run, rented)."
    )
    page.table(
        ["system", "date", "parameters", "FLOP", "dollars", "source"],
        [
            [
                s.name,
                s.date.isoformat(),
                _number(s.parameters),
                _number(s.training_flop),
                "–" if s.dollars is None else f"{s.dollars:,.0f}",
                s.source,
            ]
            for s in known
        ],
    )
    return page


def measure_page(title: str, cost: Measurement) -> Page:
    """The report of one measured job."""
    page = Page(title)
    page.text(
        f"{cost.seconds:.1f} s, {cost.kwh * 3.6e6:,.0f} J ({cost.energy_basis}), "
        f"{cost.kg_co2 * 1000:.3g} g CO2, {cost.dollars:.2g} dollars.",
        "lead",
    )
    page.table(
        ["what", "value", "basis"],
        [
            ["time", f"{cost.seconds:.2f} s", "measured"],
            ["processor time", f"{cost.cpu_seconds:.2f} s", "measured"],
            [
                "hardware burden",
                f"{cost.hardware_burden:.3e} FLOP",
                f"{cost.processors:g} processors × {cost.rate:.3g} FLOP/s ({cost.rate_basis}) "
                "× time",
            ],
            ["energy", f"{cost.kwh:.3e} kWh", f"{cost.energy_basis}, whole {cost.energy_scope}"],
            ["CO2", f"{cost.kg_co2:.3e} kg", f"energy × {cost.grid}"],
            ["money", f"{cost.dollars:.3e} dollars", "energy and rent at the prices given"],
        ],
    )
    return page


def _projection(page: Page, p: Projection) -> None:
    bill = p.prices.bill(p.log10_compute)
    page.text(
        f"An error of {p.target:.2%} needs about 10^{p.log10_compute:.1f} FLOP "
        f"({p.fit.confidence:.0%} interval of the line {_powers(p.interval)}), "
        f"10^{bill['log10_dollars']:.1f} dollars and 10^{bill['log10_kg_co2']:.1f} kg of CO2.",
        "lead",
    )
    if p.warning:
        page.text(f"Warning: {p.warning}.", "warning")
    page.table(
        ["what", "estimate", f"{p.fit.confidence:.0%} of the line"],
        [
            [
                name,
                f"10^{value:.1f}",
                _powers(tuple(None if e is None else p.prices.bill(e)[key] for e in p.interval)),
            ]
            for name, key, value in (
                ("processor hours", "log10_processor_hours", bill["log10_processor_hours"]),
                ("kWh", "log10_kwh", bill["log10_kwh"]),
                ("dollars", "log10_dollars", bill["log10_dollars"]),
                ("kg CO2", "log10_kg_co2", bill["log10_kg_co2"]),
            )
        ],
        caption=(
            f"{p.prices.processor}: {p.prices.rate:.3g} FLOP/s, {p.prices.watts:g} W, "
            f"{p.prices.dollars_per_hour:g} dollars an hour, PUE "
            f"{p.prices.power_usage_effectiveness:g}, {p.prices.grams_per_kwh:g} g CO2/kWh."
        ),
    )
    page.text(f"One new system, rather than the line: {_powers(p.system_interval)} FLOP.")


def _powers(ends: tuple[float | None, ...]) -> str:
    low, high = ends
    return (
        f"{'no lower end' if low is None else f'10^{low:.1f}'} to "
        f"{'no upper end' if high is None else f'10^{high:.1f}'}"
    )


def _span(ends: tuple[float | None, float | None], form: str) -> str:
    return " to ".join("none" if e is None else form.format(e) for e in ends)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
