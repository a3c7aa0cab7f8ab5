"""How large, how costly and how efficient training has become, and where one's own run sits.

The tables under ``data/`` are small and every row names its source. "Epoch AI price dataset" is the
file ``price dataset.csv`` of the repository epoch-research/training-cost-trends (2024, CC BY): most
of its computations and all of its dollars (2023 dollars, rented in the cloud, final run only) are
Epoch AI's estimates, not disclosures. Where a row cites another source for a number, that counts.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources
from typing import Any, Literal

import numpy as np
import statsmodels.api as sm

from sangbo.errors import DataError

Quantity = Literal["parameters", "training_flop", "dollars"]
QUANTITIES: tuple[Quantity, ...] = ("parameters", "training_flop", "dollars")
PERIODS = ((2012, 2024), (2012, 2018), (2018, 2024))
_DAYS = 365.25
MIN_SYSTEMS = 4


@dataclass(frozen=True, slots=True)
class System:
    """One notable network.

    Attributes:
        name: what it is called.
        date: when it was published.
        domain: what it is for.
        parameters: how many it has, or None.
        training_flop: computation of its final training run, FLOP, or None.
        dollars: cost of that run, 2023 dollars, or None.
        source: where the numbers are from.
    """

    name: str
    date: date
    domain: str
    parameters: float | None
    training_flop: float | None
    dollars: float | None
    source: str

    @property
    def year(self) -> float:
        """The date in years."""
        return fraction_of_year(self.date)


@dataclass(frozen=True, slots=True)
class Growth:
    """log10(quantity) = intercept + slope · year over a period, by least squares.

    Attributes:
        quantity: what grows.
        first: first year of the period.
        last: the year it ends before.
        n: systems in it.
        per_year: factor a year.
        interval: 95 % interval of ``per_year``.
        doubling_months: months to double; None where it does not grow.
        r2: R².
        intercept: of the line.
        slope: of the line, powers of ten a year.
    """

    quantity: Quantity
    first: int
    last: int
    n: int
    per_year: float
    interval: tuple[float, float]
    doubling_months: float | None
    r2: float
    intercept: float
    slope: float

    def to_dict(self) -> dict[str, Any]:
        """The growth as JSON values."""
        return {
            "quantity": self.quantity,
            "period": [self.first, self.last],
            "n": self.n,
            "per_year": self.per_year,
            "interval": list(self.interval),
            "doubling_months": self.doubling_months,
            "r2": self.r2,
        }


@dataclass(frozen=True, slots=True)
class Efficiency:
    """How much less computation the same quality came to need.

    Attributes:
        level: the quality.
        first: network that first reached it.
        later: network that reached it with the least.
        factor: computation of the first / of the later.
        halving_months: months between the two / log2(factor).
        source: where the two are from.
    """

    level: str
    first: str
    later: str
    factor: float
    halving_months: float
    source: str

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        return {
            "level": self.level,
            "first": self.first,
            "later": self.later,
            "factor": self.factor,
            "halving_months": self.halving_months,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run sits among the systems.

    Attributes:
        quantity: by what.
        value: of the run.
        larger_than: systems it exceeds, of ``of``.
        of: systems with a known value.
        nearest: the system closest in log10.
        of_its_year: value / the trend's value at the run's date.
        trend_year: when the trend over all years had that value.
    """

    quantity: Quantity
    value: float
    larger_than: int
    of: int
    nearest: str
    of_its_year: float
    trend_year: float

    def to_dict(self) -> dict[str, Any]:
        """The place as JSON values."""
        return {
            "quantity": self.quantity,
            "value": self.value,
            "larger_than": self.larger_than,
            "of": self.of,
            "nearest": self.nearest,
            "of_its_year": self.of_its_year,
            "trend_year": self.trend_year,
        }


def fraction_of_year(day: date) -> float:
    """A date in years: 2020-07-01 is about 2020.5."""
    return 2000 + (day - date(2000, 1, 1)).days / _DAYS


def systems() -> tuple[System, ...]:
    """The systems that ship with the project, by date."""
    return tuple(
        System(
            name=row["name"],
            date=date.fromisoformat(row["date"]),
            domain=row["domain"],
            parameters=_optional(row["parameters"]),
            training_flop=_optional(row["training_flop"]),
            dollars=_optional(row["dollars"]),
            source=row["source"],
        )
        for row in _rows("systems.csv")
    )


def growth(
    known: Sequence[System], quantity: Quantity, first: int = 2012, last: int = 2024
) -> Growth:
    """How fast ``quantity`` grew among systems published from ``first`` until before ``last``.

    Raises:
        DataError: fewer than four of them have it.
    """
    pairs = [
        (s.year, value)
        for s in known
        if (value := getattr(s, quantity)) is not None and first <= s.date.year < last
    ]
    if len(pairs) < MIN_SYSTEMS:
        raise DataError(
            f"expected {MIN_SYSTEMS} or more systems with {quantity} in {first}-{last}, "
            f"found {len(pairs)}"
        )
    years, values = np.array(pairs).T
    result = sm.OLS(np.log10(values), np.column_stack([np.ones_like(years), years])).fit()
    intercept, slope = (float(p) for p in result.params)
    low, high = result.conf_int()[1]
    return Growth(
        quantity=quantity,
        first=first,
        last=last,
        n=len(pairs),
        per_year=10**slope,
        interval=(float(10**low), float(10**high)),
        doubling_months=12 * math.log10(2) / slope if slope > 0 else None,
        r2=float(result.rsquared),
        intercept=intercept,
        slope=slope,
    )


def all_growth(known: Sequence[System]) -> tuple[Growth, ...]:
    """Growth of every quantity over every period that has enough systems."""
    found = []
    for quantity in QUANTITIES:
        for first, last in PERIODS:
            has = [
                s for s in known if getattr(s, quantity) is not None and first <= s.date.year < last
            ]
            if len(has) >= MIN_SYSTEMS:
                found.append(growth(known, quantity, first, last))
    return tuple(found)


def efficiency() -> tuple[Efficiency, ...]:
    """What the same quality came to need, from the table that ships with the project.

    Hernandez and Brown quote a halving every 16 months for the first row.
    """
    found = []
    for row in _rows("efficiency.csv"):
        days = date.fromisoformat(row["later_date"]) - date.fromisoformat(row["first_date"])
        factor = float(row["first_tflops_days"]) / float(row["later_tflops_days"])
        found.append(
            Efficiency(
                level=row["level"],
                first=row["first"],
                later=row["later"],
                factor=factor,
                halving_months=days.days / _DAYS * 12 / math.log2(factor),
                source=row["source"],
            )
        )
    return tuple(found)


def place(known: Sequence[System], quantity: Quantity, value: float, day: date) -> Place:
    """Where a run with ``value`` of ``quantity``, done on ``day``, sits.

    Raises:
        DataError: the value is not above 0.
    """
    if not (math.isfinite(value) and value > 0):
        raise DataError(f"expected {quantity} above 0, found {value}")
    having = [(s.name, v) for s in known if (v := getattr(s, quantity)) is not None]
    line = growth(known, quantity)
    exponent = math.log10(value)
    return Place(
        quantity=quantity,
        value=value,
        larger_than=sum(v < value for _, v in having),
        of=len(having),
        nearest=min(having, key=lambda s: abs(math.log10(s[1]) - exponent))[0],
        of_its_year=10 ** (exponent - line.intercept - line.slope * fraction_of_year(day)),
        trend_year=(exponent - line.intercept) / line.slope,
    )


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("sangbo.limits").joinpath("data", name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines(), strict=True))


def _optional(cell: str) -> float | None:
    return float(cell) if cell else None
