"""Neuron models against recorded runs of simulators that we did not write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dynamics.simulators import loihi
from sangbo import dynamics

SHARED = Path(__file__).parents[3] / "shared" / "data"


def loihi_states(recorded: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """v, u and spikes of the same neurons fed the same inputs, each of shape (steps, neurons)."""
    steps, neurons = recorded["a_in"].shape
    network = dynamics.Network(step=1.0)
    # One source for each step; it fires one step before its weights are due, from step 0 on.
    sources = network.population(None, dynamics.SpikeTimes([[float(t)] for t in range(steps)]))
    cells = network.population(
        neurons,
        dynamics.Loihi(
            du=recorded["du"],
            dv=recorded["dv"],
            v_th=recorded["vth"],
            bias_mantissa=recorded["bias_mant"],
            bias_exponent=recorded["bias_exp"],
        ),
        name="cells",
    )
    network.connect(
        sources,
        cells,
        dynamics.Pairs(np.repeat(np.arange(steps), neurons), np.tile(np.arange(neurons), steps)),
        dynamics.Static(weight=recorded["a_in"].ravel(), delay=1.0),
    )
    network.record(cells)
    network.record(cells, "v")
    network.record(cells, "u")
    memory = network.run(float(steps)).recorded
    times, who = memory.spike_times("cells")
    spikes = np.zeros((steps, neurons), np.int8)
    spikes[np.round(times).astype(int) - 1, who] = 1
    v, u = (memory.samples("cells", name)[1].view(np.int32) for name in ("v", "u"))
    return v, u, spikes


@pytest.mark.skipif(
    not (SHARED / "loihi-lif-golden.npz").exists(),
    reason="../shared/data/loihi-lif-golden.npz is not there",
)
def test_loihi_is_lava_bit_for_bit() -> None:
    with np.load(SHARED / "loihi-lif-golden.npz", allow_pickle=False) as file:
        recorded = dict(file)
    v, u, spikes = loihi_states(recorded)
    np.testing.assert_array_equal(u, recorded["u"])
    np.testing.assert_array_equal(spikes, recorded["spike"])
    np.testing.assert_array_equal(v, np.where(recorded["spike"], 0, recorded["v_before_reset"]))


def test_loihi_is_lava_over_random_neurons() -> None:
    given = loihi.drawn()
    v, u, spikes = loihi_states(given)
    assert (np.abs(u) == 2**23).any()
    assert 1000 < spikes.sum() < spikes.size / 2
    recorded = Path(loihi.__file__).with_name("loihi.json").read_text(encoding="utf-8")
    assert loihi.checksums(u, v, spikes) == json.loads(recorded)
