"""The switching core: what a split between multiplications and additions makes of the network."""

from __future__ import annotations

from dataclasses import replace

from sangbo.waterfall.step import Costs, Step, Subject

NAME = "switching core"


def switching_core(subject: Subject, before: Step) -> Step | None:
    """Levels instead of reals, each on its cheaper side of a core whose units do both.

    None where the chip lacks a side.
    """
    energy = subject.prices["complementary"].energy
    if energy is None:
        return None
    costs = Costs.of(energy, subject.chip)
    network = subject.network
    return Step(
        NAME,
        replace(before.costs, compute=costs.compute),
        subject.change(lambda: network.engine, "the converted network"),
        subject.tokens_per_second(lambda: network.graph, NAME),
    )
