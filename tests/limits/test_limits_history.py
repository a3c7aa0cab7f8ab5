"""Systems over time, and what one job costs."""

from __future__ import annotations

import sys
from datetime import date

import numpy as np
import pytest

from sangbo.errors import DataError
from sangbo.limits import (
    Rates,
    all_growth,
    efficiency,
    growth,
    history_page,
    measure,
    measure_page,
    place,
    run,
    systems,
)
from sangbo.limits.history import System


def test_every_system_names_its_source() -> None:
    known = systems()
    assert len({s.name for s in known}) == len(known) >= 30
    assert all(s.source for s in known)
    assert [s.date for s in known] == sorted(s.date for s in known)


def test_numbers_that_others_published() -> None:
    by_name = {s.name: s for s in systems()}
    assert by_name["GPT-3 175B"].training_flop == 3.14e23  # Brown et al. 2020, Table D.1
    assert by_name["AlexNet"].training_flop == pytest.approx(3.1e12 * 86400, rel=1e-3)
    alexnet = efficiency()[0]
    assert alexnet.factor == pytest.approx(44, abs=1)  # Hernandez and Brown 2020: 44 times
    assert alexnet.halving_months == pytest.approx(16, abs=1)  # and a halving in 16 months
    # Cottier et al. 2024: cost of frontier models grows 2.4 times a year (2.0 to 3.1).
    assert growth(systems(), "dollars").per_year == pytest.approx(2.4, abs=0.7)


def test_growth_of_a_known_law() -> None:
    known = [
        System(str(i), date(2013 + i, 1, 1), "x", None, 1e18 * 4.0**i, None, "made up")
        for i in range(8)
    ]
    found = growth(known, "training_flop")
    assert found.per_year == pytest.approx(4, rel=1e-3)
    assert found.doubling_months == pytest.approx(6, rel=1e-3)
    sits = place(known, "training_flop", 1e18 * 4.0**2.6, date(2015, 1, 1))
    assert (sits.larger_than, sits.of, sits.nearest) == (3, 8, "3")
    assert sits.of_its_year == pytest.approx(4**0.6, rel=1e-2)
    with pytest.raises(DataError, match="4 or more"):
        growth(known, "dollars")
    with pytest.raises(DataError, match="above 0"):
        place(known, "training_flop", 0, date(2015, 1, 1))


def test_the_history_page() -> None:
    known = systems()
    here = place(known, "training_flop", 1e20, date(2026, 1, 1))
    html = history_page(known, all_growth(known), efficiency(), (2026.0, [here])).html()
    assert html.count("<svg") == 3
    assert "your run" in html.lower()


def test_a_command_is_measured(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import time; print('out'); time.sleep(0.6); raise SystemExit(3)"
    cost = run([sys.executable, "-c", code], Rates(processors=2, rate=1e9, dollars_per_hour=36))
    assert cost.exit_code == 3
    assert 0.6 <= cost.seconds < 30
    assert cost.hardware_burden == pytest.approx(2e9 * cost.seconds)
    assert cost.kwh > 0
    assert cost.energy_basis in ("measured", "partly measured", "estimated")
    assert cost.kg_co2 == pytest.approx(cost.kwh * 0.475)
    assert cost.dollars == pytest.approx(cost.kwh * 0.15 + 2 * cost.seconds / 100)
    assert capfd.readouterr().out == ""
    assert "FLOP" in measure_page("job", cost).html()


def test_a_block_is_measured_in_a_country() -> None:
    with measure(Rates(country="KOR")) as cost:
        _ = np.ones((300, 300)) @ np.ones((300, 300))
    assert cost.rate > 1e8
    assert cost.rate_basis == "measured"
    assert 0.2 < cost.kg_co2 / cost.kwh < 0.8


@pytest.mark.parametrize(
    ("rates", "match"),
    [({"country": "Korea"}, "three letters"), ({"processors": -1.0}, "processors of 0 or more")],
)
def test_bad_rates(rates: dict[str, float | str], match: str) -> None:
    with pytest.raises(DataError, match=match):
        Rates(**rates)  # type: ignore[arg-type]


def test_unknown_country_and_program() -> None:
    with (
        pytest.raises(DataError, match="country that CodeCarbon knows"),
        measure(Rates(country="QQQ")),
    ):
        pass
    with pytest.raises(DataError, match="program called"):
        run(["no-such-program-here"], Rates(rate=1.0))
    with pytest.raises(DataError, match="a command"):
        run([])
