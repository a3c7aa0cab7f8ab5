"""A graph on disk: ``graph.json`` beside ``weights.safetensors``, memory-mapped when read."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save_file

from sangbo.errors import GraphError
from sangbo.graph.graph import Graph, Tensors
from sangbo.graph.operations import OPERATIONS, Operation
from sangbo.graph.types import ValueType
from sangbo.graph.weight import Weight

FORMAT = 1
GRAPH_FILE = "graph.json"
WEIGHTS_FILE = "weights.safetensors"
LARGEST_GRAPH_FILE = 64 * 2**20


def save(graph: Graph, folder: Path, beside: Collection[str] = ()) -> None:
    """Write ``graph`` into the existing ``folder``, but for the tensors that lie ``beside`` it."""
    document = {
        "format": FORMAT,
        "name": graph.name,
        "inputs": {n: {"kind": t.kind, "shape": list(t.shape)} for n, t in graph.inputs.items()},
        "outputs": list(graph.outputs),
        "operations": [_encode(o) for o in graph.operations],
        "metadata": dict(graph.metadata),
    }
    (folder / GRAPH_FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    tensors = {n: np.asarray(t, order="C") for n, t in graph.tensors.items() if n not in beside}
    save_file(tensors, folder / WEIGHTS_FILE)
    (folder / WEIGHTS_FILE).chmod(0o644)  # the library lets nobody else read it


def load(folder: Path, beside: Tensors | None = None) -> Graph:
    """Read and check the graph in ``folder``; its tensors stay on disk until they are used.

    Args:
        folder: what `save` wrote into.
        beside: the tensors that lay beside it.

    Raises:
        GraphError: where a file is missing, broken or of another format, or the graph does not
            check.
    """
    document = _read_json(folder / GRAPH_FILE)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise GraphError(f"expected {folder / GRAPH_FILE} to be a graph of format {FORMAT}")
    try:
        return Graph(
            name=_expect(document["name"], str, "name"),
            inputs={n: _value_type(t) for n, t in document["inputs"].items()},
            operations=tuple(_decode(o) for o in document["operations"]),
            outputs=tuple(_expect(n, str, "outputs") for n in document["outputs"]),
            tensors={**map_tensors(folder / WEIGHTS_FILE), **(beside or {})},
            metadata=_expect(document["metadata"], dict, "metadata"),
        )
    except KeyError as error:
        raise GraphError(f"expected a key {error} in {folder / GRAPH_FILE}, found none") from None
    except (TypeError, AttributeError) as error:
        raise GraphError(f"{folder / GRAPH_FILE} is malformed: {error}") from None


def map_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Tensors of a safetensors file as read-only views of the memory-mapped file.

    The library checks the header (sizes, overlaps, bounds); the views share the file's pages.
    bfloat16, which NumPy lacks, is widened to float32 in memory.
    """
    try:
        with safetensors.safe_open(path, framework="np") as opened:  # checks the whole header
            names = list(opened.keys())
        mapped = np.memmap(path, dtype=np.uint8, mode="r")
        length = int(mapped[:8].view("<u8")[0])
        header = json.loads(bytes(mapped[8 : 8 + length]))
    except FileNotFoundError:
        raise GraphError(f"expected weights in {path}, found no such file") from None
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise GraphError(f"expected {path} to be a safetensors file: {error}") from None
    tensors: dict[str, NDArray[Any]] = {}
    for name in names:
        entry = header[name]
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            raise GraphError(
                f"expected {name!r} in {path} to be one of {', '.join(_DTYPES)}, "
                f"found {entry['dtype']}"
            )
        start, stop = (8 + length + offset for offset in entry["data_offsets"])
        tensor = np.frombuffer(mapped[start:stop], dtype).reshape(entry["shape"])
        if entry["dtype"] == "BF16":  # the upper half of a float32
            tensor = (tensor.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = tensor
    return tensors


_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "U32": "<u4", "BOOL": "?",
}  # fmt: skip


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST_GRAPH_FILE:
            raise GraphError(f"expected {path} to be at most {LARGEST_GRAPH_FILE} bytes")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GraphError(f"expected a graph in {path}, found no such file") from None
    except (ValueError, RecursionError, OSError) as error:
        raise GraphError(f"expected {path} to hold JSON: {error}") from None


def _value_type(entry: Mapping[str, Any]) -> ValueType:
    kind = entry["kind"]
    if kind not in ("real", "index"):
        raise GraphError(f"expected an input to be real or index, found {kind!r}")
    shape = tuple(entry["shape"])
    if not all(isinstance(d, str) or (type(d) is int and d > 0) for d in shape):
        raise GraphError(f"expected positive sizes and names in a shape, found {list(shape)}")
    return ValueType(kind, shape)


def _encode(operation: Operation) -> dict[str, Any]:
    fields = {
        f.name: getattr(operation, f.name)
        for f in dataclasses.fields(operation)
        if getattr(operation, f.name) != f.default
    }
    return {"type": type(operation).__name__} | {
        n: dataclasses.asdict(v) if isinstance(v, Weight) else v for n, v in fields.items()
    }


def _decode(entry: Mapping[str, Any]) -> Operation:
    kind = entry["type"]
    if kind not in OPERATIONS:
        raise GraphError(f"expected one of {', '.join(OPERATIONS)}, found operation {kind!r}")
    decoded: Operation = _construct(
        OPERATIONS[kind], {n: v for n, v in entry.items() if n != "type"}
    )
    return decoded


def _construct(cls: Any, entry: Mapping[str, Any]) -> Any:
    """Build dataclass ``cls`` from JSON, each field checked against its declared type."""
    hints = get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}
    unknown = entry.keys() - known
    if unknown:
        raise GraphError(
            f"expected {cls.__name__} to have {sorted(known)}, found {sorted(unknown)}"
        )
    return cls(**{n: _expect(v, hints[n], f"{cls.__name__}.{n}") for n, v in entry.items()})


def _expect(value: Any, hint: Any, where: str) -> Any:
    """Return ``value`` as ``hint`` or raise; ints pass for floats, dicts for weights."""
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return None
        hint = next(a for a in get_args(hint) if a is not type(None))
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
    elif get_origin(hint) is tuple and isinstance(value, list):
        inner = get_args(hint)
        each = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        if len(each) == len(value):
            return tuple(_expect(v, h, where) for v, h in zip(value, each, strict=True))
    elif hint is Weight and isinstance(value, dict):
        return _construct(Weight, value)
    elif hint is float and type(value) in (int, float):
        return float(value)
    elif type(value) is hint:
        return value
    raise GraphError(f"expected {where} to be {getattr(hint, '__name__', hint)}, found {value!r}")
