"""`sangbo limits`: what a job costs and what the next percent of accuracy will."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sangbo.cli.output import JsonFlag, print_json
from sangbo.errors import DataError

if TYPE_CHECKING:
    from sangbo.limits import Fit, Observations, Prices

app = typer.Typer(
    no_args_is_help=True, help="Computation, money and carbon: measured, fitted, projected."
)

Table = Annotated[Path, typer.Argument(metavar="CSV", help="One row a system.")]
Performance = Annotated[str, typer.Option(help="Column of the score (or error).")]
Compute = Annotated[str, typer.Option(help="Column of the computation, FLOP.")]
Impute = Annotated[
    str | None, typer.Option(help="Column from which a missing computation is imputed.")
]
ImputeLine = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="INTERCEPT SLOPE", help="Impute by this line in log10, not a fitted one."),
]
Year = Annotated[str | None, typer.Option(help="Column of the year, to fit it too.")]
IsError = Annotated[bool, typer.Option("--is-error", help="The score column holds errors.")]
Form = Annotated[str, typer.Option(help="polynomial, exponential or both.")]
Confidence = Annotated[float, typer.Option(help="Of every interval.")]
Report = Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a report.")]


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def measure(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="What to run.")],
    processors: Annotated[float | None, typer.Option(help="Processors held.")] = None,
    rate: Annotated[float | None, typer.Option(help="FLOP/s of one; else measured.")] = None,
    country: Annotated[str | None, typer.Option(help="Three letters, such as KOR.")] = None,
    grams_per_kwh: Annotated[float | None, typer.Option(help="CO2 of the grid.")] = None,
    dollars_per_kwh: Annotated[float, typer.Option(help="Price of electricity.")] = 0.15,
    dollars_per_hour: Annotated[float, typer.Option(help="Rent of one processor.")] = 0.0,
    report: Report = None,
    json: JsonFlag = False,
) -> None:
    """Run COMMAND and record hardware burden, energy, money and CO2."""
    from sangbo import limits

    cost = limits.run(
        command,
        limits.Rates(processors, rate, dollars_per_kwh, dollars_per_hour, grams_per_kwh, country),
    )
    if report is not None:
        limits.measure_page(f"What {command[0]} cost", cost).write(report)
    text = (
        f"{cost.seconds:.2f} s, {cost.hardware_burden:.3e} FLOP of hardware burden, "
        f"{cost.kwh * 3.6e6:,.0f} J ({cost.energy_basis}, whole {cost.energy_scope}), "
        f"{cost.kg_co2 * 1000:.3g} g CO2 ({cost.grid}), {cost.dollars:.2g} dollars"
    )
    _show(cost.to_dict(), text, json)
    if cost.exit_code != 0:
        raise typer.Exit(1)


@app.command()
def fit(
    table: Table,
    performance: Performance,
    compute: Compute,
    impute: Impute = None,
    impute_line: ImputeLine = None,
    year: Year = None,
    form: Form = "polynomial",
    quantile: Annotated[float | None, typer.Option(help="Fit this quantile too.")] = None,
    confidence: Confidence = 0.95,
    is_error: IsError = False,
    report: Report = None,
    json: JsonFlag = False,
) -> None:
    """Fit how error falls with computation."""
    from sangbo import limits

    seen = _read(table, performance, compute, impute, impute_line, year, is_error)
    fits = _fits(seen, form, quantile, confidence)
    if report is not None:
        limits.fit_page(f"{performance} of {table.name} against {compute}", fits).write(report)
    document = {**fits[0].to_dict(), "fits": [f.to_dict() for f in fits]}
    text = "\n".join(
        f"{f.form}: n {f.n}, a {f.intercept:.4f}, b {f.slope:.4f}, R² {f.r2:.3f}"
        + (f", power {f.power:.1f}" if f.form == "polynomial" else "")
        + (f", {f.year_slope:+.4f} a year" if f.year_slope is not None else "")
        for f in fits
    )
    _show(document, text, json)


@app.command()
def project(
    table: Table,
    performance: Performance,
    compute: Compute,
    target: Annotated[float, typer.Option(help="Error wanted, such as 0.05.")],
    impute: Impute = None,
    impute_line: ImputeLine = None,
    year: Year = None,
    in_year: Annotated[float | None, typer.Option(help="For a fit with --year.")] = None,
    form: Form = "polynomial",
    confidence: Confidence = 0.95,
    is_error: IsError = False,
    processor: Annotated[str, typer.Option(help="Name of the processor priced.")] = "A100",
    rate: Annotated[float, typer.Option(help="Its FLOP/s.")] = 19.5e12,
    watts: Annotated[float, typer.Option(help="Its power.")] = 400.0,
    dollars_per_hour: Annotated[float, typer.Option(help="Its price.")] = 1.45,
    pue: Annotated[float, typer.Option(help="Power usage effectiveness.")] = 1.58,
    grams_per_kwh: Annotated[float, typer.Option(help="CO2 of the grid.")] = 475.0,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Answer even where it means nothing.")
    ] = False,
    report: Report = None,
    json: JsonFlag = False,
) -> None:
    """Project the computation, money and carbon that a target error needs."""
    from sangbo import limits

    prices: Prices = limits.Prices(processor, rate, watts, dollars_per_hour, pue, grams_per_kwh)
    seen = _read(table, performance, compute, impute, impute_line, year, is_error)
    fits = _fits(seen, form, None, confidence)
    found = [limits.project(f, target, prices=prices, year=in_year, anyway=anyway) for f in fits]
    if report is not None:
        title = f"What an error of {target:.2%} costs ({table.name})"
        limits.fit_page(title, fits, found[0]).write(report)
    for p in found:
        if p.warning:
            typer.echo(f"sangbo: warning: {p.fit.form}: {p.warning}", err=True)
    document = {**found[0].to_dict(), "projections": [p.to_dict() for p in found]}
    lines = []
    for p in found:
        bill = prices.bill(p.log10_compute)
        low, high = ("?" if e is None else f"10^{e:.1f}" for e in p.interval)
        lines.append(
            f"{p.fit.form}: error {target:g} needs 10^{p.log10_compute:.2f} FLOP ({low} to {high}),"
            f" 10^{bill['log10_dollars']:.1f} dollars, 10^{bill['log10_kg_co2']:.1f} kg CO2"
        )
    _show(document, "\n".join(lines), json)


@app.command()
def history(
    parameters: Annotated[float | None, typer.Option(help="Of your own network.")] = None,
    flop: Annotated[float | None, typer.Option(help="Of your own training run.")] = None,
    dollars: Annotated[float | None, typer.Option(help="Of your own training run.")] = None,
    on: Annotated[str | None, typer.Option(metavar="DATE", help="Of your run; today.")] = None,
    report: Report = None,
    json: JsonFlag = False,
) -> None:
    """Show how size, computation and cost grew, and where your own run would sit."""
    from sangbo import limits
    from sangbo.limits.history import fraction_of_year

    try:
        day = datetime.now(UTC).date() if on is None else date.fromisoformat(on)
    except ValueError:
        raise DataError(f"expected a date such as 2026-01-31, found {on!r}") from None
    known, gains = limits.systems(), limits.efficiency()
    lines = limits.all_growth(known)
    places = []
    if parameters is not None:
        places.append(limits.place(known, "parameters", parameters, day))
    if flop is not None:
        places.append(limits.place(known, "training_flop", flop, day))
    if dollars is not None:
        places.append(limits.place(known, "dollars", dollars, day))
    if report is not None:
        run = (fraction_of_year(day), places) if places else None
        limits.history_page(known, lines, gains, run).write(report)
    document = {
        "systems": [
            {
                "name": s.name,
                "date": s.date.isoformat(),
                "domain": s.domain,
                "parameters": s.parameters,
                "training_flop": s.training_flop,
                "dollars": s.dollars,
                "source": s.source,
            }
            for s in known
        ],
        "growth": [g.to_dict() for g in lines],
        "efficiency": [e.to_dict() for e in gains],
        "run": [p.to_dict() for p in places],
    }
    text = [
        f"{g.quantity} {g.first}-{g.last - 1}: ×{g.per_year:.2f} a year "
        f"({g.interval[0]:.2f} to {g.interval[1]:.2f}), n {g.n}"
        for g in lines
    ]
    text += [
        f"{e.level}: {e.factor:.0f} times less, halves in {e.halving_months:.1f} months"
        for e in gains
    ]
    text += [
        f"your {p.quantity} {p.value:.3g}: larger than {p.larger_than} of {p.of}, nearest "
        f"{p.nearest}, {p.of_its_year:.2g} times the trend of its date"
        for p in places
    ]
    _show(document, "\n".join(text), json)


def _read(
    table: Path,
    performance: str,
    compute: str,
    impute: str | None,
    line: tuple[float, float] | None,
    year: str | None,
    is_error: bool,
) -> Observations:
    from sangbo import limits

    seen = limits.read_observations(
        table,
        performance,
        compute,
        impute=impute,
        imputation=line,
        year=year,
        is_error=is_error,
    )
    if seen.imputation_basis == "published":
        typer.echo(
            "sangbo: warning: too few rows have both computations to fit the line that imputes; "
            "the published one is used (Thompson et al., COCO)",
            err=True,
        )
    return seen


def _fits(seen: Observations, form: str, quantile: float | None, confidence: float) -> list[Fit]:
    from sangbo import limits

    if form == "both":
        return [
            limits.fit(seen, "polynomial", quantile=quantile, confidence=confidence),
            limits.fit(seen, "exponential", quantile=quantile, confidence=confidence),
        ]
    if form not in ("polynomial", "exponential"):
        raise DataError(f"expected the form polynomial, exponential or both, found {form!r}")
    chosen: limits.Form = "polynomial" if form == "polynomial" else "exponential"
    return [limits.fit(seen, chosen, quantile=quantile, confidence=confidence)]


def _show(document: dict[str, Any], text: str, json: bool) -> None:
    if json:
        print_json(document)
    else:
        typer.echo(text)
