"""Recordings out of the data packages."""

from __future__ import annotations

import io
import re
import wave
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sangbo.data.packages import fetch
from sangbo.errors import SourceError
from sangbo.progress import Progress, silent
from sangbo.sources.archives import read_members

RATE = 16000
"""Samples a second of every recording here."""
_LARGEST = 16 * 2**20
_FOLDER = "usr/share/pocketsphinx/test/data/librivox/"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A recording within ±1 at `RATE`, and what is said in it."""

    name: str
    samples: NDArray[np.float32]
    text: str


def librivox(progress: Progress = silent) -> list[Spoken]:
    """Five sentences of "Sense and Sensibility", read by a volunteer of LibriVox."""
    found = dict(read_members(fetch("speech", progress), lambda n: n.startswith(_FOLDER), _LARGEST))
    spoken = []
    for line in found[f"{_FOLDER}transcription"].decode().splitlines():
        match = re.fullmatch(r"<s> (.*) </s> \((.*)\)\s*", line)
        if match:
            spoken.append(Spoken(match[2], _wave(found[f"{_FOLDER}{match[2]}.wav"]), match[1]))
    if not spoken:
        raise SourceError("expected transcripts of recordings, found none")
    return spoken


def commands(progress: Progress = silent) -> list[Spoken]:
    """Short commands to a robot and to cards; their texts are not kept here."""
    root = "usr/share/pocketsphinx/test/data/"
    found = read_members(
        fetch("speech", progress),
        lambda n: (n.startswith(f"{root}cards/") and n.endswith(".wav"))
        or n in (f"{root}goforward.raw", f"{root}something.raw", f"{root}numbers.raw"),
        _LARGEST,
    )  # fmt: skip
    return [
        Spoken(
            name.removeprefix(root),
            _wave(content) if name.endswith(".wav") else _pulses(content),
            "",
        )
        for name, content in found
    ]


def _pulses(content: bytes) -> NDArray[np.float32]:
    return (np.frombuffer(content, "<i2") / 32768).astype(np.float32)


def _wave(content: bytes) -> NDArray[np.float32]:
    with wave.open(io.BytesIO(content)) as opened:
        if (opened.getframerate(), opened.getnchannels(), opened.getsampwidth()) != (RATE, 1, 2):
            raise SourceError(
                f"expected one channel of {RATE} samples a second, found {opened.getparams()}"
            )
        return _pulses(opened.readframes(opened.getnframes()))


def speech_and_noise(
    seed: int, progress: Progress = silent
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """All of `librivox` with a second of faint noise around each, and where somebody speaks.

    A sentence counts as speech from its first to its last 20 ms whose power is within 30 dB of its
    loudest, pauses between included.
    """
    generator = np.random.default_rng(seed)
    pieces, marks = [], []
    frame = RATE // 50
    for spoken in librivox(progress):
        noise = generator.normal(0, 1e-3, RATE).astype(np.float32)
        power = np.add.reduceat(np.square(spoken.samples), np.arange(0, len(spoken.samples), frame))
        loud = np.flatnonzero(power > power.max() * 1e-3) * frame
        mark = np.zeros(len(spoken.samples), bool)
        mark[loud[0] : loud[-1] + frame] = True
        pieces += [noise, spoken.samples]
        marks += [np.zeros(RATE, bool), mark]
    return np.concatenate(pieces), np.concatenate(marks)
