"""A network of snnTorch, exported to NIR, fires here as it does there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sangbo import dynamics

pytestmark = pytest.mark.oracle


@pytest.mark.filterwarnings("ignore:nirtorch:DeprecationWarning")  # within snnTorch's export
def test_snntorch_fires_the_same() -> None:
    torch: Any = pytest.importorskip("torch")
    snn: Any = pytest.importorskip("snntorch")
    exporting: Any = pytest.importorskip("snntorch.export_nir")
    torch.manual_seed(3)
    how = {"reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}
    net = torch.nn.Sequential(
        torch.nn.Linear(40, 60),
        snn.Leaky(beta=0.9 * torch.ones(60), threshold=torch.ones(60), **how),
        torch.nn.Linear(60, 30, bias=False),
        snn.Leaky(beta=torch.linspace(0.7, 0.95, 30), threshold=0.5 * torch.ones(30), **how),
    )
    with torch.no_grad():
        net[0].weight *= 3
        net[2].weight *= 4
    graph = exporting.export_to_nir(net, torch.zeros(40))
    steps = 120
    spikes = (torch.rand(steps, 40) < 0.3).float()
    expected = []
    with torch.no_grad():
        for frame in spikes:
            expected.append(net(frame[None])[0].numpy())
    where = [n for n, node in graph.nodes.items() if type(node).__name__ == "Input"]
    made = dynamics.from_nir(graph.to_dict(), {where[0]: spikes.numpy()}, step=0.1)
    last = max(made.latency, key=lambda name: made.latency[name])
    late = made.latency[last]
    recorded = made.network.run((steps + late) * 0.1).recorded
    times, neurons = recorded.spike_times(last)
    found = np.zeros((steps, 30))
    at = np.round(times / 0.1).astype(int) - 1 - late
    found[at[at >= 0], neurons[at >= 0]] = 1
    assert np.sum(expected) > 200
    np.testing.assert_array_equal(found, np.array(expected))
