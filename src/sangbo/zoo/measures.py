"""The metric of each row, on the original and on the converted network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sangbo.data import pictures as picture_data
from sangbo.data import pools, sounds, texts
from sangbo.data.pools import CAPTIONS, PHOTOS, SEED, WORDS
from sangbo.engines.base import Real
from sangbo.progress import Progress
from sangbo.tasks import metrics, pictures
from sangbo.tasks.embed import embed
from sangbo.tasks.language import mean_loss, windows
from sangbo.tasks.model import Model
from sangbo.tasks.phonemes import pronounce
from sangbo.tasks.transcribe import transcribe
from sangbo.tasks.translate import translate
from sangbo.tasks.voice import detect_voice

TOKENS, FEWER_TOKENS, CONTEXT = 16_384, 8_192, 512
LINES, PAIRS, FACES = 500, 500, 64

Both = tuple[float, float]


def _each(
    original: Model,
    converted: Model,
    metric: Callable[[Model, Progress], float],
    progress: Progress,
) -> Both:
    """The metric of one and of the other."""
    return (
        metric(original, lambda doing, share: progress(f"original: {doing}", share)),
        metric(converted, lambda doing, share: progress(f"converted: {doing}", share)),
    )


# --- language -------------------------------------------------------------------------------------


def _perplexity(model: Model, text: str, tokens: int, progress: Progress) -> float:
    ids = np.asarray(model.text().encode(text), np.int32)[: tokens + 1]
    read = [*windows(ids, min(CONTEXT, model.fact("context_length", int)))]
    return math.exp(mean_loss(model.engine, read, lambda share: progress("reading", share)))


def brown(original: Model, converted: Model, progress: Progress) -> Both:
    """Perplexity of news of the Brown corpus."""
    text = texts.brown("a", progress)
    return _each(original, converted, lambda m, p: _perplexity(m, text, TOKENS, p), progress)


def held_out_shakespeare(original: Model, converted: Model, progress: Progress) -> Both:
    """Perplexity of the end of Shakespeare, which the small networks were not trained on."""
    from sangbo.zoo.small.language import parts

    _, text = parts(progress)
    return _each(original, converted, lambda m, p: _perplexity(m, text, FEWER_TOKENS, p), progress)


def captions(source: str, target: str) -> Callable[[Model, Model, Progress], Both]:
    """chrF2 of translated captions of pictures."""

    def measure(original: Model, converted: Model, progress: Progress) -> Both:
        both = pools.captions(source, target, progress)[:CAPTIONS]

        def metric(model: Model, told: Progress) -> float:
            answers = []
            for step, (text, _) in enumerate(both):
                told("translating", step / len(both))
                answers.append(translate(model, text))
            return metrics.chrf(answers, [truth for _, truth in both])

        return _each(original, converted, metric, progress)

    return measure


def lee(original: Model, converted: Model, progress: Progress) -> Both:
    """Pearson's correlation with people's judgements of 50 news texts."""
    return _judged(original, converted, texts.lee(progress), metrics.pearson, progress)


def wordsim(original: Model, converted: Model, progress: Progress) -> Both:
    """Spearman's correlation with people's judgements of pairs of words."""
    return _judged(original, converted, texts.wordsim(progress), metrics.spearman, progress)


def _judged(
    original: Model,
    converted: Model,
    judged: texts.Judged,
    correlation: Callable[[Any, Any], float],
    progress: Progress,
) -> Both:
    listed = sorted({*judged.first, *judged.second})
    place = {text: i for i, text in enumerate(listed)}
    first, second = ([place[t] for t in side] for side in (judged.first, judged.second))

    def metric(model: Model, told: Progress) -> float:
        vectors = embed(model, listed, progress=told)
        return correlation((vectors[first] * vectors[second]).sum(axis=-1), judged.similarity)

    return _each(original, converted, metric, progress)


def phoneme_errors(original: Model, converted: Model, progress: Progress) -> Both:
    """Phoneme error rate, each word against the nearest of its pronunciations."""
    known = texts.pronunciations(progress)
    words = pools.words(progress)[:WORDS]

    def metric(model: Model, told: Progress) -> float:
        answers = []
        for step, word in enumerate(words):
            told("pronouncing", step / len(words))
            answers.append(pronounce(model, word))
        truths = [metrics.nearest(a, known[w]) for a, w in zip(answers, words, strict=True)]
        return metrics.error_rate(answers, truths)

    return _each(original, converted, metric, progress)


def backwards(original: Model, converted: Model, progress: Progress) -> Both:
    """Exact match of lines written backwards."""
    from sangbo.zoo.small import pairs

    lines = pairs.words(LINES, seed=10_000)

    def metric(model: Model, told: Progress) -> float:
        answers = []
        for step, line in enumerate(lines):
            told("writing", step / len(lines))
            answers.append(translate(model, line, max_tokens=pairs.LONGEST + 2))
        return metrics.exact_match(answers, [pairs.backwards(line) for line in lines])

    return _each(original, converted, metric, progress)


# --- sound ----------------------------------------------------------------------------------------


def word_errors(original: Model, converted: Model, progress: Progress) -> Both:
    """Word error rate on sentences that a volunteer of LibriVox reads."""
    spoken = sounds.librivox(progress)

    def metric(model: Model, told: Progress) -> float:
        answers = []
        for step, clip in enumerate(spoken):
            told("transcribing", step / len(spoken))
            answers.append(_words(transcribe(model, clip.samples)))
        return metrics.error_rate(answers, [_words(clip.text) for clip in spoken])

    return _each(original, converted, metric, progress)


def _words(text: str) -> list[str]:
    """Words in lower case, without marks; a hyphen parts two."""
    plain = "".join(c if c.isalnum() or c == "'" else " " for c in text.lower())
    return plain.split()


def _voices(original: Model, converted: Model, progress: Progress) -> tuple[Real, Real, Any]:
    samples, speech = sounds.speech_and_noise(SEED, progress)
    answers = [detect_voice(m, samples) for m in (original, converted)]
    window = int(original.facts("sound")["window"])
    marks = speech[: len(answers[0]) * window].reshape(-1, window).mean(axis=-1) > 0.5
    return answers[0], answers[1], marks


def voice(original: Model, converted: Model, progress: Progress) -> Both:
    """Area under the ROC curve, window by window."""
    before, after, marks = _voices(original, converted, progress)
    return metrics.auc(before, marks), metrics.auc(after, marks)


def voice_error(original: Model, converted: Model, progress: Progress) -> Both:
    """Mean absolute difference of the probabilities."""
    before, after, _ = _voices(original, converted, progress)
    return 0.0, float(np.abs(after - before).mean())


# --- pictures -------------------------------------------------------------------------------------


def photos(original: Model, converted: Model, progress: Progress) -> Both:
    """Agreement of the likeliest class on photos."""
    chosen = pools.photos(progress)[:PHOTOS]
    return _agreement(original, converted, [s.image() for s in chosen], progress)


def _agreement(
    original: Model, converted: Model, images: Sequence[Any], progress: Progress
) -> Both:
    best = []
    for name, model in (("original", original), ("converted", converted)):
        found = []
        for step, batch in enumerate(pictures.batches(images, 8)):
            progress(f"{name}: classifying", 8 * step / len(images))
            found.append(pictures.classify(model, batch).argmax(axis=-1))
        best.append(np.concatenate(found))
    return 1.0, float((best[0] == best[1]).mean())


def rendered_pairs(original: Model, converted: Model, progress: Progress) -> Both:
    """Share of rendered pairs of words that both read alike."""
    from PIL import Image

    lines = [Image.fromarray(p) for _, p in pools.rendered_lines(PAIRS, SEED, progress)]
    read = []
    for name, model in (("original", original), ("converted", converted)):
        found = []
        for step, line in enumerate(lines):
            progress(f"{name}: reading", step / len(lines))
            found.append(pictures.read_text(model, line))
        read.append(found)
    return 1.0, metrics.exact_match(read[1], read[0])


def faces(original: Model, converted: Model, progress: Progress) -> Both:
    """Mean absolute difference of pixels, of 255, of faces drawn from the same numbers."""
    progress("drawing", 0.0)
    drawn = [pictures.draw(m, FACES, SEED).astype(np.float64) for m in (original, converted)]
    return 0.0, float(np.abs(drawn[1] - drawn[0]).mean())


def _top(original: Model, converted: Model, held: Real, labels: Any) -> Both:
    (name,), (output,) = original.graph.inputs, original.graph.outputs
    answers = [m.engine.run({name: held}, [])[output] for m in (original, converted)]
    return metrics.top(answers[0], labels), metrics.top(answers[1], labels)


def clothes(original: Model, converted: Model, progress: Progress) -> Both:
    """Top-1 on pictures of clothes that nothing was trained on."""
    from sangbo.zoo.small.pictures import split

    data = split(picture_data.clothes("train", progress))
    return _top(original, converted, data.test, data.test_labels)


def digits(original: Model, converted: Model, progress: Progress) -> Both:
    """Top-1 on digits that nothing was trained on."""
    from sangbo.zoo.small.pictures import split

    data = split(picture_data.digits(progress))
    return _top(original, converted, data.test, data.test_labels)


def rebuilt_digits(original: Model, converted: Model, progress: Progress) -> Both:
    """Mean squared error of digits that went through the narrow layer."""
    from sangbo.zoo.small.pictures import split

    held = split(picture_data.digits(progress)).test
    (name,), (output,) = original.graph.inputs, original.graph.outputs
    errors = []
    for model in (original, converted):
        rebuilt = model.engine.run({name: held}, [])[output].reshape(held.shape)
        errors.append(float(np.square(rebuilt - held).mean()))
    return errors[0], errors[1]
