"""A prompt read spike by spike: what every layer sent in each time step, and when."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sangbo.agreement import RATE_STEPS
from sangbo.engines import Temporal
from sangbo.engines.activity import Activity, Fired
from sangbo.engines.temporal import timeline
from sangbo.inspection import Place, place_of
from sangbo.network import Network
from sangbo.progress import Progress, silent
from sangbo.tasks.language import Text


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """One neuron layer in time.

    Attributes:
        name: of its levels.
        place: where it stands.
        begins: network time step in which it begins to fire.
        fired: what it sent.
        accumulates: (T,) weights, keys or values that its spikes were added to, in each step; zeros
            for keys and values, which are cached and not sent.
        macs: multiplications of its levels on the dense side.
    """

    name: str
    place: Place
    begins: int
    fired: Fired
    accumulates: Any
    macs: int

    def to_dict(self) -> dict[str, Any]:
        """The layer as JSON values."""
        latency = self.fired.latency
        return {
            "name": self.name,
            "block": self.place.block,
            "part": self.place.part,
            "begins": self.begins,
            "steps": self.fired.steps,
            "active_steps": self.fired.active,
            "levels": self.fired.levels,
            "dense_levels": self.fired.dense,
            "spikes": int(self.fired.spikes.sum()),
            "spikes_per_step": self.fired.spikes.tolist(),
            "first_spike_step": None if math.isnan(latency) else latency,
            "accumulates": int(self.accumulates.sum()),
            "accumulates_per_step": self.accumulates.tolist(),
            "macs": self.macs,
        }


@dataclass(frozen=True, slots=True)
class Trace:
    """A run of the temporal engine over a prompt.

    Attributes:
        network: name.
        code: spike code.
        tokens: the text of each token that was read.
        layers: every neuron layer, in order.
        latency: time steps from the tokens to the logits, each layer taking all its T.
        active_latency: the same, if each layer took only the steps between its first spike and its
            last.
        activity: what was counted, with a recording of each watched operation.
        seconds: that the temporal engine took.
        native_seconds: that the native engine took.
        different: logits that differ in any bit from the native engine's.
        next_token: the text of the likeliest next token.
    """

    network: str
    code: str
    tokens: tuple[str, ...]
    layers: tuple[LayerTrace, ...]
    latency: int
    active_latency: int
    activity: Activity
    seconds: float
    native_seconds: float
    different: int
    next_token: str

    @property
    def spikes(self) -> int:
        """Spikes of all layers."""
        return sum(int(layer.fired.spikes.sum()) for layer in self.layers)

    @property
    def accumulates(self) -> int:
        """Weights, keys and values that spikes were added to."""
        return sum(int(layer.accumulates.sum()) for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiplications on the dense side."""
        return sum(layer.macs for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """The trace as JSON values; spikes of watched operations as lists of events."""
        return {
            "network": self.network,
            "code": self.code,
            "tokens": list(self.tokens),
            "latency_steps": self.latency,
            "active_latency_steps": self.active_latency,
            "spikes": self.spikes,
            "accumulates": self.accumulates,
            "macs": self.macs,
            "seconds": self.seconds,
            "native_seconds": self.native_seconds,
            "different_logits": self.different,
            "next_token": self.next_token,
            "neurons": [layer.to_dict() for layer in self.layers],
            "recordings": {name: _events(r) for name, r in self.activity.recordings.items()},
        }

    def arrays(self) -> bytes:
        """Recordings of watched operations as an ``.npz`` file.

        For each operation: ``NAME/spikes`` (T, tokens, neurons), ``worths`` (T,), ``dense`` and
        ``levels`` (tokens, neurons), ``potentials`` (T + 1, tokens, neurons) in thresholds,
        ``membranes`` (T + 1, tokens, outputs, groups) and ``settled`` (tokens, outputs, groups).
        """
        kept: dict[str, Any] = {}
        for name, r in self.activity.recordings.items():
            dense = np.zeros_like(r.train.levels) if r.train.dense is None else r.train.dense
            for part, array in (
                ("spikes", r.train.spikes), ("worths", r.train.worths), ("dense", dense),
                ("levels", r.train.levels), ("potentials", r.potentials),
                ("membranes", r.membranes), ("settled", r.settled),
            ):  # fmt: skip
                kept[f"{name}/{part}"] = array
        stream = io.BytesIO()
        np.savez_compressed(stream, **kept)
        return stream.getvalue()


def trace(
    network: Network,
    prompt: str,
    *,
    code: str | None = None,
    steps: int | None = None,
    largest_spiking: int | None = None,
    watched: Sequence[str] = (),
    progress: Progress = silent,
) -> Trace:
    """Read a prompt with the temporal engine, and with the native one beside it.

    Args:
        network: what was converted.
        prompt: a user's message; it is put in the network's chat template.
        code: spike code; the network's own by default.
        steps: time steps of every neuron layer, and
        largest_spiking: largest level that spikes, see `sangbo.engines.firing.Coding`. In rate code
            they are `sangbo.agreement.RATE_STEPS` where neither is given.
        watched: linear operations of which every spike and membrane is kept.
        progress: told what is being done.

    Raises:
        SangboError: where the prompt is empty or too long, the steps are too few, or there is no
            such code or operation.
    """
    code = network.code if code is None else code
    if code == "rate" and steps is None and largest_spiking is None:
        largest_spiking = RATE_STEPS
    engine = Temporal(network.graph, code, steps=steps, largest_spiking=largest_spiking)
    ids = np.asarray(network.encode_prompt(prompt), np.int32)
    reading = Text.of(ids)
    progress("reading spike by spike", 0.0)
    activity = Activity(watched=tuple(watched))
    start = time.perf_counter()
    logits = reading.run(engine, activity=activity)["logits"]
    seconds = time.perf_counter() - start
    progress("reading with the native engine", 0.5)
    native = network.engine
    reading.run(native)
    start = time.perf_counter()
    folded = reading.run(native)["logits"]
    native_seconds = time.perf_counter() - start
    begins, latency = timeline(network.graph, engine.steps)
    active = {name: layer.active for name, layer in activity.neurons.items()}
    tokenizer = network.text_tokenizer()
    return Trace(
        network=network.graph.name,
        code=code,
        tokens=tuple(tokenizer.decode([int(i)]) for i in ids),
        layers=tuple(_layer(name, begins[name], activity) for name in begins),
        latency=latency,
        active_latency=timeline(network.graph, active)[1],
        activity=activity,
        seconds=seconds,
        native_seconds=native_seconds,
        different=int((logits.view(np.uint32) != folded.view(np.uint32)).sum()),
        next_token=tokenizer.decode([int(logits[-1].argmax())]),
    )


def _layer(name: str, begins: int, activity: Activity) -> LayerTrace:
    fired = activity.neurons[name]
    received = [o for o in activity.operations.values() if o.source == name]
    accumulates = np.zeros(fired.steps, np.int64)
    for operation in received:
        accumulates += operation.accumulates
    macs = sum(o.macs for o in received)
    return LayerTrace(name, place_of(name), begins, fired, accumulates, macs)


def _events(recording: Any) -> dict[str, Any]:
    steps, rows, neurons = np.nonzero(recording.train.spikes)
    return {
        "source": recording.source,
        "worths": recording.train.worths.tolist(),
        "steps": steps.tolist(),
        "tokens": rows.tolist(),
        "neurons": neurons.tolist(),
        "spikes": recording.train.spikes[steps, rows, neurons].tolist(),
    }
