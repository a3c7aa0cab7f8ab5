"""What a target costs: computation from the fitted line, then money and carbon from prices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

from sangbo.errors import DataError
from sangbo.limits.fit import Fit, design, response
from sangbo.limits.table import Floats

WARN_DECADES = 1.0
REFUSE_DECADES = 15.0
_SEARCH_DECADES = 300.0


@dataclass(frozen=True, slots=True)
class Prices:
    """What turns computation into time, money and carbon.

    The defaults describe one A100: the 19.5 TFLOP/s (fp32) at which the tables of Thompson et al.
    charge it, its 400 W (Epoch AI chip data), 1.45 dollars an hour in the cloud (25,657,344 dollars
    for the 17,694,720 chip hours of Falcon-180B in Epoch AI's price data, 2024), the power usage
    effectiveness 1.58 of Strubell et al. 2019 and the world's 475 g/kWh as CodeCarbon has it.

    Attributes:
        processor: what it is called.
        rate: FLOP/s by which the computation was charged (for a hardware burden: the peak).
        watts: power of one processor.
        dollars_per_hour: price of one processor.
        power_usage_effectiveness: energy of the building / energy of the processors.
        grams_per_kwh: CO2 equivalents of the grid.
    """

    processor: str = "A100"
    rate: float = 19.5e12
    watts: float = 400.0
    dollars_per_hour: float = 1.45
    power_usage_effectiveness: float = 1.58
    grams_per_kwh: float = 475.0

    def __post_init__(self) -> None:
        for name in ("rate", "watts", "dollars_per_hour", "power_usage_effectiveness"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise DataError(f"expected {name} above 0, found {value}")
        if not (math.isfinite(self.grams_per_kwh) and self.grams_per_kwh >= 0):
            raise DataError(f"expected grams_per_kwh of 0 or more, found {self.grams_per_kwh}")

    def bill(self, log10_flop: float) -> dict[str, float]:
        """Log10 of hours, kWh, dollars and kg of CO2 for 10**``log10_flop`` FLOP.

        kWh = hours · W · PUE / 1000; kg = kWh · g/kWh / 1000.
        """
        hours = log10_flop - math.log10(self.rate) - math.log10(3600)
        kwh = hours + math.log10(self.watts * self.power_usage_effectiveness / 1000)
        carbon = -math.inf if self.grams_per_kwh == 0 else math.log10(self.grams_per_kwh / 1000)
        return {
            "log10_processor_hours": hours,
            "log10_kwh": kwh,
            "log10_dollars": hours + math.log10(self.dollars_per_hour),
            "log10_kg_co2": kwh + carbon,
        }


@dataclass(frozen=True)
class Projection:
    """The computation that a target needs, if the line holds that far.

    Attributes:
        target: error, a fraction.
        log10_compute: log10 of the computation, FLOP.
        interval: of ``log10_compute`` for the line (a typical system): where the confidence band of
            the line crosses the target. An end is None where the band never does.
        system_interval: the same for one new system: where the prediction band crosses.
        decades_outside: powers of ten beyond the computations of the data, 0 inside.
        warning: what to say aloud, or None.
        prices: what money and carbon were reckoned by.
        fit: the line.
        year: the year put into a line that has one, or None.
    """

    target: float
    log10_compute: float
    interval: tuple[float | None, float | None]
    system_interval: tuple[float | None, float | None]
    decades_outside: float
    warning: str | None
    prices: Prices
    fit: Fit
    year: float | None

    def to_dict(self) -> dict[str, Any]:
        """The projection as JSON values; powers of ten as their exponents."""
        return {
            "target": self.target,
            "form": self.fit.form,
            "year": self.year,
            "log10_compute": self.log10_compute,
            "interval": list(self.interval),
            "system_interval": list(self.system_interval),
            "confidence": self.fit.confidence,
            "decades_outside": self.decades_outside,
            "warning": self.warning,
            **_finite(self.prices.bill(self.log10_compute)),
            "bill_interval": [
                None if end is None else _finite(self.prices.bill(end)) for end in self.interval
            ],
            "prices": {
                "processor": self.prices.processor,
                "flop_per_second": self.prices.rate,
                "watts": self.prices.watts,
                "dollars_per_hour": self.prices.dollars_per_hour,
                "power_usage_effectiveness": self.prices.power_usage_effectiveness,
                "grams_per_kwh": self.prices.grams_per_kwh,
            },
            "fit": self.fit.to_dict(),
        }


def project(
    fit: Fit,
    target: float,
    *,
    prices: Prices | None = None,
    year: float | None = None,
    anyway: bool = False,
) -> Projection:
    """Read the computation for an error off the line.

    Args:
        fit: the line.
        target: error wanted, a fraction between 0 and 1.
        prices: what computation costs.
        year: for a line with a year: when; the latest of the data by default.
        anyway: answer even where the answer means nothing.

    Raises:
        DataError: the target is not an error; or, without ``anyway``, the slope cannot be told
            from 0 or the answer lies more than fifteen powers of ten outside the data.
    """
    if not 0 < target < 1:
        raise DataError(f"expected a target error between 0 and 1 (0.05 for 5 %), found {target}")
    seen = fit.observations
    if seen.year is not None:
        year = float(seen.year.max()) if year is None else year
    elif year is not None:
        raise DataError("expected no year for a line without one; fit it with --year")
    low, _ = fit.intervals["slope"]
    if fit.slope <= 0:
        raise DataError(f"expected an error that falls with computation, found slope {fit.slope:g}")
    flat = low is not None and low <= 0
    if flat and not anyway:
        raise DataError(
            f"expected a slope above 0, found {fit.slope:.4f} whose {fit.confidence:.0%} interval "
            "holds 0: this data cannot say what a target costs (--anyway shows the number)"
        )
    goal = float(response(fit.form, np.array([target]))[0])
    later = 0.0 if year is None else (fit.year_slope or 0.0) * year
    exponent = (goal - fit.intercept - later) / fit.slope
    smallest, largest = np.log10(seen.compute.min()), np.log10(seen.compute.max())
    outside = float(max(0.0, exponent - largest, smallest - exponent))
    if outside > REFUSE_DECADES and not anyway:
        raise DataError(
            f"expected a target near the data, found one {outside:.0f} powers of ten outside its "
            f"computations (10^{exponent:.0f} FLOP): refused (--anyway shows the number)"
        )
    return Projection(
        target=target,
        log10_compute=float(exponent),
        interval=_crossings(fit, goal, exponent, year, "mean_ci"),
        system_interval=_crossings(fit, goal, exponent, year, "obs_ci"),
        decades_outside=outside,
        warning=_warning(outside, flat, target, seen.error),
        prices=prices or Prices(),
        fit=fit,
        year=year,
    )


def band(
    fit: Fit, log10_compute: Floats, year: float | None = None, kind: str = "mean_ci"
) -> tuple[Floats, Floats]:
    """Lower and upper end of the confidence (``mean_ci``) or prediction (``obs_ci``) band.

    Args:
        fit: the line.
        log10_compute: (m,) where.
        year: needed for a line with a year.
        kind: which band.

    Returns:
        two (m,) arrays in the unit of the response, by statsmodels' ``get_prediction``.
    """
    years = None if year is None else np.full_like(log10_compute, year)
    frame = fit.result.get_prediction(design(10.0**log10_compute, years)).summary_frame(
        alpha=1 - fit.confidence
    )
    return (
        np.asarray(frame[f"{kind}_lower"], np.float64),
        np.asarray(frame[f"{kind}_upper"], np.float64),
    )


def _crossings(
    fit: Fit, goal: float, exponent: float, year: float | None, kind: str
) -> tuple[float | None, float | None]:
    """Where the upper and the lower end of the band reach ``goal``."""

    def gap(end: int) -> Any:
        return lambda at: float(band(fit, np.array([at]), year, kind)[end][0]) - goal

    def root(end: int, direction: float) -> float | None:
        function, reach = gap(end), 1.0
        if function(exponent) * direction >= 0:  # a line without noise: the band has no width
            return exponent
        while reach <= _SEARCH_DECADES:
            far = exponent + direction * reach
            if not -_SEARCH_DECADES < far < _SEARCH_DECADES:
                return None
            if function(far) * direction > 0:
                return float(brentq(function, *sorted((exponent, far)), xtol=1e-9))
            reach *= 2
        return None

    return root(1, -1.0), root(0, 1.0)


def _warning(outside: float, flat: bool, target: float, errors: Floats) -> str | None:
    parts = []
    if flat:
        parts.append("the slope cannot be told from 0, so this number means nothing")
    if outside > WARN_DECADES:
        parts.append(
            f"the answer lies {outside:.1f} powers of ten outside the data, where nobody knows "
            "that the line holds"
        )
    if target < errors.min():
        parts.append(f"no system of the data reaches it (the best has {errors.min():.3g})")
    return "; ".join(parts) or None


def _finite(bill: dict[str, float]) -> dict[str, float | None]:
    return {k: v if math.isfinite(v) else None for k, v in bill.items()}
