"""How error falls with computation: the regressions of Thompson et al., by statsmodels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import statsmodels.api as sm
from numpy.typing import NDArray

from sangbo.errors import DataError
from sangbo.limits.table import Floats, Observations

Form = Literal["polynomial", "exponential"]
Interval = tuple[float, float]
MIN_SPARE = 2  # rows beyond the coefficients, so that an interval exists
EQUATIONS: dict[str, str] = {
    "polynomial": "log10(1/error) = a + b·log10(C)",
    "exponential": "1/error = a + b·log10(C)",
}


@dataclass(frozen=True, slots=True)
class Influence:
    """How much one system moves the line.

    Attributes:
        name: the system.
        cooks_distance: Cook's distance; above 4/n is worth a look.
        leverage: diagonal of the hat matrix.
        studentized: externally studentised residual.
    """

    name: str
    cooks_distance: float
    leverage: float
    studentized: float


@dataclass(frozen=True, slots=True)
class QuantileLine:
    """The line that a share ``quantile`` of the systems stays below.

    Attributes:
        quantile: the share, 0 to 1. High quantiles are the most efficient systems.
        intercept: a.
        slope: b.
        pseudo_r2: Koenker and Machado's measure, not comparable with R².
        intervals: of ``intercept`` and ``slope``.
    """

    quantile: float
    intercept: float
    slope: float
    pseudo_r2: float
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class Fit:
    """One fitted line.

    ``polynomial``: log10(1/error) = a + b·log10(C) (+ c·year), so that error halves when C grows
    2^(1/b) times: ``power`` = 1/b. ``exponential``: 1/error = a + b·log10(C) (+ c·year).

    Attributes:
        form: which of the two.
        n: systems.
        intercept: a.
        slope: b.
        year_slope: c, or None without a year.
        r2: R².
        confidence: of every interval, such as 0.95.
        intervals: of ``intercept``, ``slope``, ``power`` (and ``year_slope``), from Student's t. An
            end of ``power`` is None where the interval of the slope reaches 0.
        robust_intervals: of the coefficients, with errors that may differ in size (HC3).
        p_value: of the slope: how likely is one so far from 0 if there is none.
        influential: systems with Cook's distance above 4/n, most influential first.
        quantile: the quantile line, or None.
        observations: what was fitted.
        result: the statsmodels result, for whatever else is wanted of it.
    """

    form: Form
    n: int
    intercept: float
    slope: float
    year_slope: float | None
    r2: float
    confidence: float
    intervals: dict[str, tuple[float | None, float | None]]
    robust_intervals: dict[str, Interval]
    p_value: float
    influential: tuple[Influence, ...]
    quantile: QuantileLine | None
    observations: Observations
    result: Any

    @property
    def power(self) -> float:
        """1/b: the power of 1/error that computation grows with (polynomial form)."""
        return 1 / self.slope

    @property
    def years_per_decade(self) -> float | None:
        """Years of progress that are worth ten times the computation: b / c."""
        return None if not self.year_slope else self.slope / self.year_slope

    def to_dict(self) -> dict[str, Any]:
        """The fit as JSON values."""
        seen = self.observations
        document: dict[str, Any] = {
            "n": self.n,
            "form": self.form,
            "equation": EQUATIONS[self.form],
            "intercept": self.intercept,
            "slope": self.slope,
            "r2": self.r2,
            "power": self.power if self.form == "polynomial" else None,
            "confidence": self.confidence,
            "intervals": {k: list(v) for k, v in self.intervals.items()},
            "robust_intervals": {k: list(v) for k, v in self.robust_intervals.items()},
            "p_value": self.p_value,
            "compute_range": [float(seen.compute.min()), float(seen.compute.max())],
            "error_range": [float(seen.error.min()), float(seen.error.max())],
            "imputed": int(seen.imputed.sum()),
            "imputation": None if seen.imputation is None else list(seen.imputation),
            "imputation_basis": seen.imputation_basis,
            "dropped": seen.dropped,
            "influential": [
                {
                    "name": i.name,
                    "cooks_distance": i.cooks_distance,
                    "leverage": i.leverage,
                    "studentized": i.studentized,
                }
                for i in self.influential
            ],
        }
        if self.year_slope is not None:
            document["year_slope"] = self.year_slope
            document["years_per_decade"] = self.years_per_decade
        if self.quantile is not None:
            document["quantile"] = {
                "quantile": self.quantile.quantile,
                "intercept": self.quantile.intercept,
                "slope": self.quantile.slope,
                "pseudo_r2": self.quantile.pseudo_r2,
                "intervals": {k: list(v) for k, v in self.quantile.intervals.items()},
            }
        return document


def response(form: str, error: Floats) -> Floats:
    """What is linear in log10(C): log10(1/error) or 1/error; any shape."""
    if form not in EQUATIONS:
        raise DataError(f"expected the form polynomial or exponential, found {form!r}")
    return -np.log10(error) if form == "polynomial" else 1 / error


def error_of(form: Form, value: Floats) -> Floats:
    """The inverse of `response`; NaN where no positive error gives ``value``."""
    if form == "polynomial":
        return np.asarray(10**-value, np.float64)
    with np.errstate(divide="ignore"):
        return np.where(value > 0, 1 / value, np.nan)


def design(compute: Floats, year: Floats | None) -> Floats:
    """The columns 1, log10(C) and the year where there is one: (n, 2) or (n, 3)."""
    columns = [np.ones_like(compute), np.log10(compute)]
    return np.column_stack(columns if year is None else [*columns, year])


def fit(
    observations: Observations,
    form: Form = "polynomial",
    *,
    quantile: float | None = None,
    confidence: float = 0.95,
) -> Fit:
    """Fit one form by ordinary least squares, and a quantile line where asked.

    Raises:
        DataError: too few systems, all of one computation, or an argument out of range.
    """
    if not 0 < confidence < 1:
        raise DataError(f"expected a confidence between 0 and 1, found {confidence}")
    y = response(form, observations.error)
    x = design(observations.compute, observations.year)
    if len(y) < x.shape[1] + MIN_SPARE:
        raise DataError(
            f"expected {x.shape[1] + MIN_SPARE} or more systems with score and computation, "
            f"found {len(y)}"
        )
    if np.linalg.matrix_rank(x - x.mean(axis=0) * [0, *[1] * (x.shape[1] - 1)]) < x.shape[1]:
        raise DataError("expected computations (and years) that differ, found them all alike")
    result = sm.OLS(y, x).fit()
    names = ("intercept", "slope", "year_slope")[: x.shape[1]]
    plain = result.conf_int(1 - confidence)
    robust = result.get_robustcov_results("HC3").conf_int(1 - confidence)
    intervals: dict[str, tuple[float | None, float | None]] = dict(
        zip(names, map(_pair, plain), strict=True)
    )
    if form == "polynomial":
        low, high = _pair(plain[1])
        intervals["power"] = (1 / high, 1 / low) if low * high > 0 else (None, None)
    return Fit(
        form=form,
        n=len(y),
        intercept=float(result.params[0]),
        slope=float(result.params[1]),
        year_slope=float(result.params[2]) if len(names) == 3 else None,
        r2=float(result.rsquared),
        confidence=confidence,
        intervals=intervals,
        robust_intervals=dict(zip(names, map(_pair, robust), strict=True)),
        p_value=float(result.pvalues[1]),
        influential=_influential(result, observations),
        quantile=None if quantile is None else _quantile(y, x, quantile, confidence),
        observations=observations,
        result=result,
    )


def _pair(ends: NDArray[np.float64]) -> Interval:
    return float(ends[0]), float(ends[1])


def _influential(result: Any, observations: Observations) -> tuple[Influence, ...]:
    influence = result.get_influence()
    with np.errstate(divide="ignore", invalid="ignore"):  # systems that lie on the line exactly
        distance = np.nan_to_num(influence.cooks_distance[0])
        studentized = np.nan_to_num(influence.resid_studentized_external)
    order = np.argsort(-distance)
    return tuple(
        Influence(
            observations.names[i],
            float(distance[i]),
            float(influence.hat_matrix_diag[i]),
            float(studentized[i]),
        )
        for i in order
        if distance[i] > 4 / len(distance)
    )


def _quantile(y: Floats, x: Floats, quantile: float, confidence: float) -> QuantileLine:
    if not 0 < quantile < 1:
        raise DataError(f"expected a quantile between 0 and 1, found {quantile}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", category=RuntimeWarning)
        try:
            result = sm.QuantReg(y, x).fit(q=quantile)
        except (RuntimeWarning, ValueError, np.linalg.LinAlgError):
            raise DataError(
                f"expected enough systems for the quantile {quantile:g}, found {len(y)}, of which "
                "the quantile regression does not settle"
            ) from None
    ends = result.conf_int(1 - confidence)
    return QuantileLine(
        quantile=quantile,
        intercept=float(result.params[0]),
        slope=float(result.params[1]),
        pseudo_r2=float(result.prsquared),
        intervals={"intercept": _pair(ends[0]), "slope": _pair(ends[1])},
    )
