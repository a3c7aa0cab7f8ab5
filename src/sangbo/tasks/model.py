"""A network that runs: an engine and what its graph and tokenizer know of its task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sangbo.engines.base import Engine
from sangbo.errors import SangboError
from sangbo.graph import Graph
from sangbo.sources import Tokenizer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Model:
    """What every task works with: the original on one engine or the converted on another.

    Attributes:
        engine: runs the graph.
        tokenizer: text to token ids and back, where the network reads or writes text.
    """

    engine: Engine[Any]
    tokenizer: Tokenizer | None = None

    @property
    def graph(self) -> Graph:
        """What is run."""
        return self.engine.graph

    def fact(self, key: str, kind: type[T]) -> T:
        """A fact of the graph's metadata; `SangboError` where it is missing or of another type."""
        found = self.graph.metadata.get(key)
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise SangboError(
                f"expected {self.graph.name} to state {key!r} as {kind.__name__}, found {found!r}"
            )
        return found

    def facts(self, key: str) -> Mapping[str, Any]:
        """A group of facts of the graph's metadata."""
        return self.fact(key, dict)

    def text(self) -> Tokenizer:
        """The tokenizer; `SangboError` where there is none."""
        if self.tokenizer is None:
            raise SangboError(f"expected {self.graph.name} to have a tokenizer, found none")
        return self.tokenizer
