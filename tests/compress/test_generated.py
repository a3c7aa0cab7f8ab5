"""Generated weights: what is searched is what is made again, and no other way is nearer."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sangbo import _compress
from sangbo.compress import Generated, Recipe
from sangbo.convert.generate import generate
from sangbo.convert.rounding import Factor, shrunk
from sangbo.errors import GraphError

MASK = 2**32 - 1


def number(state: int) -> int:
    """The generator as docs/weights.md states it, in whole numbers of Python."""
    x = (state * 0x10001 + 0x9E37) & MASK
    for shift, left in ((7, True), (13, False), (5, True), (3, True), (17, False), (11, True)):
        x = (x + (x << shift)) & MASK if left else x ^ (x >> shift)
    x ^= x >> 15
    return sum((x >> (8 * byte)) & 255 for byte in range(4)) - 510


def fresh(place: int, quarters: int) -> int:
    return (place + 1) * quarters // 4 - place * quarters // 4


def slowly(bits: Any, coefficient: int, count: int, recipe: Recipe) -> list[int]:
    """The weights of one block, bit by bit."""
    stream = np.unpackbits(bits, bitorder="little").tolist()

    def take(size: int) -> int:
        taken = [stream.pop(0) for _ in range(size)]
        return sum(bit << place for place, bit in enumerate(taken))

    state, weights = take(recipe.state_bits), []
    for place in range(count):
        size = fresh(place, recipe.quarters)
        state = ((state << size) | take(size)) % 2**recipe.state_bits
        weights.append(max(-127, min(127, (number(state) * coefficient + 128) >> 8)))
    return weights


recipes = st.builds(Recipe, st.integers(4, 20), st.integers(8, 12), st.integers(1, 30)).filter(
    lambda r: -(-r.quarters // 4) + 3 <= r.state_bits
)


@given(recipes, st.integers(1, 50), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_weights_are_made_as_the_page_says(
    recipe: Recipe, outputs: int, inputs: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    blocks, sizes = recipe.blocks(outputs), recipe.sizes(outputs)
    assert sum(b.stop - b.start for b in blocks) == outputs
    bits = rng.integers(0, 256, (inputs, sum(sizes)), np.uint8)
    coefficients = rng.integers(0, 256, (inputs, len(blocks)), np.uint8)
    made = Generated(recipe, (outputs, inputs), bits, coefficients).tensor()
    for column in range(inputs):
        at = np.cumsum([0, *sizes])
        for i, block in enumerate(blocks):
            own = bits[column, at[i] : at[i + 1]]
            count = block.stop - block.start
            expected = slowly(own, int(coefficients[column, i]), count, recipe)
            assert made[block, column].tolist() == expected


def found(target: Any, importance: Any, recipe: Recipe, coefficient: int) -> tuple[Any, float]:
    bits = np.empty(_compress.block_bytes(len(target), recipe.state_bits, recipe.quarters), "u1")
    weights = np.empty(len(target), np.int8)
    search = _compress.Search(recipe.state_bits, recipe.quarters)
    least = search.find(target, importance, coefficient, bits, weights)
    assert weights.tolist() == slowly(bits, coefficient, len(target), recipe)
    return weights, least


@settings(max_examples=10, deadline=None)
@given(st.integers(4, 8), st.integers(0, 2**32 - 1))
def test_the_search_finds_the_nearest_of_all_weights(quarters: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    recipe, coefficient = Recipe(quarters, 8), 55
    target = (rng.standard_normal(3) * 30).astype(np.float32)
    importance = rng.uniform(0.1, 2, 3).astype(np.float32)
    _, least = found(target, importance, recipe, coefficient)
    best = np.inf
    for seeds in range(2**recipe.state_bits):
        ways = [range(2 ** fresh(place, quarters)) for place in range(3)]
        for way in itertools.product(*ways):
            state, cost = seeds, 0.0
            for place, bits in enumerate(way):
                state = ((state << fresh(place, quarters)) | bits) % 2**recipe.state_bits
                weight = max(-127, min(127, (number(state) * coefficient + 128) >> 8))
                cost += importance[place] * (target[place] - weight) ** 2
            best = min(best, cost)
    assert least == pytest.approx(best, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("bits", "largest"), [(2, 0.1175), (3, 0.03454), (4, 0.009497)])
def test_errors_lie_between_theory_and_plain_rounding(bits: int, largest: float) -> None:
    """Nothing of R bits has less than 4^−R of a normal variable's power; the best scalar
    quantiser has `largest` (Max 1960)."""
    rng = np.random.default_rng(0)
    target = (rng.standard_normal(2000) * 30).astype(np.float32)
    weights, _ = found(target, np.ones(2000, np.float32), Recipe(4 * bits, 10), 53)
    error = float(np.square(target - weights).mean() / np.square(target).mean())
    assert 4.0**-bits < error < largest


def test_a_matrix_is_generated_to_second_order() -> None:
    """Errors that inputs cannot see cost nothing, so W·x is nearer than each weight for itself."""
    rng = np.random.default_rng(3)
    weights = (rng.standard_normal((64, 48)) * rng.uniform(0.5, 2, (64, 1))).astype(np.float32)
    mixed = rng.standard_normal((400, 8)) @ rng.standard_normal((8, 48))
    x = (mixed + 0.1 * rng.standard_normal((400, 48))).astype(np.float32)
    seen, blind = (Factor.of(shrunk(h, 10**6)) for h in (x.T @ x, 400 * np.eye(48, dtype="f4")))
    recipe = Recipe(12, 10, 40)
    errors = []
    for factor in (seen, blind):
        grid, generated = generate(weights, recipe, factor, lambda share: None)
        assert np.array_equal(generated.tensor(), grid.values)
        errors.append(float(np.square((grid.reals() - weights) @ x.T).mean()))
    assert errors[0] < 0.5 * errors[1]


def test_a_weight_that_stands_out_is_kept() -> None:
    rng = np.random.default_rng(5)
    weights = rng.standard_normal((64, 32)).astype(np.float32)
    weights[3, 7], weights[60, 0] = -18.0, 15.0
    factor = Factor.of(shrunk(100 * np.eye(32, dtype="f4"), 10**6))
    grid, generated = generate(weights, Recipe(12, 10, 40), factor, lambda share: None)
    assert np.array_equal(generated.tensor(), grid.values)
    made = grid.reals()
    assert made[3, 7] == pytest.approx(-18, abs=0.1)
    assert made[60, 0] == pytest.approx(15, abs=0.1)
    assert len(generated.places) < 0.01 * weights.size


@pytest.mark.parametrize(
    "recipe",
    [Recipe(3), Recipe(21), Recipe(12, 7), Recipe(12, 17), Recipe(20, 8, 0), Recipe(12, 12, 1025)],
)
def test_recipes_that_make_nothing_are_refused(recipe: Recipe) -> None:
    with pytest.raises(GraphError, match="expected"):
        recipe.check()


def test_parts_that_do_not_fit_are_refused() -> None:
    recipe = Recipe(12, 12)
    bits, coefficients = np.zeros((3, sum(recipe.sizes(5))), np.uint8), np.zeros((3, 1), np.uint8)
    assert Generated(recipe, (5, 3), bits, coefficients).tensor().shape == (5, 3)
    for shape in ((5, 4), (50, 3), (0, 3), (2**21, 3)):
        with pytest.raises(GraphError, match="expected"):
            Generated(recipe, shape, bits, coefficients).tensor()
