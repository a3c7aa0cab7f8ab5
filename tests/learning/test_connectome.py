"""The worm's nervous system: what is read, and what a touch does."""

from __future__ import annotations

from pathlib import Path

import pytest

from sangbo.errors import SangboError
from sangbo.learning.connectome import COMMANDS, GABA, TOUCHES, is_neuron, touch_worm, wiring
from sangbo.report.learning import connectome_figure


@pytest.mark.network
def test_the_contacts_are_those_that_were_counted() -> None:
    wires = wiring()
    number = {name: i for i, name in enumerate(wires.names)}
    assert sum(map(is_neuron, wires.names)) == 300  # 302 less CANL and CANR, which make none
    assert sum("BWM" in name for name in wires.names) == 95
    assert wires.chemical[number["I1L"], number["I2L"]] == 10
    assert len(GABA) == 26
    named = GABA.union(*TOUCHES.values(), *COMMANDS.values())
    assert named <= set(wires.names)


@pytest.mark.network
def test_a_touch_is_answered(tmp_path: Path) -> None:
    found = touch_worm("posterior", duration=100.0, threads=1)
    assert found.spikes == len(found.times) > 0
    again = touch_worm("posterior", duration=100.0, threads=2)
    assert (found.rates, found.rest) == (again.rates, again.rest)
    assert found.rates["forward_commands"] > found.rest["forward_commands"]
    connectome_figure(found, tmp_path / "worm.png")
    assert (tmp_path / "worm.png").stat().st_size > 5_000


def test_no_such_touch() -> None:
    with pytest.raises(SangboError, match="expected a touch, one of none, nose"):
        touch_worm("tail")
