"""Weights that a pseudo-random generator makes again from seeds and a few coefficients.

Every column of a matrix (all weights that one input has) is cut into blocks. A block is a seed of L
bits, one coefficient c of 8 bits, and k fresh bits for each weight, which keep the generator from
running away from the weights that are wanted:

    s ← ((s << k) | fresh) mod 2^L;  q = clamp(c·g(s)/256);  W = scale_row·q

where g stirs the state and adds up its four bytes, so that its numbers look normally distributed,
as weights do. No table is stored, neither in the file nor on a chip. The search for seed and bits
is Viterbi's, exact for its block. Public relatives: SeedLM (arXiv 2410.10714) searches seeds of a
shift register, whose numbers few coefficients combine, and takes no fresh bits; QTIP (arXiv
2406.11235) searches such trellises for numbers that are computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import GraphError

Bytes = NDArray[np.uint8]

STATE_BITS = 12
LONGEST_BLOCK = 1024
LARGEST_SIDE = 2**20
DEVIATION = 146.6
"""Standard deviation of the generator's numbers, before the coefficient."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How weights are generated.

    Attributes:
        quarters: fresh bits per weight times four, 4 to 20.
        state_bits: L, 8 to 16.
        block: most weights of a block.
    """

    quarters: int
    state_bits: int = STATE_BITS
    block: int = LONGEST_BLOCK

    def check(self) -> None:
        """Raise `GraphError` where no weights are generated so."""
        if not 4 <= self.quarters <= 20 or not 8 <= self.state_bits <= 16:
            raise GraphError(f"expected 1 to 5 bits and states of 8 to 16 bits, found {self}")
        if -(-self.quarters // 4) + 3 > self.state_bits or not 1 <= self.block <= LONGEST_BLOCK:
            raise GraphError(f"expected longer states, and blocks up to 1024, found {self}")

    def blocks(self, outputs: int) -> list[slice]:
        """The blocks of a column of ``outputs`` weights, as even as can be."""
        count = -(-outputs // self.block)
        edges = [outputs * i // count for i in range(count + 1)]
        return [slice(a, b) for a, b in pairwise(edges)]

    def sizes(self, outputs: int) -> list[int]:
        """Bytes of each block of a column."""
        return [
            (self.state_bits + (s.stop - s.start) * self.quarters // 4 + 7) // 8
            for s in self.blocks(outputs)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Generated:
    """What the integers of one matrix are made of.

    Attributes:
        recipe: how.
        shape: (outputs, inputs).
        bits: seeds and fresh bits, (inputs, bytes of a column).
        coefficients: (inputs, blocks of a column), uint8.
        places: of those few integers that no generator reaches, counted row by row, uint32.
        values: what stands there, int8.
    """

    recipe: Recipe
    shape: tuple[int, int]
    bits: Bytes
    coefficients: Bytes
    places: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    values: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))

    @property
    def nbytes(self) -> int:
        """Bytes that are read to make the integers."""
        parts = (self.bits, self.coefficients, self.places, self.values)
        return sum(part.nbytes for part in parts)

    @property
    def symbols(self) -> int:
        """How many numbers are generated."""
        return self.shape[0] * self.shape[1]

    def tensor(self) -> NDArray[np.int8]:
        """The integers, int8 (outputs, inputs).

        Raises:
            GraphError: where the parts do not fit each other.
        """
        self.recipe.check()
        outputs, inputs = self.shape
        if not (1 <= outputs <= LARGEST_SIDE and 1 <= inputs <= LARGEST_SIDE):
            raise GraphError(f"expected a matrix of generated weights, found {self.shape}")
        blocks, sizes = self.recipe.blocks(outputs), self.recipe.sizes(outputs)
        if self.bits.shape != (inputs, sum(sizes)) or self.coefficients.shape != (
            inputs,
            len(blocks),
        ):
            raise GraphError(
                f"expected {inputs} columns of {sum(sizes)} bytes and {len(blocks)} coefficients, "
                f"found {self.bits.shape} and {self.coefficients.shape}"
            )
        if self.places.shape != self.values.shape or (
            self.places.size and self.places.max() >= outputs * inputs
        ):
            raise GraphError("expected a value for each place within the matrix, found others")
        from sangbo import _compress  # needed where something is compressed, and nowhere else

        made = np.empty((inputs, outputs), np.int8)
        _compress.generate(
            np.ascontiguousarray(self.bits),
            np.ascontiguousarray(self.coefficients),
            [s.stop - s.start for s in blocks],
            self.recipe.state_bits,
            self.recipe.quarters,
            made,
        )
        found = np.ascontiguousarray(made.T)
        found.reshape(-1)[self.places] = self.values
        return found
