"""The energies of Loihi fitted to boards, against what SANA-FE charges for the same events.

`tests/oracles/record_sanafe.py` ran its DVS gesture network, 18,678 neurons, on its Loihi.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sangbo import chips

RECORD: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "oracles" / "sanafe-gesture.json").read_text(encoding="utf-8")
)
CONVOLUTION = 24.0
"""pJ a synaptic operation of SANA-FE's synapses for convolutions; `loihi-1-silicon` says 35.5 of
dense ones, and names this."""


def test_every_part_of_the_energy_follows_from_our_numbers() -> None:
    chip, events = chips.load("loihi-1-silicon"), RECORD["events"]
    energy = {key: chip.energy(key) or 0.0 for key in chip.tables["energy"]}
    theirs = {part: joules * 1e12 for part, joules in RECORD["joules"].items()}
    present = sum(RECORD["layers"]) * RECORD["steps"]
    idle = present - events["updated"]
    somas = idle * energy["neuron_update_idle"] + events["updated"] * energy["neuron_update"]
    somas += events["fired"] * energy["spike"]
    assert theirs["soma"] == pytest.approx(somas)
    axons = events["packets"] * energy["transport"]
    nearest = axons + events["hops"] * energy["hop_east_west"]
    furthest = axons + events["hops"] * energy["hop_north_south"]
    assert nearest <= theirs["network"] <= furthest
    # The last layer is dense, all others are convolutions: a whole number of spikes at 11 targets.
    dense = (theirs["synapse"] - events["synaptic_operations"] * CONVOLUTION) / (
        energy["accumulate"] - CONVOLUTION
    )
    assert dense / RECORD["layers"][-1] == pytest.approx(round(dense / RECORD["layers"][-1]))
    total = theirs["soma"] + theirs["synapse"] + theirs["network"]
    assert theirs["total"] == pytest.approx(total)


def test_a_step_costs_what_was_measured_on_boards() -> None:
    """SANA-FE plots 1 to 4 µJ a step as measured, over 100 gestures (its dvs_gesture.py)."""
    steps = RECORD["joules_of_a_step"]
    assert 1e-6 < sum(steps) / len(steps) < 4e-6
