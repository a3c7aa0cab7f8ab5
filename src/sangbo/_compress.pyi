import numpy as np
from numpy.typing import NDArray

def encode8(symbols: NDArray[np.uint8]) -> bytes: ...
def encode16(symbols: NDArray[np.uint16]) -> bytes: ...
def decode8(code: NDArray[np.uint8], symbols: NDArray[np.uint8]) -> None: ...
def decode16(code: NDArray[np.uint8], symbols: NDArray[np.uint16]) -> None: ...
def block_bytes(count: int, length: int, quarters: int) -> int: ...
def generate(
    bits: NDArray[np.uint8],
    coefficients: NDArray[np.uint8],
    blocks: list[int],
    length: int,
    quarters: int,
    weights: NDArray[np.int8],
) -> None: ...

class Search:
    def __init__(self, length: int, quarters: int) -> None: ...
    def find(
        self,
        target: NDArray[np.float32],
        importance: NDArray[np.float32],
        coefficient: int,
        block: NDArray[np.uint8],
        weights: NDArray[np.int8],
    ) -> float: ...
