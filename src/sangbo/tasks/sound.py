"""What networks hear: logarithmic mel spectra of recordings."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import SangboError

RATE = 16000
WINDOW, HOP, BANDS = 400, 160, 80
SECONDS = 30
FRAMES = SECONDS * RATE // HOP
_LINEAR_STEP = 200 / 3
_LOG_FROM = 1000.0
_LOG_STEP = np.log(6.4) / 27


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Spectrum of the first 30 seconds as Whisper hears it. (samples,) within ±1 → (3000, 80).

    Power in Hann windows of 25 ms every 10 ms, the recording padded by zeros to 30 s and reflected
    half a window at its ends; 80 triangular bands on the Slaney mel scale; log₁₀, at most 8 below
    the loudest, then (x + 4) / 4 (Radford et al. 2022, arXiv 2212.04356, §2.2).

    Raises:
        SangboError: where ``samples`` is no single channel of finite samples.
    """
    if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
        raise SangboError(f"expected one channel of finite samples, found shape {samples.shape}")
    whole = np.zeros(SECONDS * RATE, np.float64)
    heard = samples[: len(whole)]
    whole[: len(heard)] = heard
    padded = np.pad(whole, WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:FRAMES]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    power = np.square(np.abs(np.fft.rfft(frames * hann, axis=-1)))
    bands = np.log10(np.maximum(power @ _bands(), 1e-10))
    found: NDArray[np.float32] = ((np.maximum(bands, bands.max() - 8) + 4) / 4).astype(np.float32)
    return found


@cache
def _bands() -> NDArray[np.float64]:
    """Weights of the bands, each triangle of area 1. (frequencies, bands)."""
    edges = _frequency(np.linspace(0, _mel(RATE / 2), BANDS + 2))
    frequencies = np.linspace(0, RATE / 2, WINDOW // 2 + 1)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (frequencies - low) / (middle - low)
    falling = (high - frequencies) / (high - middle)
    weights: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)
    return weights


def _mel(frequency: float) -> float:
    """Slaney's scale: linear below 1 kHz, logarithmic above."""
    if frequency < _LOG_FROM:
        return frequency / _LINEAR_STEP
    return float(_LOG_FROM / _LINEAR_STEP + np.log(frequency / _LOG_FROM) / _LOG_STEP)


def _frequency(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    turn = _LOG_FROM / _LINEAR_STEP
    return np.where(mel < turn, mel * _LINEAR_STEP, _LOG_FROM * np.exp((mel - turn) * _LOG_STEP))
