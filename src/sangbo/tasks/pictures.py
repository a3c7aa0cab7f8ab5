"""Pictures in, classes or text out; and pictures out of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sangbo.data import pools
from sangbo.engines import Reference
from sangbo.engines.base import Real
from sangbo.engines.reading import Reading
from sangbo.errors import SangboError
from sangbo.extras import need
from sangbo.graph import Graph
from sangbo.ledger import Ledger
from sangbo.progress import Progress
from sangbo.sources import Source
from sangbo.tasks.likelihood import Gaussian, Likelihood, softmax
from sangbo.tasks.model import Model
from sangbo.tasks.task import Amount, Draft
from sangbo.tasks.whole import WholeTask

if TYPE_CHECKING:
    from PIL.Image import Image

LUMA = (0.299, 0.587, 0.114)


def prepared(model: Model, picture: Image) -> Real:
    """A picture as the network sees it. → (height, width, channels).

    Scaled to the network's size (a classifier's square is filled, a reader's line keeps its shape
    and is padded by its last column), within 0…1, minus mean, over deviation.
    """
    facts = model.facts("picture")
    mean, deviation = (np.asarray(facts[k], np.float32) for k in ("mean", "deviation"))
    if "size" in facts:
        size = int(facts["size"])
        scaled = np.asarray(picture.convert("RGB").resize((size, size), _cubic()), np.float32)
    else:
        scaled = _line(picture, int(facts["height"]), int(facts["width"]))
    prepared: Real = (scaled / np.float32(255) - mean) / deviation
    return prepared


def _line(picture: Image, height: int, width: int) -> Real:
    """A line of text on a strip, its last column repeated to the end. → (height, width, 1)."""
    wide = max(1, min(width, round(picture.width * height / picture.height)))
    grey = picture.convert("L")
    if grey.size != (wide, height):
        grey = grey.resize((wide, height), _cubic())
    strip: Real = np.asarray(grey, np.float32)
    return np.pad(strip, [(0, 0), (0, width - wide)], mode="edge")[..., None]


def _cubic() -> Any:
    need("zoo", "PIL")
    from PIL import Image

    return Image.Resampling.BICUBIC


def _answers(model: Model, pictures: Sequence[Real], ledger: Ledger | None) -> Real:
    """What the network's only output is for its only input."""
    graph = model.graph
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise SangboError(f"expected a network of pictures, found inputs {sorted(graph.inputs)}")
    given = np.stack(pictures).astype(np.float32)
    (name,), (output,) = graph.inputs, graph.outputs
    answers: Real = model.engine.run({name: given}, [], ledger=ledger)[output]
    return answers


def classify(model: Model, pictures: Sequence[Image], *, ledger: Ledger | None = None) -> Real:
    """Probability of each class. → (pictures, classes)."""
    return softmax(_answers(model, [prepared(model, p) for p in pictures], ledger))


def read_text(model: Model, picture: Image, *, ledger: Ledger | None = None) -> str:
    """The likeliest text of a line: best class of each column, repeats and blanks dropped.

    That is greedy decoding of connectionist temporal classification (Graves et al. 2006); class 0
    is the blank.
    """
    characters = model.fact("characters", str)
    best = _answers(model, [prepared(model, picture)], ledger)[0].argmax(axis=-1)
    changed = np.flatnonzero(np.diff(best, prepend=-1))
    return "".join(characters[c - 1] for c in best[changed] if c)


def latent(model: Model, count: int, seed: int) -> Real:
    """Standard normal numbers to draw pictures from. → (count, channels)."""
    (kind,) = model.graph.inputs.values()
    generator = np.random.default_rng(seed)
    return generator.standard_normal((count, kind.channels), np.float32)


def draw(
    model: Model, count: int, seed: int = 0, *, ledger: Ledger | None = None
) -> NDArray[np.uint8]:
    """Pictures that a generator makes of random numbers. → (count, height, width, colours)."""
    drawn = _answers(model, list(latent(model, count, seed)), ledger)
    return np.rint((drawn.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def batches(pictures: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """The pictures, ``size`` at a time."""
    for start in range(0, len(pictures), size):
        yield pictures[start : start + size]


class _Pictures(WholeTask):
    """Pictures in, one batch a reading."""

    def pool(self, model: Model, amount: Amount, count: int, progress: Progress) -> list[Real]:
        """Pictures that nothing is measured on, as the network sees them."""
        raise NotImplementedError

    def written(
        self, source: Source, amount: Amount, count: int, draft: Draft, progress: Progress
    ) -> list[Reading]:
        """Pictures."""
        del draft
        model = Model(Reference(source.graph))
        (name,) = source.graph.inputs
        given = self.pool(model, amount, count * SAMPLES, progress)
        return [Reading({name: np.stack(some)}) for some in batches(given, SAMPLES)]


class Classify(_Pictures):
    """See `sangbo.tasks.task.Task`; calibrated on photos that nothing is measured on."""

    name = "classify"
    bears = 0.0002

    def pool(self, model: Model, amount: Amount, count: int, progress: Progress) -> list[Real]:
        """Photos."""
        left = pools.photos(progress)[pools.PHOTOS :]
        return [prepared(model, s.image()) for s in pools.drawn(left, count, amount.seed)]


class ReadText(_Pictures):
    """See `sangbo.tasks.task.Task`; calibrated on rendered words of other seeds."""

    name = "read-text"
    bears = 0.0002

    def pool(self, model: Model, amount: Amount, count: int, progress: Progress) -> list[Real]:
        """Lines of text."""
        need("zoo", "PIL")
        from PIL import Image

        lines = pools.rendered_lines(count, FIRST_SEED + amount.seed, progress)
        return [prepared(model, Image.fromarray(p)) for _, p in lines]


class Draw(_Pictures):
    """See `sangbo.tasks.task.Task`; calibrated on random numbers."""

    name = "draw"

    def likelihood(self, graph: Graph) -> Likelihood:
        """Pixels whose errors of `PIXEL_NOISE` each cost ½ nat together."""
        size = math.prod(graph.values[self.output(graph)].inner())
        return Gaussian(PIXEL_NOISE * math.sqrt(size))

    def pool(self, model: Model, amount: Amount, count: int, progress: Progress) -> list[Real]:
        """Normal numbers."""
        return list(latent(model, count, FIRST_SEED + amount.seed))


SAMPLES = 4
"""Pictures of one reading."""
FIRST_SEED = 1000
"""Seeds below are for measurements."""
PIXEL_NOISE = 0.2
