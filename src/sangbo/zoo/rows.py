"""The rows of the table: a network, its data and metric, and how much it may lose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from sangbo.progress import Progress
from sangbo.sources import Source, open_source
from sangbo.tasks import Task
from sangbo.tasks.model import Model
from sangbo.zoo import measures

Loss: TypeAlias = Literal["relative rise", "relative fall", "fall", "rise", "distance", "agreement"]
"""How a change of the metric is held against what is allowed: its rise or fall, in itself or as a
share of the original's; the metric itself as a distance from the original (0 is best); or an
agreement with it, of which 1 − allowed must remain."""

Measure: TypeAlias = Callable[[Model, Model, Progress], tuple[float, float]]
"""The metric of the original and of the converted network, on data that neither was fitted to."""

Open: TypeAlias = Callable[[Path, Progress], Source]
"""The network; the folder is for what is trained here."""


@dataclass(frozen=True, slots=True)
class Row:
    """One network of the table.

    Attributes:
        network: its name.
        family: its kind.
        metric: what is measured, and on what.
        loss: how a change counts.
        allowed: how much.
        open: where it comes from.
        measure: how it is measured.
        task: makes what it is calibrated and certified with; None for its graph's own task.
    """

    network: str
    family: str
    metric: str
    loss: Loss
    allowed: float
    open: Open
    measure: Measure
    task: Callable[[], Task] | None = None

    def lost(self, original: float, converted: float) -> float:
        """The change that counts against `allowed`; below 0 where the converted one is better."""
        if self.loss == "distance":
            return converted
        if self.loss == "agreement":
            return 1 - converted
        change = converted - original if self.loss.endswith("rise") else original - converted
        return change / abs(original) if self.loss.startswith("relative") else change


def _catalogue(name: str) -> Open:
    return lambda folder, progress: open_source(name, progress)


def _language(kind: str) -> Open:
    def made(folder: Path, progress: Progress) -> Source:
        from sangbo.zoo.small import language

        return _saved(folder, progress, lambda new: language.trained(kind, new, progress))

    return made


def _pairs(kind: str) -> Open:
    def made(folder: Path, progress: Progress) -> Source:
        from sangbo.zoo.small import pairs

        return _saved(folder, progress, lambda new: pairs.trained(kind, new, progress))

    return made


def _saved(folder: Path, progress: Progress, train: Callable[[Path], None]) -> Source:
    """What transformers wrote into ``folder``, trained first where nothing stands there."""
    from sangbo.files import replaced_folder

    if not (folder / "config.json").is_file():
        with replaced_folder(folder, "config.json") as new:
            train(new)
    return open_source(folder, progress)


def _picture(kind: str) -> Open:
    def made(folder: Path, progress: Progress) -> Source:
        from sangbo.zoo.small import pictures

        return pictures.classifier(kind, progress)

    return made


def _autoencoder(folder: Path, progress: Progress) -> Source:
    from sangbo.zoo.small import pictures

    return pictures.trained_autoencoder(progress)


def _belief(folder: Path, progress: Progress) -> Source:
    from sangbo.zoo.small import belief

    return belief.trained(progress)


def _backwards() -> Task:
    from sangbo.zoo.small.tasks import Backwards

    return Backwards()


def _of_clothes() -> Task:
    from sangbo.zoo.small.tasks import Pictures

    return Pictures()


def _of_digits() -> Task:
    from sangbo.zoo.small.tasks import Pictures

    return Pictures(clothes=False)


def _rebuilding() -> Task:
    from sangbo.zoo.small.tasks import Pictures

    return Pictures(rebuilds=True, clothes=False)


RELATIVE = 0.005

_ROWS = (
    Row("smollm2-135m-instruct", "decoder language model",
        "perplexity, 16,384 tokens of Brown news", "relative rise", RELATIVE,
        _catalogue("smollm2-135m-instruct"), measures.brown),
    Row("gpt2-small-shakespeare", "GPT-2", "perplexity, 8,192 tokens of Shakespeare",
        "relative rise", RELATIVE, _language("gpt2"), measures.held_out_shakespeare),
    Row("marian-tiny-en-pt", "translation", "chrF2, 150 captions", "fall", 0.5,
        _catalogue("marian-tiny-en-pt"), measures.captions("en", "pt")),
    Row("marian-tiny-pt-en", "translation", "chrF2, 150 captions", "fall", 0.5,
        _catalogue("marian-tiny-pt-en"), measures.captions("pt", "en")),
    Row("minilm-l6", "BERT", "Pearson, Lee-50", "fall", 0.005,
        _catalogue("minilm-l6"), measures.lee),
    Row("minilm-l6-words", "BERT", "Spearman, WordSim-353", "fall", 0.005,
        _catalogue("minilm-l6"), measures.wordsim),
    Row("efficientnet-lite0", "CNN", "top-1 agreement with the original, 500 photos",
        "agreement", 0.03, _catalogue("efficientnet-lite0"), measures.photos),
    Row("easyocr-english-g2", "CNN and BiLSTM", "same strings as the original, 500 rendered pairs",
        "agreement", 0.03, _catalogue("easyocr-english-g2"), measures.rendered_pairs),
    Row("g2p-en", "GRU", "phoneme error rate, 1,000 words of CMUdict", "rise", 0.003,
        _catalogue("g2p-en"), measures.phoneme_errors),
    Row("silero-vad", "LSTM", "area under the ROC curve, speech and noise", "fall", 0.005,
        _catalogue("silero-vad"), measures.voice),
    Row("silero-vad-probabilities", "LSTM", "mean error of probability, speech and noise",
        "distance", 0.02, _catalogue("silero-vad"), measures.voice_error),
    Row("dcgan-faces", "GAN", "mean absolute error of a pixel, of 255", "distance", 2.0,
        _catalogue("dcgan-faces"), measures.faces),
    Row("whisper-base", "speech", "word error rate, LibriVox clips", "rise", 0.005,
        _catalogue("whisper-base"), measures.word_errors),
    Row("mixtral-small-shakespeare", "mixture of experts",
        "perplexity, 8,192 tokens of Shakespeare", "relative rise", RELATIVE,
        _language("mixtral"), measures.held_out_shakespeare),
    Row("t5-small-backwards", "T5", "exact match, 500 lines written backwards",
        "relative fall", RELATIVE, _pairs("t5"), measures.backwards, _backwards),
    Row("bart-small-backwards", "BART", "exact match, 500 lines written backwards",
        "relative fall", RELATIVE, _pairs("bart"), measures.backwards, _backwards),
    Row("alexnet-small", "AlexNet", "top-1, 1,000 pictures of Fashion-MNIST", "relative fall",
        RELATIVE, _picture("alexnet"), measures.clothes, _of_clothes),
    Row("resnet-small", "ResNet", "top-1, 1,000 pictures of Fashion-MNIST", "relative fall",
        RELATIVE, _picture("resnet"), measures.clothes, _of_clothes),
    Row("vit-small", "vision transformer", "top-1, 1,000 pictures of Fashion-MNIST",
        "relative fall", RELATIVE, _picture("vit"), measures.clothes, _of_clothes),
    Row("autoencoder-small", "autoencoder", "mean squared error, 1,000 digits",
        "relative rise", RELATIVE, _autoencoder, measures.rebuilt_digits, _rebuilding),
    Row("dbn-small", "deep belief network", "top-1, 1,000 digits", "relative fall", RELATIVE,
        _belief, measures.digits, _of_digits),
)  # fmt: skip

ROWS: Mapping[str, Row] = {row.network: row for row in _ROWS}
"""All rows by name, in the order of the table."""
