"""Batch norms folded into the convolutions before them (Jacob et al. 2018, arXiv 1712.05877)."""

from __future__ import annotations

import numpy as np

from sangbo.errors import SourceError
from sangbo.sources.builder import take
from sangbo.sources.source import Array

COUNTER = ".num_batches_tracked"
"""How many batches trained a norm: nothing needs it."""


def fold(
    tensors: dict[str, Array], weight: Array, norm: str, epsilon: float, where: str
) -> tuple[Array, Array]:
    """Weight and bias of a convolution with the norm after it; its tensors are removed.

    w' = w·γ/√(σ² + ε) and b' = β − μ·γ/√(σ² + ε), in float64, rounded once.

    Args:
        tensors: by their names in the file.
        weight: (outputs, …) of a convolution without bias.
        norm: name of the norm.
        epsilon: its ε.
        where: the file, for messages.

    Returns:
        float32 weight, of the same shape, and bias (outputs,).

    Raises:
        SourceError: where a tensor is missing, has another shape, or a variance is negative.
    """
    gain, shift, mean, variance = (
        take(tensors, f"{norm}.{part}", 1, where).astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    if {len(p) for p in (gain, shift, mean, variance)} != {len(weight)} or variance.min() < 0:
        raise SourceError(
            f"expected {norm!r} in {where} to have {len(weight)} channels with variances of at "
            f"least 0, found {[len(p) for p in (gain, shift, mean, variance)]}"
        )
    factor = gain / np.sqrt(variance + epsilon)
    scaled = weight.astype(np.float64) * factor.reshape(-1, *[1] * (weight.ndim - 1))
    return scaled.astype(np.float32), (shift - mean * factor).astype(np.float32)


def transposed(weight: Array) -> Array:
    """The convolution that a transposed one is on spread inputs: the window mirrored.

    (inputs, outputs, tall, wide) → (outputs, inputs, tall, wide).
    """
    return np.ascontiguousarray(weight.swapaxes(0, 1)[:, :, ::-1, ::-1])
