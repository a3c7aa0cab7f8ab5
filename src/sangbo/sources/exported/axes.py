"""How the axes of a PyTorch tensor lie in one of our values.

PyTorch moves axes freely (views, permutations, heads split off and merged again); our values keep
the batch first and the channel last. So a traced tensor is a value and two readings of it: each
axis of the tensor, and each axis of the value, is a product of *atoms*, in order, the first the
slowest. Views and permutations regroup atoms and cost nothing; a `Transpose` or `Reshape` is made
only where an operation needs the elements in another order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from sangbo.errors import UnsupportedError

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Atom:
    """Part of an axis; ``batch`` marks the one that each run chooses."""

    size: int
    batch: bool = False
    number: int = -1


Axis: TypeAlias = tuple[Atom, ...]


def atom(size: int, *, batch: bool = False) -> Atom:
    """A new atom."""
    return Atom(size, batch, next(_numbers))


@dataclass(frozen=True, slots=True)
class Traced:
    """A tensor as it is traced.

    Attributes:
        name: our value.
        axes: of the tensor.
        held: of the value; the same atoms, the batch alone in the first axis.
        padding: zeros around axes of the tensor that nobody has put there yet: (before, after) by
            axis.
    """

    name: str
    axes: tuple[Axis, ...]
    held: tuple[Axis, ...]
    padding: tuple[tuple[int, int], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the tensor's axes, without the padding."""
        return tuple(size(a) for a in self.axes)


def size(axis: Axis) -> int:
    """Product of the atoms' sizes."""
    return math.prod(a.size for a in axis)


def significant(axis: Axis) -> Axis:
    """Atoms that order something: those of size 1 do not."""
    return tuple(a for a in axis if a.size > 1 or a.batch)


def plain(name: str, shape: Sequence[int], batch: int = 0) -> Traced:
    """A value whose axes are those of the tensor; axis ``batch`` is the batch."""
    axes = tuple((atom(n, batch=i == batch),) for i, n in enumerate(shape))
    return Traced(name, axes, axes)


def permuted(source: Traced, order: Sequence[int]) -> Traced:
    """The tensor with its axes in another order."""
    return replace(source, axes=tuple(source.axes[i] for i in order))


def viewed(source: Traced, shape: Sequence[int]) -> Traced | None:
    """The tensor under another shape; None where the elements must be put in order first."""
    flat = [a for axis in source.axes for a in axis if a.size > 1 or a.batch]
    axes: list[Axis] = []
    parts: dict[Atom, list[Atom]] = {}
    left: list[Atom] = flat[::-1]
    for wanted in shape:
        axis: list[Atom] = []
        need = wanted
        while need > 1:
            if not left:
                return None
            head = left.pop()
            if need % head.size == 0:
                axis.append(head)
                need //= head.size
            elif head.size % need == 0 and not head.batch:
                first, rest = atom(need), atom(head.size // need)
                parts[head] = [first, rest]
                left.append(rest)
                axis.append(first)
                need = 1
            else:
                return None
        axes.append(tuple(axis))
    if any(a.size > 1 for a in left):
        return None
    ones = [a for a in left if a.batch]  # a batch of one
    if ones:
        axes[0] = (*ones, *axes[0])

    def leaves(whole: Atom) -> Iterator[Atom]:
        for part in parts.get(whole, []):
            yield from leaves(part)
        if whole not in parts:
            yield whole

    held = tuple(tuple(p for a in axis for p in leaves(a)) for axis in source.held)
    return Traced(source.name, tuple(axes), held)


def within(source: Traced, axis: int) -> tuple[int, Axis, Axis] | None:
    """Where an axis of the tensor lies in one of the value, and what is before and after it there.

    None where its atoms are scattered, or none.
    """
    wanted = significant(source.axes[axis])
    for index, held in enumerate(map(significant, source.held)):
        at = held.index(wanted[0]) if wanted and wanted[0] in held else len(held)
        if at < len(held) and held[at : at + len(wanted)] == wanted:
            return index, held[:at], held[at + len(wanted) :]
    return None


def batch_axis(source: Traced) -> int:
    """Which axis of the tensor is the batch; raises where it is merged with others."""
    for index, axis in enumerate(source.axes):
        if any(a.batch for a in axis):
            if len([a for a in axis if a.size > 1 or a.batch]) > 1:
                break
            return index
    raise UnsupportedError(
        f"expected {source.name!r} to keep its batch in an axis of its own, found it merged"
    )
