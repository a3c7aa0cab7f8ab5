"""Collects the operations of a traced PyTorch module, and lays values out as they need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sangbo.errors import UnsupportedError
from sangbo.graph import (
    Activation,
    Affine,
    Concatenate,
    Constant,
    Operation,
    Reshape,
    Take,
    Transpose,
    Weight,
)
from sangbo.sources.exported.axes import (
    Atom,
    Axis,
    Traced,
    atom,
    batch_axis,
    significant,
    size,
    within,
)
from sangbo.sources.source import Array

if TYPE_CHECKING:
    import torch


class Tracer:
    """What has been built so far.

    Attributes:
        operations: in order.
        tensors: by name.
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.tensors: dict[str, Array] = {}
        self._names: set[str] = set()

    def name(self, wanted: str) -> str:
        """``wanted``, or the first of ``wanted.1``, ``wanted.2`` … that is free."""
        found, number = wanted, 0
        while found in self._names:
            number += 1
            found = f"{wanted}.{number}"
        self._names.add(found)
        return found

    def add(self, operation: Operation) -> str:
        """Append an operation; the name of what it writes."""
        self.operations.append(operation)
        return operation.output

    def tensor(self, name: str, values: torch.Tensor | Array) -> str:
        """Keep ``values`` as float32 under ``name``, once if they are the same."""
        array = np.ascontiguousarray(_array(values), np.float32)
        held = self.tensors.get(name)
        if held is not None and held.shape == array.shape and np.array_equal(held, array):
            return name
        found, number = name, 0
        while found in self.tensors:
            number += 1
            found = f"{name}.{number}"
        self.tensors[found] = array
        return found

    def weight(self, name: str, matrix: torch.Tensor | Array) -> Weight:
        """A float weight (outputs, inputs)."""
        return Weight(self.tensor(name, matrix))

    # --- layouts -------------------------------------------------------------------------------

    def arrange(self, source: Traced, groups: Sequence[Sequence[int]]) -> str:
        """A value whose axis i holds the axes ``groups[i]`` of the tensor, in their order.

        The first group is the batch's axis alone.
        """
        whole = self.padded(source)
        wanted = [significant(tuple(a for i in group for a in whole.axes[i])) for group in groups]
        return self._laid_out(whole, wanted)

    def channel_last(self, source: Traced, channel: int) -> tuple[str, list[int]]:
        """A value with the batch first, axis ``channel`` of the tensor last, the others between.

        Returns:
            Its name, and the axes of the tensor in the order in which they lie in it.
        """
        whole = self.padded(source)
        batch, channel = batch_axis(whole), channel % len(whole.axes)
        order = [
            batch,
            *(i for i in range(len(whole.axes)) if i not in (batch, channel)),
            channel,
        ]
        if channel == batch:
            raise UnsupportedError("expected channels in another axis than the batch")
        return self.arrange(whole, [[i] for i in order]), order

    def rows(self, source: Traced, channel: int) -> tuple[str, tuple[Axis, ...]]:
        """A value whose last axis is axis ``channel`` of the tensor, the others as they come.

        Returns:
            Its name, and its axes but for the last.
        """
        whole = self.padded(source)
        wanted = significant(whole.axes[channel])
        if significant(whole.held[-1]) == wanted and len(whole.held) > 1:
            return whole.name, whole.held[:-1]
        rest = [a for axis in whole.held for a in significant(axis) if a not in wanted]
        lead = [(a,) for a in rest if a.batch] + [(a,) for a in rest if not a.batch]
        return self._laid_out(whole, [*lead, wanted]), tuple(lead)

    def matched(self, left: Traced, right: Traced) -> tuple[Traced, str]:
        """``left``, and a value of ``right``, a tensor of the same shape, in the same layout."""
        left, right = self.padded(left), self.padded(right)
        places: dict[Atom, tuple[int, int]] = {}
        for index, axis in enumerate(left.axes):
            for place, part in enumerate(significant(axis)):
                places[part] = index, place
        mine = [_aligned(a, b) for a, b in zip(right.axes, left.axes, strict=True)]
        found = [m for m in mine if m is not None]
        if len(found) < len(mine):
            left = self.flat(left)
            return left, self.flat(right).name
        wanted = [
            tuple(found[places[a][0]][places[a][1]] for a in significant(held))
            for held in left.held
        ]
        return left, self._laid_out(right, wanted)

    def taken(self, source: Traced, name: str, axis: int, places: Sequence[int]) -> Traced:
        """Chosen places along an axis of the tensor, taken where they lie if they lie together."""
        whole = self.padded(source)
        batch, axis = batch_axis(whole), axis % len(whole.axes)
        if tuple(places) == tuple(range(whole.shape[axis])):
            return whole
        if axis == batch:
            raise UnsupportedError(f"expected {name!r} to choose from another axis than the batch")
        found = within(whole, axis)
        if found is None:
            whole = self.flat(whole)
            found = whole.held.index(whole.axes[axis]), (), ()
        index, before, after = found
        numbers = np.arange(size(whole.held[index])).reshape(size(before), -1, size(after))
        chosen = numbers[:, list(places)].reshape(-1).tolist()
        output = self.add(Take(self.name(name), whole.name, index, tuple(chosen)))
        new = (atom(len(places)),)
        axes, lies = list(whole.axes), list(whole.held)
        axes[axis], lies[index] = new, (*before, *new, *after)
        return Traced(output, tuple(axes), tuple(lies))

    def flat(self, source: Traced) -> Traced:
        """The same tensor, its value in the order of its axes, each a single atom."""
        batch = batch_axis(source)
        order = [batch, *(i for i in range(len(source.axes)) if i != batch)]
        name = self.arrange(source, [[i] for i in order])
        atoms = [(atom(size(a), batch=i == batch),) for i, a in enumerate(source.axes)]
        return Traced(name, tuple(atoms), tuple(atoms[i] for i in order))

    def padded(self, source: Traced) -> Traced:
        """The tensor with its zeros in place."""
        if not any(sum(p) for p in source.padding):
            return source
        bare = self.flat(Traced(source.name, source.axes, source.held))
        batch = batch_axis(bare)
        order = [batch, *(i for i in range(len(bare.axes)) if i != batch)]
        shape = list(bare.shape)
        name = bare.name
        for axis, sides in enumerate(source.padding):
            if not sum(sides):
                continue
            if axis == batch:
                raise UnsupportedError("expected no padding of the batch, found some")
            parts = [name]
            for at, amount in zip((0, len(parts)), sides, strict=True):
                if amount:
                    zeros = [amount if i == axis else shape[i] for i in order[1:]]
                    held = self.tensor(f"zeros.{'x'.join(map(str, zeros))}", np.zeros(zeros))
                    blank = self.add(Constant(self.name(f"{name}.zeros"), name, held))
                    parts.insert(0 if at == 0 else len(parts), blank)
            shape[axis] += sum(sides)
            name = self.add(
                Concatenate(self.name(f"{name}.padded"), tuple(parts), order.index(axis))
            )
        atoms = [(atom(n, batch=i == batch),) for i, n in enumerate(shape)]
        return Traced(name, tuple(atoms), tuple(atoms[i] for i in order))

    def _laid_out(self, source: Traced, wanted: Sequence[Axis]) -> str:
        held = [significant(axis) for axis in source.held]
        if (
            not wanted
            or [a for a in wanted[0] if not a.batch]
            or not any(a.batch for a in wanted[0])
        ):
            raise UnsupportedError(
                f"expected {source.name!r} to keep its batch in an axis of its own, found it merged"
            )
        if held == list(wanted):
            return source.name
        name = source.name
        before = [a for axis in held[1:] for a in axis]
        after = [a for axis in wanted[1:] for a in axis]
        if before != after:
            name = self.add(
                Reshape(self.name(f"{source.name}.parts"), name, tuple(a.size for a in before))
            )
            axes = tuple(before.index(a) + 1 for a in after)
            name = self.add(Transpose(self.name(f"{source.name}.turned"), name, axes))
            if [(a,) for a in after] == list(wanted[1:]):
                return name
        shape = tuple(size(axis) for axis in wanted[1:]) or (1,)
        return self.add(Reshape(self.name(f"{source.name}.shaped"), name, shape))

    # --- common operations ---------------------------------------------------------------------

    def elementwise(self, source: Traced, name: str, make: Any) -> Traced:
        """``make(output, input)`` on every element, whatever the layout."""
        whole = self.padded(source)
        output = self.add(make(self.name(name), whole.name))
        return Traced(output, whole.axes, whole.held)

    def activation(self, source: Traced, name: str, function: Any, slope: float = 0.0) -> Traced:
        """A function of every element."""
        return self.elementwise(
            source, name, lambda output, value: Activation(output, value, function, slope)
        )

    def affine(self, source: Traced, name: str, weight: Array | None, bias: Array | None) -> Traced:
        """x·w + b, where both are broadcast to the tensor's shape as PyTorch does."""
        whole = self.padded(source)
        kept = [
            None if t is None else self._held_like(whole, t, f"{name}.{part}")
            for part, t in (("weight", weight), ("bias", bias))
        ]
        output = self.add(Affine(self.name(name), whole.name, *kept))
        return Traced(output, whole.axes, whole.held)

    def _held_like(self, source: Traced, values: Array, name: str) -> str:
        """``values``, broadcast to the tensor's shape, as they lie in its value."""
        batch = batch_axis(source)
        lead = (1,) * (len(source.axes) - values.ndim)
        given = values.reshape(lead + values.shape)
        if given.shape[batch] != 1:
            if not (given == given.take([0], axis=batch)).all():
                raise UnsupportedError(f"expected {name!r} to be the same for all of the batch")
            given = given.take([0], axis=batch)
        shape = tuple(1 if i == batch else n for i, n in enumerate(source.shape))
        atoms = [a for i, axis in enumerate(source.axes) if i != batch for a in significant(axis)]
        spread = np.broadcast_to(given, shape).reshape([a.size for a in atoms] or [1])
        held = [a for axis in source.held[1:] for a in significant(axis)]
        turned = spread.transpose([atoms.index(a) for a in held]) if held else spread
        whole = turned.reshape([size(axis) for axis in source.held[1:]] or [1])
        channels = whole.reshape(-1, whole.shape[-1])
        same = (channels == channels[:1]).all()
        return self.tensor(name, channels[0] if same else whole)


def _array(values: Any) -> Array:
    return values if isinstance(values, np.ndarray) else values.detach().cpu().numpy()


def _aligned(mine: Axis, other: Axis) -> Axis | None:
    """My atoms of an axis if they divide it as the other's do."""
    left, right = significant(mine), significant(other)
    return left if [a.size for a in left] == [a.size for a in right] else None
