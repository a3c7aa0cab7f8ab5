"""NIR: graphs of spiking networks as other frameworks exchange them (Pedersen et al. 2024).

A file is HDF5: a group ``node`` with ``type``, ``nodes`` and ``edges``, nested where a node is a
graph itself. Here every graph is flat: nodes of subgraphs are called ``subgraph.node``.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import SourceError, UnsupportedError
from sangbo.extras import need

EXTRA = "nir"
VERSION = "1.0"
"""Of the files that `write` makes."""

LARGEST_BYTES = 8 * 2**30
"""Of all arrays of a file, before any is read."""
LARGEST_EXPANSION = 1100
"""Bytes of arrays to a byte of file: what deflate can reach, and nothing honest passes."""
MOST_NODES = 100_000
DEEPEST = 16

Parameters: TypeAlias = dict[str, Any]

FIELDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Input": (("shape",), ()),
    "Output": (("shape",), ()),
    "Linear": (("weight",), ()),
    "Affine": (("weight", "bias"), ()),
    "Scale": (("scale",), ()),
    "Conv1d": (("weight", "stride", "padding", "dilation", "groups", "bias"), ("input_shape",)),
    "Conv2d": (("weight", "stride", "padding", "dilation", "groups", "bias"), ("input_shape",)),
    "SumPool2d": (("kernel_size", "stride", "padding"), ()),
    "AvgPool2d": (("kernel_size", "stride", "padding"), ()),
    "Flatten": (("start_dim", "end_dim"), ("input_type",)),
    "Delay": (("delay",), ()),
    "Threshold": (("threshold",), ()),
    "I": (("r",), ()),
    "IF": (("r", "v_threshold"), ("v_reset",)),
    "LI": (("tau", "r", "v_leak"), ()),
    "LIF": (("tau", "r", "v_leak", "v_threshold"), ("v_reset",)),
    "CubaLI": (("tau_syn", "tau_mem", "r", "v_leak"), ("w_in",)),
    "CubaLIF": (("tau_syn", "tau_mem", "r", "v_leak", "v_threshold"), ("v_reset", "w_in")),
}
"""Every kind of node: the numbers that it must have, and those that it may have."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One node: its kind, a key of `FIELDS`, and its numbers as arrays; ``padding`` may be text."""

    kind: str
    parameters: Parameters

    def number(self, name: str) -> NDArray[np.float64]:
        """The parameter ``name`` as float64."""
        return np.asarray(self.parameters[name], np.float64)

    def pair(self, name: str) -> tuple[int, int]:
        """The whole number or pair ``name``, as a pair."""
        values = np.atleast_1d(np.asarray(self.parameters[name])).ravel()
        if values.size not in (1, 2) or (values != np.round(values)).any() or (values < 0).any():
            raise SourceError(f"expected {name} of one or two whole numbers, found {values[:4]}")
        first, last = int(values[0]), int(values[-1])
        return first, last


@dataclass(frozen=True, slots=True, eq=False)
class NIRGraph:
    """A flat graph: nodes by name, and edges (from, to)."""

    nodes: dict[str, Node]
    edges: tuple[tuple[str, str], ...]

    def sources(self, name: str) -> list[str]:
        """What edges lead from to ``name``."""
        return [a for a, b in self.edges if b == name]

    def to_dict(self) -> dict[str, Any]:
        """As the ``nir`` package's ``to_dict`` has it."""
        nodes = {n: {"type": node.kind, **node.parameters} for n, node in self.nodes.items()}
        return {"type": "NIRGraph", "nodes": nodes, "edges": list(self.edges)}


def read(path: str | Path) -> NIRGraph:
    """The graph that a NIR file holds. Sizes are checked before anything is read.

    Raises:
        SourceError: it is no NIR file, or one that is hostile or too large.
        UnsupportedError: it has a kind of node that is not in `FIELDS`.
        MissingExtraError: h5py is not installed.
    """
    need(EXTRA, "h5py")
    import h5py

    try:
        size = Path(path).stat().st_size
        with h5py.File(path, "r") as file:
            reader = _Reader(min(LARGEST_BYTES, LARGEST_EXPANSION * size))
            document = reader.group(file, "node", DEEPEST)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        reason = str(error).strip("'\"") or type(error).__name__
        raise SourceError(f"expected a NIR file in {path}, found: {reason}") from None
    return from_dict(document)


def from_dict(document: Mapping[str, Any]) -> NIRGraph:
    """The graph that ``nir.NIRGraph.to_dict()`` gives, flat and checked.

    Raises:
        SourceError: something is missing, has the wrong kind, or is not finite.
        UnsupportedError: it has a kind of node that is not in `FIELDS`.
    """
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    if _text(document.get("type", "")) != "NIRGraph":
        node = _node("node", document)
        return NIRGraph({"node": node}, ())
    _flatten("", document, nodes, edges, DEEPEST)
    return NIRGraph(nodes, tuple(edges))


def write(path: str | Path, graph: NIRGraph) -> None:
    """Write ``graph`` to a NIR file, in one step.

    Raises:
        SourceError: it cannot be written.
        MissingExtraError: h5py is not installed.
    """
    need(EXTRA, "h5py")
    import h5py

    target = Path(path)
    new = None
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
        new = Path(name)
        with h5py.File(new, "w") as file:
            file.create_dataset("version", data=VERSION, dtype=h5py.string_dtype())
            root = file.create_group("node")
            root.create_dataset("type", data="NIRGraph", dtype=h5py.string_dtype())
            root.create_dataset("edges", data=graph.edges, dtype=h5py.string_dtype())
            nodes = root.create_group("nodes")
            for key, node in graph.nodes.items():
                group = nodes.create_group(key)
                group.create_dataset("type", data=node.kind, dtype=h5py.string_dtype())
                for parameter, value in node.parameters.items():
                    if isinstance(value, str):
                        group.create_dataset(parameter, data=value, dtype=h5py.string_dtype())
                    else:
                        array = np.asarray(value)
                        group.create_dataset(
                            parameter, data=array, compression="gzip" if array.ndim else None
                        )
        new.chmod(0o644)
        new.replace(target)
    except (OSError, ValueError, RuntimeError) as error:
        raise SourceError(f"expected to write {path}, found: {error}") from None
    finally:
        if new is not None:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)


class _Reader:
    """Reads groups of HDF5 as dictionaries, within a budget of bytes and of nodes."""

    def __init__(self, budget: int) -> None:
        self._budget, self._nodes = budget, 0

    def group(self, parent: Any, name: str, depth: int) -> dict[str, Any]:
        import h5py

        if depth == 0:
            raise ValueError(f"graphs within graphs, more than {DEEPEST} deep")
        found: dict[str, Any] = {}
        for key, item in self._items(_hard(parent, name), depth):
            if isinstance(item, h5py.Group):
                found[key] = {} if key == "metadata" else self.group(item.parent, key, depth - 1)
            else:
                found[key] = self._array(item)
        return found

    def _items(self, group: Any, depth: int) -> Iterator[tuple[str, Any]]:
        import h5py

        if not isinstance(group, h5py.Group):
            raise TypeError(f"a data set where a group belongs: {group.name}")
        for key in group:
            self._nodes += 1
            if self._nodes > MOST_NODES * 8:
                raise ValueError(f"more than {MOST_NODES} nodes")
            yield key, _hard(group, key)

    def _array(self, item: Any) -> Any:
        import h5py

        if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
            raise TypeError(f"data that lies elsewhere: {item.name}")
        if item.shape is None:
            raise ValueError(f"no data in {item.name}")
        text = h5py.check_string_dtype(item.dtype)
        if text is None and item.dtype.kind not in "iufb":
            raise TypeError(f"{item.name} of type {item.dtype}")
        # Text of any length has no size before it is read; a name is short.
        self._budget -= item.size * (256 if text is not None else item.dtype.itemsize)
        if self._budget < 0:
            raise ValueError(f"arrays larger than the file may hold: {item.name} {item.shape}")
        return item[()]


def _hard(group: Any, key: str) -> Any:
    import h5py

    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise TypeError(f"a link to elsewhere: {key}")
    return group[key]


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        raise SourceError(f"expected text, found {type(value).__name__}")
    return str(value)


def _flatten(
    prefix: str,
    document: Mapping[str, Any],
    nodes: dict[str, Node],
    edges: list[tuple[str, str]],
    depth: int,
) -> tuple[list[str], list[str]]:
    """Add a graph's nodes and edges; returns the names of its inputs and of its outputs."""
    if depth == 0:
        raise SourceError(f"expected graphs at most {DEEPEST} deep in graphs")
    inner, listed = document.get("nodes"), document.get("edges")
    if not isinstance(inner, Mapping) or listed is None:
        raise SourceError("expected nodes and edges in a NIR graph")
    ends: dict[str, tuple[list[str], list[str]]] = {}
    for key, node in inner.items():
        name = prefix + str(key)
        if not isinstance(node, Mapping):
            raise SourceError(f"expected a node in {name}, found {type(node).__name__}")
        if _text(node.get("type", "")) == "NIRGraph":
            ends[str(key)] = _flatten(name + ".", node, nodes, edges, depth - 1)
        else:
            if len(nodes) >= MOST_NODES:
                raise SourceError(f"expected at most {MOST_NODES} nodes")
            nodes[name] = _node(name, node)
            ends[str(key)] = [name], [name]
    for pair in listed:
        if len(pair) != 2:
            raise SourceError(f"expected edges of two names, found {pair}")
        a, b = _text(pair[0]), _text(pair[1])
        for end in (a, b):
            if end not in ends:
                raise SourceError(f"expected edges between nodes, found {end!r}, which is none")
        edges.extend((x, y) for x in ends[a][1] for y in ends[b][0])
    kinds = {prefix + str(key): nodes.get(prefix + str(key)) for key in inner}
    return (
        [n for n, node in kinds.items() if node is not None and node.kind == "Input"],
        [n for n, node in kinds.items() if node is not None and node.kind == "Output"],
    )


def _node(name: str, document: Mapping[str, Any]) -> Node:
    kind = _text(document.get("type", ""))
    if kind not in FIELDS:
        raise UnsupportedError(f"expected nodes of {', '.join(FIELDS)}, found {kind!r} ({name})")
    required, optional = FIELDS[kind]
    found: Parameters = {}
    for key in (*required, *optional):
        value = document.get(key)
        if value is None:
            if key in required:
                raise SourceError(f"expected {key} in {kind} {name}, found none")
            continue
        if isinstance(value, str | bytes):
            found[key] = _text(value)
            if key != "padding" or found[key] not in ("same", "valid"):
                raise SourceError(f"expected numbers in {key} of {name}, found {found[key]!r}")
            continue
        array = np.asarray(value)
        if array.dtype.kind not in "iufb" or not np.isfinite(array).all():
            raise SourceError(f"expected finite numbers in {key} of {name}, found others")
        found[key] = array
    return Node(kind, found)
