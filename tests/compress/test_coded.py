"""Entropy-coded tensors come back bit for bit, and nothing else decodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sangbo.compress import Coded
from sangbo.errors import GraphError


def entropy(tensor: Any) -> float:
    """Bytes that its symbols take at least, each coded by itself."""
    symbols = tensor.reshape(-1).view(f"u{tensor.itemsize}")
    counts = np.unique(symbols, return_counts=True)[1]
    return float(-(counts * np.log2(counts / counts.sum())).sum() / 8)


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    """Tensors of all types, of peaked and flat distributions, down to one symbol."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))
    spread = draw(st.sampled_from([0.0, 0.3, 2.0, 20.0, 1000.0]))
    values = rng.standard_normal(shape) * spread
    dtype = draw(st.sampled_from(["int8", "uint8", "float16"]))
    if dtype == "float16":
        largest = np.finfo(np.float16).max
        scaled = values * 2.0 ** draw(st.integers(-20, 5))
        return np.clip(scaled, -largest, largest).astype(np.float16)
    low, high = (0, 255) if dtype == "uint8" else (-128, 127)
    return np.clip(np.rint(values), low, high).astype(dtype)


@given(tensors())
def test_a_coded_tensor_comes_back_bit_for_bit(tensor: Any) -> None:
    coded = Coded.of(tensor)
    if coded is not None:
        again = coded.tensor()
        assert (again.dtype, again.shape) == (tensor.dtype, tensor.shape)
        assert again.tobytes() == tensor.tobytes()
        assert coded.nbytes < tensor.nbytes


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float16"])
def test_a_code_is_near_the_entropy(dtype: str) -> None:
    rng = np.random.default_rng(1)
    values = np.rint(rng.standard_normal((400, 300)) * 12)
    tensor = (np.abs(values) if dtype == "uint8" else values).astype(dtype)
    coded = Coded.of(tensor)
    assert coded is not None
    table = 4 + (tensor.itemsize + 2) * len(np.unique(tensor))
    assert coded.nbytes - table - 32 < 1.002 * entropy(tensor) + 16


def test_what_cannot_get_smaller_stays_as_it_is() -> None:
    flat = np.arange(256, dtype=np.uint8).repeat(4)
    assert Coded.of(flat) is None
    assert Coded.of(np.zeros((3, 3), np.float32)) is None
    assert Coded.of(np.zeros(0, np.int8)) is None
    # 2^20 equal bytes would be a small file that fills a memory.
    assert Coded.of(np.zeros(2**20, np.int8)) is None


def made() -> tuple[Any, Coded]:
    tensor = np.rint(np.random.default_rng(0).standard_normal((50, 40)) * 5).astype(np.int8)
    coded = Coded.of(tensor)
    assert coded is not None
    return tensor, coded


@given(st.data())
def test_damaged_codes_are_refused_or_give_a_tensor_but_never_more(data: st.DataObject) -> None:
    tensor, coded = made()
    code = coded.code.copy()
    for _ in range(data.draw(st.integers(1, 4))):
        code[data.draw(st.integers(0, len(code) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = Coded(code, "int8", tensor.shape).tensor()
    except GraphError:
        return
    assert found.shape == tensor.shape


@given(st.integers(0, 1500))
def test_cut_codes_are_refused(kept: int) -> None:
    tensor, coded = made()
    if kept < coded.nbytes:
        with pytest.raises(GraphError):
            Coded(coded.code[:kept], "int8", tensor.shape).tensor()


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("int8", (50, 41)), ("int8", (49, 40)), ("float16", (50, 40)), ("float32", (50, 40)),
     ("int8", (2**20, 2**20)), ("int8", (0, 4)), ("int8", ())],
)  # fmt: skip
def test_codes_of_other_tensors_are_refused(dtype: str, shape: tuple[int, ...]) -> None:
    _, coded = made()
    with pytest.raises(GraphError, match="expected"):
        Coded(coded.code, dtype, shape).tensor()


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoder(code: bytes) -> None:
    try:
        found = Coded(np.frombuffer(code, np.uint8), "int8", (7,)).tensor()
    except GraphError:
        return
    assert (found.dtype.name, found.shape) == ("int8", (7,))
