"""Networks of pictures, trained on Fashion-MNIST or digits: AlexNet, ResNet, ViT, autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from sangbo.data.pictures import Labelled, clothes, digits
from sangbo.engines.base import Real
from sangbo.progress import Progress
from sangbo.sources import Source
from sangbo.sources.exported import from_torch
from sangbo.zoo.small.training import train

SIDE = 28
HELD_OUT = 1000
"""Pictures that nothing is trained on."""
BATCH = 64


def alexnet(classes: int = 10) -> nn.Module:
    """AlexNet (Krizhevsky, Sutskever and Hinton 2012), narrower and for pictures of 28×28."""
    return nn.Sequential(
        nn.Conv2d(1, 24, 5, 2, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(24, 48, 5, 1, 2, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(48, 64, 3, 1, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, 1, 1, groups=2), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(64 * 16, 128), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(128, classes),
    )  # fmt: skip


class Residual(nn.Module):
    """Two convolutions around which the input passes (He et al. 2015, arXiv 1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs),
            nn.ReLU(), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.around = nn.Identity() if stride == 1 and inputs == outputs else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        """(batch, inputs, height, width) → (batch, outputs, height / stride, width / stride)."""
        return F.relu(self.body(x) + self.around(x))


def resnet(classes: int = 10) -> nn.Module:
    """A residual network of eight convolutions."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes),
    )  # fmt: skip


class VisionTransformer(nn.Module):
    """Patches as words, and a class token (Dosovitskiy et al. 2020, arXiv 2010.11929)."""

    def __init__(self, classes: int = 10, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, width, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 1 + (SIDE // 4) ** 2, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, 0.1, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Any) -> Any:
        """(batch, 1, 28, 28) → (batch, classes)."""
        patches = self.patch(x).flatten(2).transpose(1, 2)
        rows = torch.cat([self.token.expand(len(x), -1, -1), patches], 1) + self.positions
        return self.head(self.norm(self.encoder(rows)[:, 0]))


def autoencoder() -> nn.Module:
    """A picture through 32 numbers and back (Hinton and Salakhutdinov 2006)."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 32), nn.ReLU(),
        nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 784), nn.Sigmoid(),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures within 0…1 and classes: what is trained on, and what nothing has seen."""

    train: Real
    train_labels: Any
    test: Real
    test_labels: Any


def split(data: Labelled, seed: int = 0) -> Split:
    """`HELD_OUT` pictures apart from the rest, drawn with ``seed``."""
    order = np.random.default_rng(seed).permutation(len(data.pictures))
    whole = (data.pictures[order] / 255).astype(np.float32)[..., None]
    labels = data.labels[order]
    return Split(whole[HELD_OUT:], labels[HELD_OUT:], whole[:HELD_OUT], labels[:HELD_OUT])


KINDS = {"alexnet": alexnet, "resnet": resnet, "vit": VisionTransformer}


def classifier(kind: str, progress: Progress, *, steps: int = 700, seed: int = 0) -> Source:
    """One of `KINDS`, trained on Fashion-MNIST."""
    data = split(clothes("train", progress))
    torch.manual_seed(seed)
    module = KINDS[kind]()
    pictures, labels = torch.from_numpy(data.train), torch.from_numpy(data.train_labels)

    def step(generator: Any) -> Any:
        chosen = torch.randint(len(pictures), (BATCH,), generator=generator)
        return F.cross_entropy(module(_first(pictures[chosen])), labels[chosen])

    train(module, step, steps=steps, rate=2e-3, seed=seed, progress=progress,
          doing=f"training {kind}")  # fmt: skip
    facts = {"task": "classify", "family": kind, "licence": "Apache-2.0"}
    return from_torch(module, [torch.zeros(1, 1, SIDE, SIDE)], name=f"{kind}-small", metadata=facts)


def trained_autoencoder(progress: Progress, *, steps: int = 1500, seed: int = 0) -> Source:
    """`autoencoder`, trained on digits."""
    data = split(digits(progress))
    torch.manual_seed(seed)
    module = autoencoder()
    pictures = torch.from_numpy(data.train)

    def step(generator: Any) -> Any:
        chosen = _first(pictures[torch.randint(len(pictures), (BATCH,), generator=generator)])
        return F.mse_loss(module(chosen), chosen.flatten(1))

    train(module, step, steps=steps, rate=2e-3, seed=seed, progress=progress,
          doing="training an autoencoder")  # fmt: skip
    facts = {"task": "draw", "family": "autoencoder", "licence": "Apache-2.0"}
    return from_torch(
        module, [torch.zeros(1, 1, SIDE, SIDE)], name="autoencoder-small", metadata=facts
    )


def _first(pictures: Any) -> Any:
    return pictures.movedim(-1, 1)
