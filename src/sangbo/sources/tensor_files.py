"""Networks in files that hold tensors and no configuration: the tensors' names tell the family.

NumPy archives (``.npz``), safetensors, and PyTorch's files, which are only read as tensors and need
the extra ``torch``. A new family is one module with `Family`'s two names, and one entry in
`FAMILIES`.
"""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sangbo.errors import GraphError, SourceError, UnsupportedError
from sangbo.extras import need
from sangbo.graph import Graph, map_tensors
from sangbo.progress import Progress, silent
from sangbo.sources import crnn, dcgan, efficientnet, g2p, silero
from sangbo.sources.folding import COUNTER
from sangbo.sources.source import Array, Source, sha256_of

ARCHIVE, SAFETENSORS = ".npz", ".safetensors"
PYTORCH = (".pth", ".pt", ".tar")
SUFFIXES = (ARCHIVE, SAFETENSORS, *PYTORCH)
LARGEST_ARCHIVE = 2**30
PARALLEL = "module."
"""What PyTorch puts before the names of a network trained on several devices."""

_REALS = ("float16", "float32")


class Family(Protocol):
    """How to read the networks of one family.

    Attributes:
        MARK: a tensor that only these networks have.
    """

    MARK: str

    def from_tensors(
        self, name: str, tensors: Mapping[str, Array], where: str, metadata: Mapping[str, Any]
    ) -> Graph:
        """The graph of the tensors in the file ``where``."""


FAMILIES: tuple[Family, ...] = (g2p, silero, efficientnet, crnn, dcgan)


def read_tensor_file(path: Path, progress: Progress = silent, name: str | None = None) -> Source:
    """Read the network in a file of tensors.

    Args:
        path: the file; what it is follows from its ending, one of `SUFFIXES`.
        progress: told how far the reading is.
        name: what to call the network; by default the file's name.

    Raises:
        SourceError: where the file is broken.
        UnsupportedError: where no family has such tensors.
        MissingExtraError: where it is PyTorch's and PyTorch is not installed.
    """
    called = name or path.stem
    metadata = {"source": path.name, "licence": "unknown"}
    for held in _read(path):
        tensors = {n.removeprefix(PARALLEL): t for n, t in held.items()}
        for family in FAMILIES:
            if family.MARK in tensors:
                graph = family.from_tensors(called, _reals(tensors, path), str(path), metadata)
                origin = {
                    "kind": "tensors",
                    "file": path.name,
                    "licence": "unknown",
                    "sha256": {path.name: sha256_of(path, progress)},
                }
                return Source(graph, None, {}, origin)
    marks = ", ".join(repr(family.MARK) for family in FAMILIES)
    raise UnsupportedError(f"expected one of the tensors {marks} in {path}, found none")


def _read(path: Path) -> list[dict[str, Array]]:
    """The sets of tensors in a file."""
    suffix = path.suffix.lower()
    if suffix == ARCHIVE:
        return [read_archive(path)]
    if suffix == SAFETENSORS:
        try:
            return [map_tensors(path)]
        except GraphError as error:
            raise SourceError(str(error)) from None
    return read_pytorch(path)


def read_archive(path: Path) -> dict[str, Array]:
    """The arrays of a NumPy archive, none of which may hold objects.

    Raises:
        SourceError: where it is broken, or larger than `LARGEST_ARCHIVE` once unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
            if size > LARGEST_ARCHIVE:
                raise SourceError(
                    f"expected {path} to unpack to at most {LARGEST_ARCHIVE} bytes, found {size}"
                )
            arrays: dict[str, Array] = {}
            for info in archive.infolist():
                content = archive.read(info)
                arrays[info.filename.removesuffix(".npy")] = _array(content, info.filename)
            return arrays
    except OSError as error:
        raise SourceError(f"expected to read {path}: {error.strerror or error}") from None
    except (
        zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
    ) as error:  # fmt: skip
        raise SourceError(f"expected {path} to be a NumPy archive: {error}") from None


def _array(content: bytes, name: str) -> Array:
    """An array of NumPy's format, whose size is that of its bytes."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"{name} has the version {version} of NumPy's format")
    try:
        shape, by_column, dtype = read(stream)
    except (SyntaxError, TypeError, RecursionError, tokenize.TokenError) as error:
        raise ValueError(f"{name} has a broken header: {error}") from None
    rest = content[stream.tell() :]
    if dtype.hasobject or len(rest) != int(np.prod(shape, dtype=object)) * dtype.itemsize:
        raise ValueError(f"{name} has {len(rest)} bytes for {dtype}{list(shape)}")
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if by_column else "C")


def read_pytorch(path: Path) -> list[dict[str, Array]]:
    """The sets of tensors in a file of PyTorch: the whole, or those that it holds by name.

    Raises:
        MissingExtraError: where PyTorch is not installed.
        SourceError: where the file is broken, or holds more than tensors and plain values.
    """
    need("torch", "torch")
    import torch

    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
        first = str(error).strip().partition("\n")[0]
        raise SourceError(f"expected {path} to hold PyTorch's tensors alone: {first}") from None

    def arrays(part: Any) -> dict[str, Array]:
        found = part.items() if isinstance(part, dict) else ()
        return {
            n: t.detach().numpy() if t.dtype != torch.bfloat16 else t.float().numpy()
            for n, t in found
            if isinstance(n, str) and isinstance(t, torch.Tensor) and t.layout == torch.strided
        }

    inner = held.values() if isinstance(held, dict) else ()
    return [found for part in (held, *inner) if (found := arrays(part))]


def _reals(tensors: Mapping[str, Array], path: Path) -> dict[str, Array]:
    """Float tensors as float32; counters of batches are left out."""
    reals: dict[str, Array] = {}
    for name, values in tensors.items():
        if name.endswith(COUNTER):
            continue
        if values.dtype.name not in _REALS:
            raise UnsupportedError(f"tensor {name!r} in {path} has type {values.dtype.name}")
        reals[name] = np.ascontiguousarray(values, np.float32)
    return reals
