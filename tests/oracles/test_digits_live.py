"""Networks that learn digits here, converted whole: what they recognise stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sangbo
from sangbo import Settings
from sangbo.engines import Reading, Reference
from sangbo.graph import Graph
from sangbo.tasks import Plain

pytestmark = pytest.mark.oracle

pytest.importorskip("torch")
import torch  # noqa: E402
from torch import nn  # noqa: E402

TRAINED = 1400
"""Of 1797 digits of 8×8 pixels (UCI's optical recognition of handwritten digits)."""


class Cells(nn.Module):
    """Reads the rows of an image one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(8, 32, batch_first=True, bidirectional=True)
        self.out = nn.Linear(64, 10)

    def forward(self, x: Any) -> Any:
        return self.out(self.cells(x)[0][:, 7])


class Encoder(nn.Module):
    """Rows of an image that see each other."""

    def __init__(self) -> None:
        super().__init__()
        self.open = nn.Linear(8, 32)
        self.places = nn.Parameter(torch.zeros(8, 32))
        self.norm, self.second = nn.LayerNorm(32), nn.LayerNorm(32)
        self.parts = nn.ModuleList([nn.Linear(32, 32) for _ in range(4)])
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)
        self.out = nn.Linear(256, 10)

    def forward(self, x: Any) -> Any:
        x = self.open(x) + self.places
        y = self.norm(x)
        q, k, v = (p(y).unflatten(-1, (4, 8)).transpose(1, 2) for p in self.parts[:3])
        mixed = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.parts[3](mixed)
        x = x + self.down(nn.functional.gelu(self.up(self.second(x))))
        return self.out(x.flatten(1))


def convolutional() -> Any:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8)), nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.ReLU6(),
        nn.Conv2d(16, 32, 1), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(32, 10),
    )  # fmt: skip


def digits() -> tuple[Any, Any]:
    """Images (n, 8, 8) within 0…1 in a seeded order, and their labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    return (found.images[order] / 16).astype(np.float32), found.target[order]


def trained(module: Any, images: Any, labels: Any) -> Any:
    optimiser = torch.optim.Adam(module.parameters(), lr=5e-3)
    x, y = torch.tensor(images[:TRAINED]), torch.tensor(labels[:TRAINED])
    for _ in range(25):
        for batch in torch.randperm(TRAINED).split(50):
            optimiser.zero_grad()
            nn.functional.cross_entropy(module(x[batch]), y[batch]).backward()
            optimiser.step()
    return module.eval()


def recognised(graph: Graph, reading: Reading) -> float:
    logits = reading.run(Reference(graph))[graph.outputs[0]]
    return float((logits.argmax(axis=-1) == reading.targets).mean())


@pytest.mark.parametrize("make", [convolutional, Cells, Encoder])
def test_digits_are_recognised_as_before(make: Any) -> None:
    torch.manual_seed(0)
    images, labels = digits()
    module = trained(make(), images, labels)
    source = sangbo.from_torch(module, [torch.tensor(images[:2])])
    name = next(iter(source.graph.inputs))
    shape = tuple(d for d in source.graph.inputs[name].shape[1:] if isinstance(d, int))

    def reading(part: slice) -> Reading:
        last = np.moveaxis(images[part], 1, -1)  # PyTorch has the channels first
        return Reading({name: last.reshape(-1, *shape)}, targets=labels[part])

    held = reading(slice(TRAINED, None))
    given = [reading(slice(i, i + 10)) for i in range(0, 160, 10)]
    network = sangbo.convert(source, settings=Settings(), calibration=given, task=Plain("classify"))
    certificate = sangbo.verify(network, [held], original=source, task=Plain("classify"))
    print(certificate)
    assert certificate.failures() == []
    before, after = (recognised(g, held) for g in (source.graph, network.graph))
    print(make.__name__, before, after, network.conversion["summary"]["spikes_per_value"])
    assert before > 0.93
    assert after >= before - 0.005


def test_a_coarse_conversion_is_trained_back() -> None:
    torch.manual_seed(0)
    images, labels = digits()
    module = trained(nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10)),
                     images.reshape(-1, 64), labels)  # fmt: skip
    source = sangbo.from_torch(module, [torch.zeros(1, 64)])
    name = next(iter(source.graph.inputs))
    held = Reading({name: images[TRAINED:].reshape(-1, 64)}, targets=labels[TRAINED:])
    given = [Reading({name: images[i : i + 20].reshape(-1, 64)}, targets=labels[i : i + 20])
             for i in range(0, 200, 20)]  # fmt: skip
    network = sangbo.convert(source, settings=Settings(budget="spikes=0.45"), calibration=given,
                             task=Plain("classify"))  # fmt: skip
    trainable = network.to_torch()
    x, y = torch.tensor(images[:TRAINED].reshape(-1, 64)), torch.tensor(labels[:TRAINED])
    with torch.no_grad():
        shown = trainable(torch.tensor(held.inputs[name])).argmax(-1).numpy()
    coarse = recognised(network.graph, held)
    assert (shown == held.targets).mean() == pytest.approx(coarse, abs=0.003)
    optimiser = torch.optim.Adam(trainable.parameters(), lr=1e-3)
    for _ in range(20):
        for batch in torch.randperm(TRAINED).split(50):
            optimiser.zero_grad()
            nn.functional.cross_entropy(trainable(x[batch]), y[batch]).backward()
            optimiser.step()
    fine = recognised(trainable.graph(), held)
    print("coarse", coarse, "trained", fine)
    assert fine >= coarse
