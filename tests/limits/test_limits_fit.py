"""The fits against the published ones, and against data whose line is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sangbo.errors import DataError
from sangbo.limits import (
    Form,
    Observations,
    Prices,
    fit,
    fit_page,
    hardware_burden,
    network_operations,
    project,
    read_observations,
)

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "compute-limits"
published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published tables are not beside the repository"
)
CONLL = "named-entity-recognition-on-conll-2003"
IMAGENET = "image-classification-on-imagenet"

# Benchmark, column, n, a, b, R², power, R² of the exponential form: from the notebooks of
# Thompson et al., "The Computational Limits of Deep Learning".
NOTEBOOK = [
    (IMAGENET, "(TOP 1 score)", 102, -1.0673, 0.0908, 0.694, 11.0, 0.747),
    ("object-detection-on-coco", "(BOX AP)", 20, -0.9353, 0.0610, 0.814, 16.4, 0.814),
    ("question-answering-on-squad-1-1", "(EM score)", 12, -1.1230, 0.0956, 0.872, 10.5, 0.878),
    (
        CONLL,
        "(F1 score)",
        12,
        0.6333,
        0.0269,
        0.417,
        37.2,
        0.376,
    ),
    ("machine-translation-on-wmt2014-en-fr", "(BLEU)", 14, -0.2351, 0.0236, 0.147, 42.3, 0.138),
    ("machine-translation-on-wmt2014-en-de", "(BLEU)", 12, -0.1312, 0.0141, 0.188, 71.0, 0.198),
]


def known(
    a: float, b: float, form: Form = "polynomial", n: int = 40, noise: float = 0.0
) -> Observations:
    """Systems on a line, with noise around it."""
    random = np.random.default_rng(7)
    x = np.linspace(17, 23, n)
    y = a + b * x + noise * random.standard_normal(n)
    return Observations(
        names=tuple(f"s{i}" for i in range(n)),
        error=10**-y if form == "polynomial" else 1 / y,
        compute=10**x,
        imputed=np.zeros(n, bool),
        year=None,
        imputation=None,
        imputation_basis=None,
        dropped=0,
    )


@published
@pytest.mark.parametrize(("name", "column", "n", "a", "b", "r2", "power", "r2_exp"), NOTEBOOK)
def test_the_six_published_fits(
    name: str, column: str, n: int, a: float, b: float, r2: float, power: float, r2_exp: float
) -> None:
    seen = read_observations(
        PUBLISHED / f"{name}.csv",
        column,
        "hardware_burden",
        impute="network_operations" if n in (102, 20) else None,
    )
    line = fit(seen)
    assert line.n == n
    assert line.intercept == pytest.approx(a, abs=6e-5)
    assert line.slope == pytest.approx(b, abs=6e-5)
    assert line.r2 == pytest.approx(r2, abs=6e-4)
    assert line.power == pytest.approx(power, abs=0.06)
    assert fit(seen, "exponential").r2 == pytest.approx(r2_exp, abs=6e-4)


@published
def test_imputation_lines() -> None:
    path = PUBLISHED / f"{IMAGENET}.csv"
    seen = read_observations(path, "(TOP 1 score)", "hardware_burden", impute="network_operations")
    assert seen.imputation == pytest.approx((3.1337, 0.8716), abs=6e-5)
    assert seen.imputation_basis == "fitted"
    coco = read_observations(
        PUBLISHED / "object-detection-on-coco.csv",
        "(BOX AP)",
        "hardware_burden",
        impute="network_operations",
    )
    assert (coco.imputation_basis, int(coco.imputed.sum())) == ("published", 7)


@published
def test_progress_by_year() -> None:
    path = PUBLISHED / f"{IMAGENET}.csv"
    plain = fit(read_observations(path, "(TOP 1 score)", "network_operations"))
    assert (plain.n, round(plain.slope, 4), round(plain.r2, 3)) == (77, 0.0836, 0.720)
    both = fit(read_observations(path, "(TOP 1 score)", "network_operations", year="year"))
    assert both.year_slope is not None
    assert both.years_per_decade is not None
    assert round(both.slope, 4) == 0.0638
    assert round(both.year_slope, 4) == 0.0250
    assert round(both.r2, 3) == 0.831
    assert both.years_per_decade == pytest.approx(2.6, abs=0.06)


@published
def test_published_projections() -> None:
    path = PUBLISHED / f"{IMAGENET}.csv"
    line = fit(
        read_observations(path, "(TOP 1 score)", "hardware_burden", impute="network_operations")
    )
    for error, published_power in ((0.05, 26), (0.01, 33)):
        found = project(line, error)
        # The exponents that the published coefficients give, and the power of ten quoted.
        assert found.log10_compute == pytest.approx((-np.log10(error) + 1.0673) / 0.0908, abs=0.1)
        assert int(found.log10_compute) == published_power
        low, high = found.interval
        assert low is not None
        assert high is not None
        assert low < found.log10_compute < high
        assert found.warning is not None


@example(a=-0.5796117670270199, b=0.044715)  # the band's ends met on the wrong side of rounding
@given(a=st.floats(-1, 1), b=st.floats(0.02, 0.2))
def test_a_line_without_noise_is_found(a: float, b: float) -> None:
    line = fit(known(a, b))
    assert line.intercept == pytest.approx(a, abs=1e-8)
    assert line.slope == pytest.approx(b, abs=1e-9)
    target = 10.0 ** -(a + b * 24)
    if 0 < target < 1:
        assert project(line, target).log10_compute == pytest.approx(24, abs=1e-6)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    held = 0
    base = known(-1.0, 0.09)
    for _ in range(80):
        y = -np.log10(base.error) + 0.05 * random.standard_normal(40)
        seen = Observations(base.names, 10**-y, base.compute, base.imputed, None, None, None, 0)
        low, high = project(fit(seen), 10.0 ** -(-1.0 + 0.09 * 24)).interval
        assert low is not None
        assert high is not None
        held += low <= 24 <= high
    assert 70 <= held <= 80  # 76 expected, standard deviation 1.9


def test_one_wild_system_is_named() -> None:
    seen = known(-1.0, 0.09, noise=0.01)
    seen.error[-1] *= 3
    assert fit(seen).influential[0].name == "s39"


def test_the_quantile_line_leaves_its_share_below() -> None:
    seen = known(-1.0, 0.09, n=400, noise=0.05)
    line = fit(seen, quantile=0.9).quantile
    assert line is not None
    above = -np.log10(seen.error) > line.intercept + line.slope * np.log10(seen.compute)
    assert above.mean() == pytest.approx(0.1, abs=0.01)


def test_no_projection_from_a_slope_that_may_be_zero() -> None:
    seen = known(0.5, 0.003, noise=0.05)
    line = fit(seen)
    assert line.slope > 0
    with pytest.raises(DataError, match="holds 0"):
        project(line, 0.2)
    assert "cannot be told from 0" in str(project(line, 0.2, anyway=True).warning)
    assert line.intervals["power"] == (None, None)


def test_no_projection_absurdly_far_away() -> None:
    line = fit(known(-1.0, 0.09, noise=0.01))
    with pytest.raises(DataError, match="powers of ten outside"):
        project(line, 1e-6)


@pytest.mark.parametrize("target", [0, 1, 5, -0.1, float("nan")])
def test_a_target_that_is_no_error(target: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        project(fit(known(-1.0, 0.09, noise=0.01)), target)


def test_too_few_and_all_alike() -> None:
    with pytest.raises(DataError, match="4 or more"):
        fit(known(-1.0, 0.09, n=3))
    seen = known(-1.0, 0.09)
    seen.compute[:] = 1e20
    with pytest.raises(DataError, match="differ"):
        fit(seen)


def test_strubell_bill() -> None:
    """Strubell et al. 2019, Table 3: 1515.43 W for 274,120 h is 656,347 kWh with PUE 1.58."""
    prices = Prices("P100 rig", rate=1.0, watts=1515.43, dollars_per_hour=1.0)
    bill = prices.bill(np.log10(274_120 * 3600))
    assert 10 ** bill["log10_kwh"] == pytest.approx(656_347, rel=1e-5)
    assert 10 ** bill["log10_processor_hours"] == pytest.approx(274_120)
    assert 10 ** bill["log10_dollars"] == pytest.approx(274_120)


def test_both_measures_of_computation() -> None:
    assert hardware_burden(8, 1e13, 3600) == pytest.approx(2.88e17)
    assert network_operations(90, 7.2e8, 1_280_000 * 3) == pytest.approx(2.488e17, rel=1e-3)
    with pytest.raises(DataError, match="processors"):
        hardware_burden(-1, 1, 1)


def test_the_report_holds_its_figure_and_fetches_nothing() -> None:
    seen = known(-1.0, 0.09, noise=0.02)
    line = fit(seen, quantile=0.5)
    html = fit_page("<성능>", [line, fit(seen, "exponential")], project(line, 0.05)).html()
    assert "<svg" in html
    assert "&lt;성능&gt;" in html
    assert "src=" not in html
    assert "<link" not in html
