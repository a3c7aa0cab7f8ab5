"""What the small networks are calibrated with: what they were trained on, drawn anew."""

from __future__ import annotations

import math

import numpy as np

from sangbo.data.pictures import Labelled, clothes, digits
from sangbo.engines.reading import Reading
from sangbo.graph import Graph
from sangbo.progress import Progress
from sangbo.sources import Source
from sangbo.tasks.likelihood import Gaussian, Likelihood
from sangbo.tasks.model import Model
from sangbo.tasks.pictures import Classify
from sangbo.tasks.task import Amount, Draft
from sangbo.tasks.translate import TEXTS, Translate, pair_readings
from sangbo.tasks.whole import WholeTask
from sangbo.zoo.small import pairs
from sangbo.zoo.small.pictures import split

PICTURES = 16
"""Pictures of one reading."""
PIXEL_NOISE = 0.1
FIRST_SEED = 20_000


class Backwards(WholeTask):
    """Lines of letters, and what the network itself makes of them."""

    name = "translate"
    bears = Translate.bears

    def written(
        self, source: Source, amount: Amount, count: int, draft: Draft, progress: Progress
    ) -> list[Reading]:
        """Lines that the network was neither trained nor is measured on."""
        lines = pairs.words(count * TEXTS, FIRST_SEED + amount.seed)
        return pair_readings(Model(draft(), source.tokenizer), lines, progress)


class Pictures(WholeTask):
    """Pictures that the network was trained on.

    Attributes:
        rebuilds: whether it gives pictures back, rather than classes.
        clothes: whether they are of clothes, rather than digits.
    """

    name = "classify"
    bears = Classify.bears

    def __init__(self, *, rebuilds: bool = False, clothes: bool = True) -> None:
        self.rebuilds, self.clothes = rebuilds, clothes

    def likelihood(self, graph: Graph) -> Likelihood:
        """Of classes, or of pixels whose errors of `PIXEL_NOISE` each cost ½ nat together."""
        if not self.rebuilds:
            return super().likelihood(graph)
        size = math.prod(graph.values[self.output(graph)].inner())
        return Gaussian(PIXEL_NOISE * math.sqrt(size))

    def written(
        self, source: Source, amount: Amount, count: int, draft: Draft, progress: Progress
    ) -> list[Reading]:
        """Pictures drawn from the training set."""
        data: Labelled = clothes("train", progress) if self.clothes else digits(progress)
        pictures = split(data).train
        chosen = np.random.default_rng(amount.seed).permutation(len(pictures))[: count * PICTURES]
        (name,) = source.graph.inputs
        return [
            Reading({name: pictures[chosen[i : i + PICTURES]]})
            for i in range(0, len(chosen), PICTURES)
        ]
