"""What a conversion needs to know before it spends its budget: texts, grids, sensitivities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sangbo import chips, codes
from sangbo._version import __version__
from sangbo.compress import Allotted, Coded, Compressed, Generated, Recipe
from sangbo.convert.allocate import Choice, Prices, allocate
from sangbo.convert.allot import allot_weights
from sangbo.convert.budget import Budget
from sangbo.convert.centre import centre, measure_centres
from sangbo.convert.equalise import equalise, find_seams
from sangbo.convert.generate import generate_weights
from sangbo.convert.provisional import provisional
from sangbo.convert.rewrite import complementary
from sangbo.convert.rounding import refine
from sangbo.convert.sensitivity import Candidates, measure
from sangbo.convert.settings import Settings
from sangbo.convert.sites import find_sites
from sangbo.convert.weights import kept, quantise, tables
from sangbo.engines import Native, Reading, Reference, fastest
from sangbo.engines.base import Real
from sangbo.errors import ConversionError
from sangbo.graph import Convolution, Graph, Linear
from sangbo.progress import Progress, silent
from sangbo.sources import Grid, Source
from sangbo.tasks import Task, task_of
from sangbo.tasks.task import kept_apart

WEIGHING = 4
"""How many times more readings weights are weighed by than thresholds, where these are too few.

Steps that are allotted follow them closely, and late layers of a convolutional network have more
channels than some pictures have places.
"""
UNSEEN = 2
"""Readings kept from calibration: what the converted network loses is measured on them."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network that is ready to be converted within any budget.

    Attributes:
        settings: how.
        balanced: the float graph, equalised where that is possible, and centred.
        grids: of the values tensor of every weight.
        compressed: what those grids' integers are made again from, where they are.
        readings: what was calibrated on.
        unseen: readings that nothing is fitted to.
        candidates: thresholds of every neuron layer, and what each would do.
        prices: of the chip.
    """

    settings: Settings
    balanced: Graph
    grids: Mapping[str, Grid]
    compressed: Mapping[str, Compressed]
    readings: Sequence[Reading]
    unseen: Sequence[Reading]
    candidates: Sequence[Candidates]
    prices: Prices

    def choose(self, budget: Budget) -> list[Choice]:
        """A threshold for every neuron layer; see `allocate`."""
        return allocate(self.candidates, budget, self.prices)

    def build(self, choices: Sequence[Choice]) -> Graph:
        """The complementary graph with these thresholds."""
        thresholds = {c.site: c.threshold for c in choices}
        return complementary(self.balanced, thresholds, self.grids, {"sangbo": __version__})


def prepare(
    opened: Source,
    settings: Settings,
    calibration: str | Sequence[Reading] | None,
    progress: Progress = silent,
    task: Task | None = None,
) -> Prepared:
    """Read, write texts, round weights and measure: all that does not depend on the budget.

    Args:
        opened: the network.
        settings: how.
        calibration: text or readings to calibrate on; without them the network makes its own.
        progress: told what is being done and how far it is.
        task: what the network is for; the one that its graph states by default.

    Raises:
        ConversionError: where the network cannot be converted as asked.
    """
    original = opened.graph
    task = task or task_of(original)
    task.check(original)
    if not original.synaptic:
        raise ConversionError(f"expected synaptic operations in {original.name}, found none")
    original.check_finite()
    chosen = isinstance(calibration, str) or calibration is None  # readings that are given stay
    many = settings.allotted is not None or _convolutional(original)
    wider = WEIGHING if many and chosen else 1
    amount = replace(settings, sequences=wider * settings.sequences)
    weighing, unseen = calibrated(opened, amount, calibration, progress, task)
    readings = weighing[::wider]
    held = kept(settings.weight_bits, opened.grids)
    balanced = original
    if not held and settings.generated is None and settings.allotted is None:
        balanced = equalise(original, largest_values(original, readings, progress))
    balanced = centre(balanced, measure_centres(balanced, readings, progress))
    grids = quantise(balanced, settings.weight_bits, opened.grids, progress)
    made: Mapping[str, Grid] = {}
    remade: Mapping[str, Generated | Allotted] = {}
    if settings.generated is not None:
        recipe = Recipe(round(4 * settings.generated))
        recipes = {o.weight.values: recipe for o in balanced.operations if isinstance(o, Linear)}
        made, remade = generate_weights(balanced, recipes, readings, progress)
    elif settings.allotted is not None:
        sizes = {name: stored_size(opened.grids[name], settings.coded) for name in held}
        made, remade = allot_weights(balanced, settings.allotted, sizes, weighing, progress, task)
    grids |= made
    held |= made.keys()
    if settings.second_order:
        grids = refine(balanced, grids, held | tables(balanced), weighing, progress)
    sites = find_sites(balanced, settings.levels, settings.cache_bits)
    code = codes.code(settings.code)
    candidates = measure(balanced, sites, readings, code, progress, task)
    return Prepared(
        settings, balanced, grids, remade, readings, unseen, candidates, prices(settings)
    )


def _convolutional(graph: Graph) -> bool:
    """Whether most weights are those of convolutions."""
    kinds = [isinstance(o, Convolution) for o in graph.synaptic]
    return 2 * sum(kinds) > len(kinds)


def stored_size(grid: Grid, coded: bool) -> int:
    """Bytes of a grid in a folder, entropy-coded or not."""
    parts = [p for p in (grid.values, grid.scale, grid.minimum) if p is not None]
    codes = [Coded.of(part) if coded else None for part in parts]
    return sum((c or p).nbytes for c, p in zip(codes, parts, strict=True))


def largest_values(
    original: Graph, readings: Sequence[Reading], progress: Progress
) -> dict[str, Real]:
    """Largest magnitude per channel of every value that is a seam, over ``readings``."""
    engine = Reference(original)
    names = [seam.value for seam in find_seams(original)]
    largest: dict[str, Real] = {}
    for step, reading in enumerate(readings):
        progress("measuring ranges", step / len(readings))
        values = reading.run(engine, keep=names)
        for name in names:
            x = values[name]
            reach = np.abs(x.reshape(-1, x.shape[-1])).max(axis=0, initial=np.float32(0))
            largest[name] = np.maximum(largest[name], reach) if name in largest else reach
    return largest


def calibrated(
    opened: Source,
    settings: Settings,
    calibration: str | Sequence[Reading] | None,
    progress: Progress,
    task: Task,
) -> tuple[list[Reading], list[Reading]]:
    """Readings to calibrate on, and `UNSEEN` others to be measured on.

    What is calibrated on is given, or what the network itself makes. What is measured on, the
    network makes where it can; otherwise it is taken from what is given.
    """
    if calibration is None:
        count = settings.sequences + UNSEEN
        made = written(opened, settings, count, progress, task)
        if len(made) > count:  # short ones, several in the place of one
            apart = len(made) * UNSEEN // count
            return made[:-apart], made[-apart:]
        first, *others, last = made
        return others, [first, last]
    given = calibration
    if isinstance(given, str):
        given = task.given(opened, given, settings)
    if not task.writes:
        return kept_apart(given, UNSEEN)
    return list(given), written(opened, settings, UNSEEN, progress, task)


def written(
    opened: Source,
    settings: Settings,
    count: int,
    progress: Progress,
    task: Task | None = None,
) -> list[Reading]:
    """``count`` readings that the network itself makes."""
    task = task or task_of(opened.graph)

    def draft() -> Native | Reference:
        return fastest(provisional(opened.graph, settings.seed))

    return task.written(opened, settings, count, draft, progress)


def prices(settings: Settings) -> Prices:
    """What spikes and MACs cost on the chip of ``settings``."""
    sides = chips.side_prices(chips.load(settings.chip), codes.code(settings.code))
    joules = None if sides.per_target is None else sides.per_target * 1e-12
    return Prices(sides.worth, joules)
