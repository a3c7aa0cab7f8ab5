"""What a source gives: a float graph, its tokenizer, and the grids that its file held."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import SourceError
from sangbo.graph import Graph
from sangbo.progress import Progress, silent
from sangbo.sources.tokenizer import Tokenizer

Array: TypeAlias = NDArray[Any]
Real: TypeAlias = NDArray[np.float32]

_CHUNK = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A matrix as integers on a grid, in the storage form of `sangbo.graph.Weight`.

    ``W = scale·q + minimum``, where the last term is absent for 8 bits.

    Attributes:
        bits: 8, or 4 for two values to a byte, the even input in the low half.
        group: neighbouring inputs that share one scale.
        values: (outputs, inputs) int8, or (outputs, inputs // 2) uint8 for 4 bits.
        scale: (outputs, inputs // group) float16.
        minimum: as the scale; None for 8 bits.
    """

    bits: int
    group: int
    values: Array
    scale: Array
    minimum: Array | None = None

    def reals(self) -> Real:
        """W, float32 (outputs, inputs): fl(scale·q), then fl(… + minimum).

        A float16 times an integer below 2¹³ fits a float32, so only the addition rounds.
        """
        rows, groups = self.scale.shape
        values = np.empty((rows, groups, self.group), np.float32)
        if self.bits == 4:
            packed = self.values.reshape(rows, groups, self.group // 2)
            np.bitwise_and(packed, 15, out=values[..., 0::2], casting="unsafe")
            np.right_shift(packed, 4, out=values[..., 1::2], casting="unsafe")
        else:
            values[...] = self.values.reshape(values.shape)
        values *= self.scale.astype(np.float32)[..., None]
        if self.minimum is not None:
            values += self.minimum.astype(np.float32)[..., None]
        return values.reshape(rows, groups * self.group)

    def take(self, rows: Array) -> Grid:
        """The grid of the chosen rows of the matrix, in their order."""
        minimum = None if self.minimum is None else self.minimum[rows]
        return Grid(self.bits, self.group, self.values[rows], self.scale[rows], minimum)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A network as it was found.

    Attributes:
        graph: the float graph.
        tokenizer: text to token ids and back; None where the source carries none.
        grids: for tensors that the file held as integers, that form, by tensor name; its
            `Grid.reals` are exactly the graph's tensor.
        origin: where it came from: kind, place, licence, SHA-256 of each file …; JSON values.
    """

    graph: Graph
    tokenizer: Tokenizer | None = None
    grids: Mapping[str, Grid] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)


def sha256_of(path: Path, progress: Progress = silent) -> str:
    """SHA-256 of a file, in hexadecimal digits; raises `SourceError` where it cannot be read."""
    digest = hashlib.sha256()
    done = 0
    try:
        size = max(1, path.stat().st_size)
        with path.open("rb") as opened:
            while chunk := opened.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                progress(f"checking {path.name}", done / size)
    except OSError as error:
        raise SourceError(f"expected to read {path}: {error.strerror}") from None
    return digest.hexdigest()
