"""Single neurons against NEST and NEURON, recorded by ``simulators/record.py``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dynamics.simulators.record import CASES, EXCITATORY, INHIBITORY, STEP
from sangbo import dynamics

RECORDED = json.loads(
    (Path(__file__).parent / "simulators" / "recorded.json").read_text(encoding="utf-8")
)
TAUS = {"tau_excitatory": 2.0, "tau_inhibitory": 3.0}
CURRENT = {"c_m": 250.0, "tau_m": 10.0, "e_l": -70.0, "v_th": -55.0, "v_reset": -70.0}
CONDUCTANCE = {"c_m": 250.0, "tau_m": 250 / 16.6667, "e_l": -70.0, "v_th": -55.0, "v_reset": -60.0}
REVERSAL = {"e_excitatory": 0.0, "e_inhibitory": -85.0}
MODELS: dict[str, dynamics.Model] = {
    "lif, exponential currents": dynamics.LIF(
        **CURRENT, i_e=330.0, receptors=dynamics.CurrentExponential(**TAUS)
    ),
    "lif, alpha currents": dynamics.LIF(
        **CURRENT, i_e=330.0, receptors=dynamics.CurrentAlpha(**TAUS)
    ),
    "lif, jumps": dynamics.LIF(**CURRENT, i_e=330.0, receptors=dynamics.Delta()),
    "lif, exponential conductances": dynamics.LIF(
        **CONDUCTANCE, i_e=230.0, receptors=dynamics.ConductanceExponential(**TAUS, **REVERSAL)
    ),
    "lif, alpha conductances": dynamics.LIF(
        **CONDUCTANCE, i_e=230.0, receptors=dynamics.ConductanceAlpha(**TAUS, **REVERSAL)
    ),
    **{
        name: dynamics.AdEx(
            i_e=CASES[name]["parameters"]["I_e"],
            t_ref=CASES[name]["parameters"]["t_ref"],
            receptors=dynamics.ConductanceExponential(**TAUS, **REVERSAL),
        )
        for name in CASES
        if name.startswith("adaptive exponential")
    },
    "izhikevich": dynamics.Izhikevich(i_e=6.0),
}


def spikes(model: dynamics.Model, weights: list[float], duration: float) -> np.ndarray:
    network = dynamics.Network(step=STEP, threads=1)
    cell = network.population(1, model, name="cell")
    for times, weight, receptor in zip(
        (EXCITATORY, INHIBITORY), weights, ("excitatory", "inhibitory"), strict=True
    ):
        source = network.population(None, dynamics.SpikeTimes([times]))
        conductance = "conductance" in model.kernel
        network.connect(
            source,
            cell,
            dynamics.OneToOne(),
            dynamics.Static(weight=abs(weight) if conductance else weight, delay=1.0),
            receptor=receptor,
        )
    network.record(cell)
    return network.run(duration).recorded.spike_times("cell")[0]


@pytest.mark.parametrize("name", list(CASES))
def test_spikes_as_in_nest(name: str) -> None:
    expected = np.asarray(RECORDED[name])
    assert len(expected) > 10
    found = spikes(MODELS[name], CASES[name]["weights"], 1000.0)
    np.testing.assert_allclose(found[: len(expected)], expected, atol=STEP * 1.001)
    assert len(found) == len(expected)


def test_spikes_as_in_neuron() -> None:
    expected = np.asarray(RECORDED["hodgkin-huxley"])
    assert len(expected) > 20
    network = dynamics.Network(step=0.01, threads=1)
    cell = network.population(1, dynamics.HodgkinHuxley(i_e=100.0), name="cell")
    network.record(cell)
    found, _ = network.run(500.0).recorded.spike_times("cell")
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, atol=0.05)
