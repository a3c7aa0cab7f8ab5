from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import networks
from sangbo.agreement import END_TO_END, Contender, agree, chosen, contenders
from sangbo.engines import Reference, Temporal
from sangbo.engines.forced import UNIT
from sangbo.errors import SangboError
from sangbo.graph import Graph, Linear
from sangbo.tasks.language import Text, windows


def cut(passages: Any) -> list[Text]:
    return [w for p in passages for w in windows(p, 16)]


@pytest.mark.parametrize("family", [networks.llama, networks.gpt2])
@pytest.mark.parametrize("bits", [4, 8])
def test_native_and_reference_agree_everywhere(family: Any, bits: int) -> None:
    graph = networks.converted(family(), bits)
    passages = [networks.tokens(30), networks.tokens(9, seed=1)]
    seen = agree(graph, contenders()["native"], cut(passages))
    assert (seen.different, seen.first, seen.tokens) == (0, None, 37)
    outputs = sum(
        graph.values[o.output].channels for o in graph.operations if isinstance(o, Linear)
    )
    assert seen.accumulators == 37 * outputs
    assert seen.compared > seen.accumulators + 37 * networks.VOCABULARY
    again = agree(graph, contenders()["native"], cut(passages))
    assert again.accumulators_sha256 == seen.accumulators_sha256


class Wrong(Reference):
    """A reference engine whose graph is not quite the one it was given."""

    def __init__(self, graph: Graph, name: str, place: int = 0) -> None:
        tensors = dict(graph.tensors)
        values = tensors[name].copy()
        values.reshape(-1)[place] += values.dtype.type(1)
        tensors[name] = values
        super().__init__(replace(graph, tensors=tensors))


@pytest.mark.parametrize(
    ("tensor", "first"),
    [
        ("layers.0.mlp.up", "layers.0.mlp.up"),
        ("layers.1.attention.norm", "layers.1.attention.norm"),
        ("layers.1.attention.mix.probability.inverse", "layers.1.attention.mix"),
        ("layers.0.mlp.product.inverse", "layers.0.mlp.product.levels"),
    ],
)
def test_the_first_operation_that_differs_is_named(tensor: str, first: str) -> None:
    graph = networks.converted(networks.llama())
    seen = agree(graph, Contender({"": lambda g: Wrong(g, tensor)}, 0), cut([networks.tokens(20)]))
    assert seen.first == first
    assert 0 < seen.different < seen.compared


def test_what_only_whole_texts_show_is_named_so() -> None:
    """Scales are left out of accumulators, so that only the logits show this one."""
    graph = networks.converted(networks.llama())
    scale = next(
        str(o.weight.scale) for o in graph.operations if isinstance(o, Linear) and "up" in o.output
    )

    def make(given: Graph) -> Reference:
        return Reference(given) if UNIT in given.tensors else Wrong(given, scale)

    assert agree(graph, Contender({"": make}, 0), cut([networks.tokens(20)])).first == END_TO_END


def test_no_reading_is_begun_after_so_many_values() -> None:
    graph = networks.converted(networks.llama())
    readings = cut([networks.tokens(20, seed) for seed in range(3)])
    upto = [
        agree(graph, Contender({"": Reference}, 0), readings[:n]) for n in (1, 2, len(readings))
    ]
    limits = (1, upto[0].compared + 1, None)
    for values, expected in zip(limits, upto, strict=True):
        assert agree(graph, Contender({"": Reference}, 0, values), readings) == expected


@pytest.mark.parametrize("family", [networks.llama, networks.gpt2])
@pytest.mark.parametrize("bits", [4, 8])
def test_temporal_and_reference_agree_everywhere_in_every_code(family: Any, bits: int) -> None:
    graph = networks.converted(family(layers=1), bits)
    passages = [networks.tokens(20), networks.tokens(9, seed=1)]
    temporal, native = (
        agree(graph, contenders()[name], cut(passages)) for name in ("temporal", "native")
    )
    assert (temporal.different, temporal.first, temporal.tokens) == (0, None, 27)
    assert [f.name for f in temporal.forms] == ["rate", "radix", "csd"]
    assert temporal.compared == 3 * native.compared
    assert temporal.accumulators == 3 * native.accumulators
    assert temporal.accumulators_sha256 == native.accumulators_sha256
    assert [c["different"] for c in temporal.to_dict()["codes"]] == [0, 0, 0]
    assert temporal.to_dict()["rate_steps"] == 15
    assert "codes" not in native.to_dict()


def test_a_code_that_loses_spikes_is_named_with_its_operation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A neuron that ignores its largest place: levels that need it come out smaller."""
    graph = networks.converted(networks.llama(layers=1))
    forms = contenders(["radix", "csd"])["temporal"].forms

    def make(given: Graph) -> Temporal:
        engine = Temporal(given, "csd")
        schedule = engine.coding.code.schedule

        def lossy(steps: int) -> Any:
            bounds, worths = schedule(steps)
            bounds[-1] += 2
            return bounds, worths

        code = replace(engine.coding.code, schedule=lossy)
        engine.coding = replace(engine.coding, code=code)
        return engine

    both = Contender({"radix": forms["radix"], "csd": make}, 0)
    seen = agree(graph, both, cut([networks.tokens(9)]))
    assert [f.first for f in seen.forms] == [None, "layers.0.attention.norm.levels"]
    assert seen.first == "layers.0.attention.norm.levels in csd"
    assert seen.different == seen.forms[1].different > 0


def test_engines_are_chosen_by_name() -> None:
    assert set(chosen(None, contenders(), None)) == {"native", "temporal"}
    only = chosen(["temporal"], contenders(["graded"]), 7)
    assert list(only) == ["temporal"]
    assert (only["temporal"].tokens, list(only["temporal"].forms)) == (7, ["graded"])
    with pytest.raises(SangboError, match="expected engines of native, temporal, found abacus"):
        chosen(["abacus"], contenders(), None)
    with pytest.raises(SangboError, match="expected one of the codes"):
        contenders(["morse"])
