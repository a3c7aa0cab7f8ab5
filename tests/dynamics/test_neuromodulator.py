"""A substance around a network: release, spread, clearance, and whom it tells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from sangbo import dynamics as d
from sangbo.errors import SimulationError


class Told:
    """Whatever has a modulator."""

    def __init__(self) -> None:
        self.levels: list[float] = []

    def modulate(self, level: float) -> None:
        self.levels.append(level)


def network(times: list[list[float]], positions: list[list[float]] | None = None) -> d.Network:
    made = d.Network(step=0.5, threads=1)
    source = made.population(None, d.SpikeTimes(times), name="source", positions=positions)
    made.record(source)
    return made


def test_one_box_decays_exactly_and_tells() -> None:
    made = network([[2.0, 6.0], [6.0]])
    field = d.Neuromodulator(made, tau=50.0, every=2.0)
    field.releases(made.populations[0], 0.25)
    told = Told()
    field.acts_on(told, gain=2.0, baseline=0.1)
    levels = field.run(12.0)
    times = np.arange(1, 7) * 2.0
    true = np.zeros(6)
    for t in (2, 6, 6):
        true += 0.25 * np.where(times >= t, np.exp(-(times - t) / 50.0), 0)
    assert levels == pytest.approx(true)
    assert told.levels == pytest.approx([2 * (c - 0.1) for c in (0.0, *true[:-1])])
    field.release(1.0)
    assert field.level() == pytest.approx(true[-1] + 1.0)
    # What was recorded is where it always is.
    assert made.memory.spike_times("source")[0].tolist() == [2.0, 6.0, 6.0]


def test_spread_is_that_of_a_gaussian_and_keeps_its_amount() -> None:
    """Far from walls a release becomes a Gaussian of variance 2·D·t along each axis."""
    made = network([[]])
    field = d.Neuromodulator(made, tau=1e12, every=5.0, shape=(81, 81), spacing=2.0, diffusion=3.0)
    field.release(1.0, at=(81.0, 81.0))
    field.run(20.0)
    c = field.concentration
    assert c.sum() == pytest.approx(1.0)
    for axis, middle in ((0, 81.0), (1, 81.0)):
        x = (np.arange(c.shape[axis]) + 0.5) * 2.0
        along = c.sum(1 - axis)
        assert (along * x).sum() == pytest.approx(middle)
        assert (along * (x - middle) ** 2).sum() == pytest.approx(2 * 3.0 * 20.0, rel=1e-6)
    peak = 4.0 / (4 * math.pi * 3.0 * 20.0)
    assert field.level((81.0, 81.0)) == pytest.approx(peak, rel=0.02)


def test_a_walled_field_evens_out_and_neurons_know_their_boxes() -> None:
    made = network([[1.0], []], [[1.0, 1.0, 0.5], [39.0, 40.0, 1.0]])
    field = d.Neuromodulator(made, tau=1e12, shape=(4, 4, 1), spacing=10.0, diffusion=1e4)
    source = made.populations[0]
    field.releases(source, 16.0)
    told = Told()
    field.acts_on(told, among=source)
    field.run(200.0)
    assert np.allclose(field.concentration, 1.0)
    assert told.levels[0] == 0
    assert told.levels[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau": 0.0}, "expected tau > 0"),
        ({"every": -1.0}, "expected every > 0"),
        ({"spacing": math.nan}, "expected spacing > 0"),
        ({"diffusion": -1.0}, "expected a diffusion"),
        ({"shape": (0,)}, "boxes"),
        ({"shape": (2, 2, 2, 2)}, "boxes"),
    ],
)
def test_impossible_fields_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        d.Neuromodulator(network([[]]), **{"tau": 10.0, **options})


def test_what_lies_outside_is_refused() -> None:
    made = network([[]], [[50.0]])
    field = d.Neuromodulator(made, tau=10.0, shape=(4,), spacing=10.0)
    with pytest.raises(SimulationError, match="expected positions of 0 to"):
        field.releases(made.populations[0], 1.0)
    with pytest.raises(SimulationError, match="of 1 axes, found 2"):
        field.release(1.0, at=(1.0, 1.0))
    other = d.Network()
    cells = other.population(1, d.LIF())
    with pytest.raises(SimulationError, match="spikes are recorded"):
        field.releases(cells, 1.0)
    with pytest.raises(SimulationError, match="expected positions of Population"):
        field.acts_on(Told(), among=cells)
    with pytest.raises(SimulationError, match="a duration"):
        field.run(math.inf)
