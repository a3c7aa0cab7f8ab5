from collections.abc import Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray

Stored: TypeAlias = tuple[NDArray[Any], int, int, NDArray[Any] | None, NDArray[Any] | None]
"""Values, bits, group, scale and minimum of a weight."""

Sizes: TypeAlias = tuple[int, ...]
"""Size, kernel, stride, padding before, dilation, spread and outputs of a window."""

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
    """See src/native/program.hpp; axes, values and weights are numbers."""

    def __init__(self, isa: str, threads: int) -> None: ...
    def axis(self) -> int: ...
    def input(self, name: str, index: bool, axis: int, each: int, channels: int) -> int: ...
    def weight(self, weight: Stored) -> int: ...
    def embedding(self, name: str, index: int, weight: int) -> int: ...
    def table(self, name: str, index: int, weight: Stored) -> int: ...
    def select(self, name: str, source: int, rows: int) -> int: ...
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
    def activation(self, name: str, source: int, function: str, slope: float) -> int: ...
    def softmax(self, name: str, source: int, chosen: int) -> int: ...
    def affine(
        self, name: str, source: int, weight: NDArray[Any] | None, bias: NDArray[Any] | None
    ) -> int: ...
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
    def reshape(self, name: str, source: int, each: int, channels: int) -> int: ...
    def gather(
        self, name: str, source: int, rows: Sequence[int], channels: Sequence[int]
    ) -> int: ...
    def beside(self, name: str, values: Sequence[int]) -> int: ...
    def in_turn(self, name: str, values: Sequence[int], lengths: Sequence[int]) -> int: ...
    def constant(self, name: str, like: int, tensor: NDArray[Any], channels: int) -> int: ...
    def pool(
        self, name: str, source: int, largest: bool, windows: Sequence[Sizes], outside: bool
    ) -> int: ...
    def linear(
        self,
        name: str,
        source: int,
        gate: int | None,
        weight: int,
        threshold: float,
        bias: NDArray[Any] | None,
    ) -> int: ...
    def convolution(
        self,
        name: str,
        source: int,
        weight: Stored,
        windows: Sequence[Sizes],
        groups: int,
        threshold: float,
        bias: NDArray[Any] | None,
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
        cached: bool,
        highest: int,
        scale: float,
        inverse: float,
        threshold: float,
        distances: NDArray[Any] | None,
    ) -> int: ...
    def recurrent(
        self,
        name: str,
        source: int,
        initial: int | None,
        weight: int | None,
        bias: NDArray[Any] | None,
        cell: str,
        size: int,
        reverse: bool,
        whole: bool,
        lowest: int,
        highest: int,
        inverse: float,
        threshold: float,
    ) -> int: ...
    def classify(self, value: int, classes: Sequence[int]) -> None: ...
    def output(self, value: int) -> None: ...
    def finish(self) -> None: ...
    def run(
        self,
        rows: Sequence[int],
        inputs: Sequence[NDArray[Any]],
        outputs: Sequence[NDArray[Any]],
        segments: Sequence[tuple[Cache, Sequence[int]]],
        counts: Counts | None,
        stop: Stop | None,
    ) -> None: ...
    def cache(self, capacity: int) -> Cache: ...
    def counts(self) -> Counts: ...
    def tally(self, value: int) -> int: ...
    def total(self, value: int) -> int: ...
    @property
    def isa(self) -> str: ...
    @property
    def threads(self) -> int: ...
    @property
    def packed_bytes(self) -> int: ...
