"""Marian networks as transformers writes them: BART's modules with given positions.

Junczys-Dowmunt et al. 2018, arXiv 1804.00344. For the binary files of Marian itself, see
`sangbo.sources.bergamot`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sangbo.errors import SourceError
from sangbo.graph import Graph
from sangbo.sources import bart
from sangbo.sources.facts import Facts, read_json
from sangbo.sources.sentencepiece import read_sentencepiece
from sangbo.sources.source import Array, Real
from sangbo.sources.tokenizer import Tokenizer

DERIVED = (".embed_positions.weight",)
"""The waves, which follow from the width."""

VOCABULARY = ("source.spm", "vocab.json")
"""Pieces of the source language with probabilities; ids of the pieces of both languages."""

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


def read_vocabulary(folder: Path) -> Tokenizer | None:
    """The vocabulary that both languages share, None where ``folder`` has none.

    Raises:
        SourceError: where a file is broken, or an id is no whole number.
        UnsupportedError: where the pieces are of another kind than `sentencepiece` reads.
    """
    pieces, ids = (folder / name for name in VOCABULARY)
    if not (pieces.exists() and ids.exists()):
        return None
    numbers = read_json(ids).values
    if not all(type(number) is int for number in numbers.values()):
        raise SourceError(f"expected whole numbers in {ids}, found others")
    return read_sentencepiece(pieces, ends=True, numbers=numbers)


def waves(context: int, rates: Array) -> Real:
    """Sin and cos of position·rate side by side, float32 (context, 2·rates), from float64."""
    if context * len(rates) > LARGEST_TABLE:
        raise SourceError(
            f"expected positions times rates of at most {LARGEST_TABLE}, found {context} times "
            f"{len(rates)}"
        )
    angles = np.arange(context, dtype=np.float64)[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
