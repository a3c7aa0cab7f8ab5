from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import networks
from sangbo.errors import GraphError
from sangbo.graph import (
    OPERATIONS,
    Add,
    Attention,
    Graph,
    Linear,
    Multiply,
    Neuron,
    Norm,
    ValueType,
    Weight,
)

REAL = {"x": ValueType("real", ("rows", 4))}


def graph(*operations: object, **tensors: object) -> Graph:
    arrays = {n.replace("_", "."): np.asarray(t) for n, t in tensors.items()}
    return Graph("g", REAL, operations, (operations[-1].output,), arrays)  # type: ignore[arg-type, attr-defined]


ZEROS = np.zeros((3, 4), np.float32)
ONE = np.float32(1)


@pytest.mark.parametrize(
    ("operations", "tensors", "expected", "found"),
    [
        ([Linear("y", "x", Weight("w"))], {"w": np.zeros((3, 5), np.float32)}, "5 channels", "4"),
        ([Linear("y", "x", Weight("w"))], {}, "a tensor named 'w'", "none"),
        ([Linear("y", "x", Weight("w"), "b")], {"w": ZEROS, "b": np.zeros(4, np.float32)},
         r"float32\[3\]", r"float32\[4\]"),
        ([Linear("y", "z", Weight("w"))], {"w": ZEROS}, "a value named 'z'", "none"),
        ([Linear("y", "x", Weight("w", 8, 4, "s"))],
         {"w": ZEROS.astype(np.int8), "s": np.ones((3, 1), np.float32)}, "levels with integer",
         "real"),
        ([Norm("y", "x", "rms", "w")], {"w": np.zeros(5, np.float32)}, r"float32\[4\]",
         r"float32\[5\]"),
        ([Norm("y", "x", "rms", "w", None, 0.0)], {"w": np.zeros(4, np.float32)},
         "positive epsilon", "0.0"),
        ([Neuron("n", "x", "t", "i", 1, 5)], {"t": ONE, "i": ONE}, "include 0 and 1", "1 to 5"),
        ([Neuron("n", "x", "t", "i", 0, 2**21)], {"t": ONE, "i": ONE}, "within", "2097152"),
        ([Neuron("n", "x", "t", "i")], {"t": ONE, "i": np.ones(3, np.float32)}, r"\[4\]", r"\[3\]"),
        ([Add("x", "x", "x")], {}, "written once", "twice"),
        ([Attention("y", "x", "x", "x", 3, 1, 1.0)], {}, "3 heads", ""),
        ([Attention("y", "x", "x", "x", 2, 1, 1.0)], {}, "1 heads of 2", "4"),
        ([Attention("y", "x", "x", "x", 2, 2, -1.0)], {}, "positive scale", "-1.0"),
        ([Attention("y", "x", "x", "x", 2, 2, 1.0, True, "t", "i")], {"t": ONE, "i": ONE},
         "takes? reals", "threshold"),
    ],
)  # fmt: skip
def test_misfits_are_named(
    operations: list[object], tensors: dict[str, object], expected: str, found: str
) -> None:
    with pytest.raises(GraphError, match=f"expected .*{expected}.*{found}"):
        graph(*operations, **tensors)


@pytest.mark.parametrize(
    ("weight", "values", "scale", "message"),
    [
        (Weight("w", 8, 3, "s"), np.zeros((2, 4), np.int8), np.ones((2, 1), np.float32), "divide"),
        (Weight("w", 8, 4), np.zeros((2, 4), np.int8), np.ones((2, 1), np.float32), "a scale"),
        (Weight("w", 5, 4, "s"), np.zeros((2, 4), np.int8), np.ones((2, 1), np.float32), "4, 8"),
        (Weight("w", 8, 4, "s"), np.zeros((2, 4), np.uint8), np.ones((2, 1), np.float32), "int8"),
        (Weight("w", 4, 4, "s"), np.zeros((2, 2), np.uint8), np.ones((2, 1), np.float16), "minim"),
        (Weight("w", 8, 4, "s"), np.zeros((2, 4), np.int8), np.ones((2, 2), np.float32), "float"),
    ],
)  # fmt: skip
def test_weight_grids_are_checked(
    weight: Weight, values: object, scale: object, message: str
) -> None:
    neuron = Neuron("n", "x", "t", "i")
    with pytest.raises(GraphError, match=message):
        graph(neuron, Linear("y", "n", weight), w=values, s=scale, t=ONE, i=ONE)


def test_parameters_are_counted_once_and_packed_weights_unpacked() -> None:
    tied = networks.llama(tied=True)
    by_hand = sum(t.size for n, t in tied.tensors.items() if not n.startswith("rotary"))
    assert tied.parameter_count == by_hand
    four = networks.converted(networks.llama(tied=False), bits=4)
    assert four.parameter_count == networks.llama(tied=False).parameter_count
    assert four.weight_bytes == sum(
        four.tensors[n].nbytes for o in four.operations for w in o.weights() for n in w.tensors()
    )


def test_complementary_means_every_synaptic_operation_takes_levels() -> None:
    original = networks.gpt2()
    assert not original.complementary
    done = networks.converted(original)
    assert done.complementary
    assert len(done.synaptic) == len(original.synaptic) == 2 * 7 + 1


def test_summary_names_every_operation() -> None:
    original = networks.llama()
    lines = str(original).splitlines()
    assert len(lines) == 1 + len(original.operations)
    assert all(o.output in line for o, line in zip(original.operations, lines[1:], strict=True))
    assert "real[selected, 61]" in lines[-1]


def test_every_operation_has_its_name_once() -> None:
    assert {cls.__name__ for cls in OPERATIONS.values()} == set(OPERATIONS)
    assert Multiply in OPERATIONS.values()


def test_values_that_are_not_finite_are_found() -> None:
    original = networks.llama()
    broken = original.tensors["norm"].copy()
    broken[3] = np.nan
    with pytest.raises(GraphError, match="'norm', found NaN"):
        replace(original, tensors={**original.tensors, "norm": broken}).check_finite()
