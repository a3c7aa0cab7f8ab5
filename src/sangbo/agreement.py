"""Engine against engine: every operation given the same inputs, and whole texts end to end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from sangbo.engines import Reading, Reference, Temporal, fastest
from sangbo.engines.base import Array, Engine
from sangbo.engines.firing import Coding
from sangbo.engines.forced import forced, found
from sangbo.errors import SangboError
from sangbo.graph import Convolution, Graph, Linear
from sangbo.progress import Progress, silent

_ROWS = 128
"""Rows whose values are held at once; the reference is slow on few."""
_SAMPLES = 8
"""Pictures, and whatever else is read whole, that are compared together."""
END_TO_END = "end to end"
"""What is named where no operation differs by itself and yet a whole text does."""


Make: TypeAlias = Callable[[Graph], Engine[Any]]


@dataclass(frozen=True, slots=True)
class Contender:
    """An engine that is compared with the reference, in one form or several.

    Attributes:
        forms: makes each for a complementary graph. Those of the temporal engine are spike codes,
            by name; an engine with one form calls it by the empty name.
        tokens: how many tokens or samples it is compared on at most, by its speed.
        values: after how many values of a form no further reading is begun, if that is limited:
            a picture has as many as hundreds of tokens.
        settings: what else a certificate must state to be checked again; JSON values.
    """

    forms: Mapping[str, Make]
    tokens: int
    values: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


CODES = ("rate", "radix", "csd")
RATE_STEPS = 15
"""Time steps of rate code, and so the largest level that spikes in it, unless told otherwise."""


def contenders(codes: Sequence[str] = CODES, rate_steps: int = RATE_STEPS) -> dict[str, Contender]:
    """Every engine that a certificate compares with the reference. A new one is one entry.

    Args:
        codes: spike codes of the temporal engine.
        rate_steps: time steps of rate code; larger levels take the dense side. Codes by place
            have as many steps as the largest level that a neuron may send.

    Raises:
        SangboError: where there is no such code, or too few steps.
    """
    most = {"rate": rate_steps}
    temporal: dict[str, Make] = {}
    for name in codes:
        Coding.of(name, largest_spiking=most.get(name))
        temporal[name] = partial(Temporal, code=name, largest_spiking=most.get(name))
    settings = {"rate_steps": rate_steps}
    return {
        "native": Contender({"": fastest}, 512, 400_000_000),
        "temporal": Contender(temporal, 64, 40_000_000, settings),
    }


def chosen(
    names: Sequence[str] | None, known: Mapping[str, Contender], tokens: int | None
) -> dict[str, Contender]:
    """The engines called ``names``, all if None, compared on ``tokens`` tokens if given.

    Raises:
        SangboError: where there is none of a name.
    """
    unknown = [n for n in names or () if n not in known]
    if unknown:
        raise SangboError(f"expected engines of {', '.join(known)}, found {', '.join(unknown)}")
    return {
        name: known[name] if tokens is None else replace(known[name], tokens=tokens, values=None)
        for name in dict.fromkeys(names or known)
    }


@dataclass(frozen=True, slots=True)
class Form:
    """What one form of an engine gave.

    Attributes:
        name: of the spike code; empty for an engine that has but one form.
        compared: values compared.
        different: how many of them differ in any bit.
        first: the first operation that differs, in the order of the graph; ``end to end`` where
            only whole texts do; None where nothing does.
    """

    name: str
    compared: int
    different: int
    first: str | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many values two engines gave, and how many differ in any bit, over all forms.

    Values are accumulators of linear operations and convolutions, levels of neurons, results of
    every other operation, each computed from the same inputs; and the outputs, end to end.

    Attributes:
        tokens: how many tokens or samples every form read.
        forms: what each gave.
        accumulators: how many of the compared values are int32 accumulators.
        accumulators_sha256: of the reference's accumulators, the same on every machine.
        settings: of the engine; JSON values.
    """

    tokens: int
    forms: tuple[Form, ...]
    accumulators: int
    accumulators_sha256: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def compared(self) -> int:
        """How many values were compared."""
        return sum(f.compared for f in self.forms)

    @property
    def different(self) -> int:
        """How many of them differ in any bit."""
        return sum(f.different for f in self.forms)

    @property
    def first(self) -> str | None:
        """The first operation that differs, with the code in which it does; None where none."""
        named = (f"{f.first} in {f.name}" if f.name else f.first for f in self.forms if f.first)
        return next(named, None)

    def to_dict(self) -> dict[str, Any]:
        """The agreement as JSON values."""
        named = [asdict(f) for f in self.forms if f.name]
        return {
            "tokens": self.tokens,
            "compared": self.compared,
            "different": self.different,
            "accumulators": self.accumulators,
            "first": self.first,
            "accumulators_sha256": self.accumulators_sha256,
            **({"codes": named} if named else {}),
            **self.settings,
        }


def agree(
    graph: Graph,
    contender: Contender,
    readings: Sequence[Reading],
    progress: Progress = silent,
) -> Agreement:
    """Compare an engine with the reference on ``readings``.

    The reference reads them. Then both engines are given every value that it found, operation by
    operation, so that one difference does not make others, and the first is named. A linear
    operation or a convolution is compared by its int32 accumulators, shown as float32: exact below
    2²⁴, and rounded the same way by both where larger. Last, both read everything in one piece, and
    their outputs are compared.

    Args:
        graph: a complementary graph.
        contender: the other engine; all its forms are compared.
        readings: what is read.
        progress: told the share that is done.
    """
    cut = forced(graph, accumulators=True)
    values = [n for n in cut.inputs if n not in graph.inputs]
    summed = {found(o.output) for o in graph.operations if isinstance(o, Linear | Convolution)}
    reader, reference = Reference(graph), Reference(cut)
    others = {name: (make(cut), make(graph)) for name, make in contender.forms.items()}
    digest = hashlib.sha256()
    compared = dict.fromkeys((*cut.outputs, END_TO_END), 0)
    different = {name: dict.fromkeys(compared, 0) for name in contender.forms}
    tokens = 0
    apart = [piece for reading in readings for piece in reading.apart(_SAMPLES)]
    for step, reading in enumerate(apart):
        if contender.values is not None and sum(compared.values()) >= contender.values:
            break
        tokens += reading.size
        caches: list[Any] = [reading.caches(reader), reading.caches(reference)]
        stepped: dict[str, Any] = {n: reading.caches(part) for n, (part, _) in others.items()}
        outputs: dict[str, list[Array]] = {name: [] for name in graph.outputs}
        for piece in reading.pieces(_ROWS):
            progress("comparing engines", step / len(apart))
            seen = reader.run(piece.inputs, piece.segments(caches[0]), keep=values)
            for name, parts in outputs.items():
                parts.append(seen[name])
            given = {n: piece.inputs[n] if n in piece.inputs else seen[n] for n in cut.inputs}
            expected = reference.run(given, piece.segments(caches[1]))
            for name in cut.outputs:
                compared[name] += expected[name].size
                if name in summed:
                    digest.update(np.ascontiguousarray(expected[name]).data)
            for form, (part, _) in others.items():
                answers = part.run(given, piece.segments(stepped[form]))
                for name in cut.outputs:
                    different[form][name] += _different(expected[name], answers[name])
        whole = {name: np.concatenate(parts) for name, parts in outputs.items()}
        compared[END_TO_END] += sum(x.size for x in whole.values())
        for form, (_, engine) in others.items():
            answer = reading.run(engine)
            different[form][END_TO_END] += sum(_different(x, answer[n]) for n, x in whole.items())
    forms = tuple(
        Form(
            name=form,
            compared=sum(compared.values()),
            different=sum(wrong.values()),
            first=next((n.removesuffix(found("")) for n, count in wrong.items() if count), None),
        )
        for form, wrong in different.items()
    )
    accumulators = len(forms) * sum(compared[n] for n in summed)
    return Agreement(tokens, forms, accumulators, digest.hexdigest(), contender.settings)


def _different(first: Array, second: Array) -> int:
    """How many elements differ in any bit; all of them where the shapes or types differ."""
    if first.shape != second.shape or first.dtype != second.dtype:
        return max(first.size, second.size)
    bits = np.dtype(f"u{first.itemsize}")
    pair = (np.ascontiguousarray(x).view(bits) for x in (first, second))
    return int(np.not_equal(*pair).sum())
