"""Marian networks as transformers writes them: BART's modules with given positions.

Junczys-Dowmunt et al. 2018, arXiv 1804.00344. For the binary files of Marian itself, see
`sangbo.sources.bergamot`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sangbo.errors import SourceError
from sangbo.graph import Graph
from sangbo.sources import bart
from sangbo.sources.facts import Facts
from sangbo.sources.source import Array, Real

DERIVED = (".embed_positions.weight",)
"""The waves, which follow from the width."""

LARGEST_TABLE = 2**26


def from_huggingface(
    name: str, facts: Facts, tensors: Mapping[str, Array], metadata: Mapping[str, Any]
) -> Graph:
    """The graph of a MarianMTModel checkpoint.

    Raises:
        SourceError: where the configuration or a tensor is missing or malformed.
        UnsupportedError: where a tensor or the activation is not known.
    """
    channels, context = facts.whole("d_model"), facts.whole("max_position_embeddings", 1024)
    rates = 10000.0 ** -(np.arange(0, channels, 2, dtype=np.float64) / channels)
    table = waves(context, rates)
    tables = {f"model.{side}.embed_positions.weight": table for side in ("encoder", "decoder")}
    known = {"family": "marian", **metadata}
    return bart.build(name, facts, {**tensors, **tables}, known, norm_first=False)


def waves(context: int, rates: Array) -> Real:
    """Sin and cos of position·rate side by side, float32 (context, 2·rates), from float64."""
    if context * len(rates) > LARGEST_TABLE:
        raise SourceError(
            f"expected positions times rates of at most {LARGEST_TABLE}, found {context} times "
            f"{len(rates)}"
        )
    angles = np.arange(context, dtype=np.float64)[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
