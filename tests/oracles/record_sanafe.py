"""Records what SANA-FE counts and charges for its DVS gesture network on its Loihi.

Run it in an environment of its own, with ``sanafe==2.2.9`` and ``numpy``:

    python tests/oracles/record_sanafe.py

Network, weights, thresholds, one frame of input and the chip come with that package; the mapping is
the one of its tutorial (1, 4, 16, 16, 4 and 1 cores), and 128 steps are what its authors ran on
Loihi. Convolutions use its synapses for convolutions, the last layer its dense ones.
"""

from __future__ import annotations

import csv
import json
import tempfile
from importlib import resources
from pathlib import Path

CORES = (1, 4, 16, 16, 4, 1)
STEPS = 128


def main() -> None:
    """Run SANA-FE and write ``sanafe-gesture.json`` beside this file."""
    import numpy as np
    import sanafe
    from sanafe import layers

    with resources.files("sanafe.examples").joinpath("dvs_challenge.npz").open("rb") as file:
        data = np.load(file)
        stored = {name: data[name] for name in data.files}
    network, chip = sanafe.Network(), sanafe.load_loihi()
    limits = [float(t) for t in stored["thresholds"]]
    built = [layers.Input2D(network, 32, 32, 1, threshold=limits[0])]
    for place in range(1, 5):
        stride = 2 if place == 1 else 1
        built.append(
            layers.Conv2D(
                network, built[-1], stored[f"conv{place}"], stride_width=stride,
                stride_height=stride, threshold=limits[place],
            )
        )  # fmt: skip
    built.append(layers.Dense(network, built[-1], 11, stored["dense1"], threshold=limits[5]))
    cores, first = chip.cores(), 0
    for place, (layer, count) in enumerate(zip(built, CORES, strict=True)):
        kind = "dense" if place == len(built) - 1 else "conv"
        each = -(-len(layer) // count)
        for index, neuron in enumerate(layer):
            neuron.set_attributes(
                soma_hw_name="loihi_lif", default_synapse_hw_name=f"loihi_{kind}_synapse"
            )
            neuron.map_to_core(cores[first + index // each])
        first += count
    for bias, neuron in zip(stored["inputs"], built[0], strict=True):
        neuron.set_attributes(model_attributes={"bias": float(bias)})
    running = sanafe.SpikingChip(chip)
    running.load(network)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "steps.csv"
        result = running.sim(STEPS, timing_model="simple", perf_trace=str(trace))
        with trace.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    names = {
        "fired": "fired", "updated": "updated", "packets": "packets", "hops": "hops",
        "spikes": "synaptic_operations",
    }  # fmt: skip
    record = {
        "source": "sanafe 2.2.9",
        "layers": [len(layer) for layer in built],
        "cores": list(CORES),
        "steps": STEPS,
        "events": {to: sum(int(row[key]) for row in rows) for key, to in names.items()},
        "joules": dict(result["energy"]),
        "joules_of_a_step": [float(row["total_energy"]) for row in rows],
    }
    target = Path(__file__).with_name("sanafe-gesture.json")
    target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
