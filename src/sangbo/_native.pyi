from typing import Any

from numpy.typing import NDArray

def available_kernels() -> list[str]: ...

class Stop:
    """A flag that ends a run from another thread."""

    def __init__(self) -> None: ...
    def set(self) -> None: ...
    def clear(self) -> None: ...

class Cache:
    @property
    def length(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    def truncate(self, length: int) -> None: ...

class Counts:
    def take(self, index: int) -> tuple[list[int], list[int]]: ...
    def take_totals(self) -> list[int]: ...

class Program:
    def __init__(self, isa: str, threads: int) -> None: ...
    def domain(self) -> int: ...
    def input(self, name: str, index: bool, domain: int, channels: int) -> int: ...
    def weight(
        self,
        values: NDArray[Any],
        bits: int,
        group: int,
        scale: NDArray[Any] | None,
        minimum: NDArray[Any] | None,
    ) -> int: ...
    def embedding(self, name: str, index: int, weight: int) -> int: ...
    def table(
        self,
        name: str,
        index: int,
        values: NDArray[Any],
        bits: int,
        group: int,
        scale: NDArray[Any] | None,
        minimum: NDArray[Any] | None,
    ) -> int: ...
    def select(self, name: str, source: int, rows: int) -> int: ...
    def linear(
        self, name: str, source: int, weight: int, threshold: float, bias: NDArray[Any] | None
    ) -> int: ...
    def neuron(
        self, name: str, source: int, inverse: NDArray[Any], lowest: int, highest: int
    ) -> int: ...
    def norm(
        self,
        name: str,
        source: int,
        layer: bool,
        weight: NDArray[Any],
        bias: NDArray[Any] | None,
        epsilon: float,
    ) -> int: ...
    def activation(self, name: str, source: int, gelu: bool) -> int: ...
    def binary(self, name: str, left: int, right: int, multiply: bool) -> int: ...
    def rotary(
        self,
        name: str,
        source: int,
        positions: int,
        cosine: NDArray[Any],
        sine: NDArray[Any],
        heads: int,
    ) -> int: ...
    def attention(
        self,
        name: str,
        query: int,
        key: int,
        value: int,
        heads: int,
        key_heads: int,
        causal: bool,
        highest: int,
        scale: float,
        inverse: float,
        threshold: float,
    ) -> int: ...
    def output(self, value: int) -> None: ...
    def finish(self) -> None: ...
    def run(
        self,
        rows: list[int],
        inputs: list[NDArray[Any]],
        outputs: list[NDArray[Any]],
        segments: list[tuple[Cache, int]],
        counts: Counts | None,
        stop: Stop | None,
    ) -> None: ...
    def cache(self, capacity: int) -> Cache: ...
    def counts(self) -> Counts: ...
    def tally(self, value: int, which: int) -> int: ...
    @property
    def isa(self) -> str: ...
    @property
    def threads(self) -> int: ...
    @property
    def packed_bytes(self) -> int: ...
