"""Voice activity by an LSTM: Silero VAD (Silero Team 2021, github.com/snakers4/silero-vad).

The graph takes ``sound``, (rows, samples, 1): for each row a window of 512 samples at 16 kHz after
the 64 samples before it. A short-time Fourier transform, written as a convolution, four
convolutions and an LSTM whose state passes from window to window give ``speech``, (rows, 1): the
probability that the window holds speech.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sangbo.errors import SourceError
from sangbo.graph import (
    Activation,
    Add,
    Graph,
    Multiply,
    Recurrent,
    Reshape,
    Take,
    ValueType,
    Weight,
)
from sangbo.sources.builder import Builder, by_taps, look, rename_all
from sangbo.sources.source import Array

MARK = "stft_conv.weight"
WINDOW, BEFORE, REFLECTED = 512, 64, 64
RATE = 16_000
HOP = 128
STRIDES = (1, 2, 2, 1)
SPEECH = "speech"

NAMES = {
    "stft_conv.weight": "spectrum",
    "lstm_cell.weight_ih": "input",
    "lstm_cell.bias_ih": "input.bias",
    "lstm_cell.weight_hh": "recurrent",
    "lstm_cell.bias_hh": "recurrent.bias",
    "final_conv.weight": "head",
    "final_conv.bias": "head.bias",
} | {
    f"conv{index + 1}.{kind}": f"convolution.{index}{ours}"
    for index in range(len(STRIDES))
    for kind, ours in (("weight", ""), ("bias", ".bias"))
}


def from_tensors(
    name: str, tensors: Mapping[str, Array], where: str, metadata: Mapping[str, Any]
) -> Graph:
    """The graph of a Silero VAD of 16 kHz.

    Raises:
        SourceError: where a tensor is missing or malformed.
        UnsupportedError: where a tensor is not known.
    """
    mine = rename_all(tensors, NAMES, where)
    convolutions = ["spectrum", *(f"convolution.{i}" for i in range(len(STRIDES)))]
    taps = {n: look(mine, n, 3, where).shape[2] for n in convolutions}
    mine |= {n: by_taps(look(mine, n, 3, where)) for n in (*convolutions, "head")}
    parts = len(mine["spectrum"])
    size = BEFORE + WINDOW
    net = Builder(mine, {"sound": ValueType("real", ("rows", size, 1))})
    if not size + REFLECTED >= taps["spectrum"] or parts % 2:
        raise SourceError(
            f"expected 'stft_conv.weight' in {where} to hold real and imaginary waves of at most "
            f"{size + REFLECTED} samples, found {parts} of {taps['spectrum']}"
        )
    mirrored = (*range(size), *range(size - 2, size - 2 - REFLECTED, -1))
    hidden = net.add(Take("sound.reflected", "sound", 1, mirrored))
    hidden = net.convolve("spectrum", hidden, (taps["spectrum"],), (HOP,), ((0, 0),))
    squares = []
    for part, places in (("real", range(parts // 2)), ("imaginary", range(parts // 2, parts))):
        wave = net.add(Take(f"spectrum.{part}", hidden, 2, tuple(places)))
        squares.append(net.add(Multiply(f"spectrum.{part}.square", wave, wave)))
    power = net.add(Add("spectrum.power", *squares))
    hidden = net.add(Activation("spectrum.magnitude", power, "sqrt"))
    for convolution, stride in zip(convolutions[1:], STRIDES, strict=True):
        side = taps[convolution] // 2
        hidden = net.convolve(convolution, hidden, (taps[convolution],), (stride,), ((side, side),))
        hidden = net.activate(f"{convolution}.activation", hidden, "relu")
    channels = len(mine[convolutions[-1]])
    hidden = net.add(Reshape("row", hidden, (channels,)))
    gates = net.linear("input", hidden)
    weight, bias = Weight("recurrent"), net.bias("recurrent")
    hidden = net.add(Recurrent("recurrent", gates, "lstm", weight, bias))
    hidden = net.linear("head", net.activate("recurrent.activation", hidden, "relu"))
    net.activate(SPEECH, hidden, "sigmoid")
    known = {
        "task": "detect-voice", "family": "lstm",
        "sound": {"sampling_rate": RATE, "window": WINDOW, "before": BEFORE},
    }  # fmt: skip
    return net.finish(name, {**known, **metadata}, outputs=(SPEECH,))
