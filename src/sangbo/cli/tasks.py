"""``sangbo translate``, ``transcribe``, ``classify`` …: one command per task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from sangbo.cli.output import JsonFlag
from sangbo.cli.working import NetworkOption, recording, work
from sangbo.errors import SangboError
from sangbo.extras import need
from sangbo.files import write_file
from sangbo.tasks import pictures
from sangbo.tasks.embed import embed as embed_texts
from sangbo.tasks.phonemes import pronounce
from sangbo.tasks.transcribe import transcribe as transcribe_sound
from sangbo.tasks.translate import translate as translate_text
from sangbo.tasks.voice import detect_voice as detect

Sound = Annotated[Path, typer.Argument(help="A WAV file, 16 bits, 16,000 samples a second.")]
Pictures = Annotated[list[Path], typer.Argument(help="Pictures.")]


def translate(
    text: Annotated[str, typer.Argument(help="What to translate.")],
    network: NetworkOption = "marian-tiny-en-pt",
    json: JsonFlag = False,
) -> None:
    """Translate a sentence."""
    work(
        network, "translate", lambda m, ledger, _: translate_text(m, text, ledger=ledger),
        str, lambda found: {"text": found}, json=json,
    )  # fmt: skip


def transcribe(
    sound: Sound, network: NetworkOption = "whisper-base", json: JsonFlag = False
) -> None:
    """Write down what is said in a recording."""
    samples = recording(sound)
    work(
        network, "transcribe", lambda m, ledger, _: transcribe_sound(m, samples, ledger=ledger),
        str, lambda found: {"text": found}, json=json,
    )  # fmt: skip


def embed(
    texts: Annotated[list[str], typer.Argument(help="Texts.")],
    network: NetworkOption = "minilm-l6",
    json: JsonFlag = False,
) -> None:
    """Vectors of texts, and how alike each two are (cosine)."""

    def shown(vectors: Any) -> str:
        alike = vectors @ vectors.T
        lines = [
            f"{alike[i, j]:6.3f}  {a!r} – {b!r}"
            for i, a in enumerate(texts)
            for j, b in enumerate(texts)
            if i < j
        ]
        return "\n".join(lines) or f"{vectors.shape[1]} numbers: {vectors[0][:8].round(3)} …"

    work(
        network, "embed",
        lambda m, ledger, progress: embed_texts(m, texts, ledger=ledger, progress=progress),
        shown,
        lambda found: {"vectors": found.tolist(), "cosine": (found @ found.T).tolist()},
        json=json,
    )  # fmt: skip


def classify(
    picture: Pictures,
    network: NetworkOption = "efficientnet-lite0",
    top: Annotated[int, typer.Option(min=1, help="Classes to name.")] = 5,
    json: JsonFlag = False,
) -> None:
    """Say what pictures show."""
    images = [_image(p) for p in picture]

    def do(model: Any, ledger: Any, _: Any) -> list[list[dict[str, Any]]]:
        names = model.graph.metadata.get("classes", [])
        answers = pictures.classify(model, images, ledger=ledger)
        best = np.argsort(-answers, axis=-1)[:, :top]
        return [
            [
                {"class": int(c), "name": names[c] if c < len(names) else None,
                 "probability": float(row[c])}
                for c in order
            ]
            for row, order in zip(answers, best, strict=True)
        ]  # fmt: skip

    def shown(found: list[list[dict[str, Any]]]) -> str:
        lines = []
        for path, classes in zip(picture, found, strict=True):
            lines.append(f"{path}:")
            lines += [
                f"  {100 * c['probability']:5.1f} %  {c['name'] or c['class']}" for c in classes
            ]
        return "\n".join(lines)

    work(network, "classify", do, shown, lambda found: {"pictures": found}, json=json)


def read_text(
    picture: Pictures, network: NetworkOption = "easyocr-english-g2", json: JsonFlag = False
) -> None:
    """Read the line of text on each picture."""
    images = [_image(p) for p in picture]
    work(
        network, "read-text",
        lambda m, ledger, _: [pictures.read_text(m, i, ledger=ledger) for i in images],
        "\n".join, lambda found: {"texts": found}, json=json,
    )  # fmt: skip


def phonemes(
    words: Annotated[list[str], typer.Argument(help="Words.")],
    network: NetworkOption = "g2p-en",
    json: JsonFlag = False,
) -> None:
    """How words are spoken, in ARPAbet."""
    work(
        network, "phonemes",
        lambda m, ledger, _: [pronounce(m, w, ledger=ledger) for w in words],
        lambda found: "\n".join(
            f"{w}: {' '.join(p)}" for w, p in zip(words, found, strict=True)
        ),
        lambda found: {"phonemes": found}, json=json,
    )  # fmt: skip


def detect_voice(
    sound: Sound,
    network: NetworkOption = "silero-vad",
    threshold: Annotated[float, typer.Option(help="Probability above which it is speech.")] = 0.5,
    json: JsonFlag = False,
) -> None:
    """When somebody speaks in a recording."""
    samples = recording(sound)

    def do(model: Any, ledger: Any, _: Any) -> tuple[list[float], float]:
        facts = model.facts("sound")
        return detect(model, samples, ledger=ledger).tolist(), facts["window"] / 16_000

    def spoken(found: tuple[list[float], float]) -> list[tuple[float, float]]:
        probabilities, seconds = found
        marks = np.diff(np.r_[0, np.asarray(probabilities) > threshold, 0].astype(int))
        starts, stops = np.flatnonzero(marks == 1), np.flatnonzero(marks == -1)
        return [
            (float(a * seconds), float(b * seconds)) for a, b in zip(starts, stops, strict=True)
        ]

    def shown(found: tuple[list[float], float]) -> str:
        lines = [f"{a:7.2f} s to {b:7.2f} s" for a, b in spoken(found)]
        return "\n".join(lines) or "nobody speaks"

    work(
        network, "detect-voice", do, shown,
        lambda found: {"probabilities": found[0], "window_seconds": found[1],
                       "speech": spoken(found)},
        json=json,
    )  # fmt: skip


def draw(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write a PNG.")],
    network: NetworkOption = "dcgan-faces",
    count: Annotated[int, typer.Option(min=1, help="Pictures, side by side.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the numbers that they are drawn from.")] = 0,
    json: JsonFlag = False,
) -> None:
    """Draw pictures of random numbers."""
    need("zoo", "PIL")
    import io

    from PIL import Image

    def do(model: Any, ledger: Any, _: Any) -> str:
        drawn = pictures.draw(model, count, seed, ledger=ledger)
        row = np.concatenate(list(drawn), axis=1)
        held = io.BytesIO()
        Image.fromarray(row.squeeze()).save(held, "PNG")
        write_file(output, held.getvalue())
        return str(output)

    work(network, "draw", do, str, lambda path: {"picture": path}, json=json)


def _image(path: Path) -> Any:
    need("zoo", "PIL")
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            opened.load()
            return opened.copy()
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        raise SangboError(f"expected {path} to be a picture: {error}") from None
