"""Morphologies from SWC files."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sangbo.dynamics.cables.morphology import Morphology, Section
from sangbo.errors import SimulationError

_KINDS = {1: "soma", 2: "axon", 3: "basal", 4: "apical"}
_NAMES = {"soma": "soma", "axon": "axon", "basal": "dend", "apical": "apic", "other": "other"}
_FIELDS = 7


@dataclass(frozen=True, slots=True)
class _Sample:
    number: int
    kind: str
    at: tuple[float, float, float]
    radius: float
    parent: int


def read_swc(path: str | Path, *, scale: float = 1.0) -> Morphology:
    """The cell of an SWC file (Cannon et al. 1998): lines of number, kind, x, y, z, radius, parent.

    Samples between branches make a section, named ``soma``, ``axon[k]``, ``dend[k]``, ``apic[k]``
    or ``other[k]`` in the order of the file. As NEURON reads it, a soma of one sample is a sphere,
    and so is one of three of which two continue the first (NeuroMorpho's cylinder of the same
    surface); it has one potential. What begins at such a soma begins there with its own first
    sample: the way from the soma's middle is no membrane, unless that section has no other sample.
    A soma of more samples is a section like others, from its first to its last sample.

    Args:
        path: the file.
        scale: µm of a unit of the file.

    Raises:
        SimulationError: a line has other fields, a number stands twice, a parent is missing, a
            sample is its own ancestor, a radius is not above 0, or there are several trees.
    """
    samples = _checked(_lines(Path(path), scale), str(path))
    return Morphology(_sections(samples, str(path)))


def _lines(path: Path, scale: float) -> list[_Sample]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SimulationError(f"expected an SWC file in {path}: {error.strerror}") from None
    if text.lstrip().startswith("<"):
        raise SimulationError(f"expected an SWC file in {path}, found XML: NeuroML is not read")
    found: list[_Sample] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            index, kind, *where, thick, parent = words[:_FIELDS]
            x, y, z, radius = (float(w) * scale for w in (*where, thick))
            sample = _Sample(
                int(index), _KINDS.get(int(kind), "other"), (x, y, z), radius, int(parent)
            )
        except ValueError:
            raise SimulationError(
                f"expected number, kind, x, y, z, radius and parent in line {number} of {path}, "
                f"found {line.strip()[:60]!r}"
            ) from None
        if not all(map(math.isfinite, (*sample.at, radius))) or radius <= 0:
            raise SimulationError(
                f"expected a finite place and a radius > 0 in line {number} of {path}, found "
                f"{line.strip()[:60]!r}"
            )
        found.append(sample)
    return found


def _checked(samples: list[_Sample], path: str) -> list[_Sample]:
    """The same, parents before children."""
    if not samples:
        raise SimulationError(f"expected samples in {path}, found none")
    known = {s.number: s for s in samples}
    if len(known) != len(samples):
        numbers = [s.number for s in samples]
        twice = next(n for k, n in enumerate(numbers) if n in numbers[:k])
        raise SimulationError(f"expected every sample of {path} once, found {twice} again")
    roots = [s.number for s in samples if s.parent < 0]
    if len(roots) != 1:
        raise SimulationError(
            f"expected one sample without a parent in {path}, found {len(roots)}: {roots[:8]}"
        )
    children: dict[int, list[int]] = {s.number: [] for s in samples}
    for s in samples:
        if s.parent >= 0 and s.parent not in known:
            raise SimulationError(
                f"expected the parent of sample {s.number} in {path}, found no sample {s.parent}"
            )
        if s.parent >= 0:
            children[s.parent].append(s.number)
    order: list[_Sample] = []
    waiting = [roots[0]]
    while waiting:
        number = waiting.pop()
        order.append(known[number])
        waiting += reversed(children[number])
    if len(order) != len(samples):
        reached = {s.number for s in order}
        lost = next(s.number for s in samples if s.number not in reached)
        raise SimulationError(f"expected a tree in {path}, found sample {lost} in a cycle")
    return order


def _sections(samples: list[_Sample], path: str) -> list[Section]:
    known = {s.number: s for s in samples}
    children: dict[int, list[_Sample]] = {s.number: [] for s in samples}
    for s in samples[1:]:
        children[s.parent].append(s)
    made: list[Section] = []
    # Where a sample lies: its section, and how far along.
    place: dict[int, tuple[str, float]] = {}
    counts: dict[str, int] = {}
    root = samples[0]
    soma = [s for s in samples if s.kind == "soma"]
    ball = root.kind == "soma" and (len(soma) == 1 or _cylinder_of_three(soma))
    if ball:
        ends = np.array([0.0, 2 * root.radius])
        radii = np.array([root.radius, root.radius])
        made.append(Section("soma", "soma", ends, radii, lumped=True))
        place |= {s.number: ("soma", 0.5) for s in soma}

    def name(kind: str) -> str:
        counts[kind] = counts.get(kind, -1) + 1
        first = kind == "soma" and counts[kind] == 0
        return "soma" if first else f"{_NAMES[kind]}[{counts[kind]}]"

    def follow(first: _Sample) -> list[_Sample]:
        """``first`` and the samples after it up to a branch, an end, or another kind."""
        run = [first]
        while len(after := children[run[-1].number]) == 1 and after[0].kind == first.kind:
            run.append(after[0])
        return run

    for s in samples:
        if s.number in place:
            continue
        before = known.get(s.parent)
        run = follow(s)
        points = run if before is None else [before, *run]
        if before is not None and ball and before.kind == "soma":
            # The wire from the middle of the soma is left out where something else is there.
            points = run if len(run) > 1 else [_at_radius(before, s), s]
        steps = [math.dist(a.at, b.at) for a, b in itertools.pairwise(points)]
        if not sum(steps) > 0:
            raise SimulationError(
                f"expected samples of {path} apart from each other, found {s.number} alone or "
                "where its parent is"
            )
        parent, at = (None, 1.0) if before is None else place[before.number]
        arc = np.concatenate([[0.0], np.cumsum(steps)])
        section = Section(
            name(s.kind), s.kind, arc, np.array([p.radius for p in points]), parent, at
        )
        made.append(section)
        place |= {
            p.number: (section.name, float(x / arc[-1]))
            for p, x in zip(points, arc, strict=True)
            if p.number not in place
        }
    return made


def _at_radius(soma: _Sample, first: _Sample) -> _Sample:
    """Where the way from a soma to its neighbour leaves it, as thick as the neighbour."""
    return _Sample(soma.number, first.kind, soma.at, first.radius, soma.parent)


def _cylinder_of_three(soma: list[_Sample]) -> bool:
    """NeuroMorpho's soma: a sample and two that continue it, a radius away to either side."""
    if len(soma) != 3:
        return False
    root = soma[0]
    return all(s.parent == root.number for s in soma[1:]) and all(
        math.isclose(s.radius, root.radius) for s in soma
    )
