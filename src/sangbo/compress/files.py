"""``compressed.safetensors``: compressed tensors beside a graph's others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save_file

from sangbo.compress.allotted import Allotted
from sangbo.compress.coded import Coded
from sangbo.compress.generated import Generated, Recipe
from sangbo.errors import GraphError
from sangbo.graph import map_tensors

COMPRESSED_FILE = "compressed.safetensors"
FORMAT = "1"

Compressed: TypeAlias = Coded | Generated | Allotted

_ALLOTTED = {
    "rows": "uint8",
    "columns": "float16",
    "row_classes": "int8",
    "column_classes": "int8",
    "sizes": "uint32",
}
"""Tensors beside the code of an `Allotted`, and their types."""


def save(compressed: Mapping[str, Compressed], folder: Path) -> None:
    """Write ``compressed`` into the existing ``folder``; no file where there are none."""
    if not compressed:
        return
    tensors: dict[str, NDArray[Any]] = {}
    about: dict[str, dict[str, Any]] = {}
    for name, one in compressed.items():
        if isinstance(one, Coded):
            tensors[name] = one.code
            about[name] = {"kind": "coded", "dtype": one.dtype, "shape": list(one.shape)}
        elif isinstance(one, Allotted):
            tensors[name] = one.code
            tensors |= {f"{name}.{part}": getattr(one, part) for part in _ALLOTTED}
            about[name] = {"kind": "allotted"}
        else:
            recipe = one.recipe
            tensors[name] = np.ascontiguousarray(one.bits)
            tensors[f"{name}.coefficients"] = np.ascontiguousarray(one.coefficients)
            tensors[f"{name}.places"] = one.places
            tensors[f"{name}.values"] = one.values
            about[name] = {
                "kind": "generated",
                "shape": list(one.shape),
                "quarters": recipe.quarters,
                "state_bits": recipe.state_bits,
                "block": recipe.block,
            }
    path = folder / COMPRESSED_FILE
    save_file(tensors, path, {"format": FORMAT, "tensors": json.dumps(about)})
    path.chmod(0o644)  # the library lets nobody else read it


def load(folder: Path) -> dict[str, Compressed]:
    """What `save` wrote; nothing where there is no such file. Nothing is decoded yet.

    Raises:
        GraphError: where the file is broken or of another format.
    """
    path = folder / COMPRESSED_FILE
    if not path.exists():
        return {}
    mapped = map_tensors(path)
    with safetensors.safe_open(path, framework="np") as opened:
        metadata = opened.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise GraphError(f"expected {path} to be of format {FORMAT}, found another")
    try:
        about = json.loads(metadata["tensors"])
        found: dict[str, Compressed] = {}
        for name, entry in about.items():
            if entry["kind"] == "allotted":
                parts = {p: _typed(mapped[f"{name}.{p}"], t, 1) for p, t in _ALLOTTED.items()}
                found[name] = Allotted(**parts, code=_bytes(mapped[name], 1))
                continue
            shape = tuple(_whole(size) for size in entry["shape"])
            if entry["kind"] == "coded":
                found[name] = Coded(_bytes(mapped[name], 1), str(entry["dtype"]), shape)
            elif entry["kind"] == "generated" and len(shape) == 2:
                recipe = Recipe(*(_whole(entry[k]) for k in ("quarters", "state_bits", "block")))
                found[name] = Generated(
                    recipe,
                    (shape[0], shape[1]),
                    _bytes(mapped[name], 2),
                    _bytes(mapped[f"{name}.coefficients"], 2),
                    _typed(mapped[f"{name}.places"], "uint32", 1),
                    _typed(mapped[f"{name}.values"], "int8", 1),
                )
            else:
                raise GraphError(f"expected {name!r} in {path} to be coded, allotted or generated")
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise GraphError(f"{path} is malformed: {error!r}") from None
    return found


def decode(compressed: Mapping[str, Compressed], path: Path) -> dict[str, NDArray[Any]]:
    """All tensors; raises `GraphError`, naming ``path`` and tensor, where one does not decode."""
    tensors = {}
    for name, one in compressed.items():
        try:
            tensors[name] = one.tensor()
        except GraphError as error:
            raise GraphError(f"{path}: {name!r}: {error}") from None
    return tensors


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 < value < 2**31:
        raise ValueError(f"expected a positive whole number, found {value!r}")
    return value


def _bytes(tensor: NDArray[Any], axes: int) -> NDArray[np.uint8]:
    return _typed(tensor, "uint8", axes)


def _typed(tensor: NDArray[Any], dtype: str, axes: int) -> NDArray[Any]:
    if tensor.dtype.name != dtype or tensor.ndim != axes:
        raise ValueError(
            f"expected {dtype} of {axes} axes, found {tensor.dtype.name} of {tensor.ndim}"
        )
    return tensor
