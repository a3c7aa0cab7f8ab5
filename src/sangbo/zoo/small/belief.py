"""A deep belief network on digits: layers trained one by one as restricted Boltzmann machines."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from sangbo.data.pictures import digits
from sangbo.progress import Progress
from sangbo.sources import Source
from sangbo.sources.exported import from_torch
from sangbo.zoo.small.pictures import SIDE, split
from sangbo.zoo.small.training import train

WIDTHS = (784, 256, 128)
RATE, MOMENTUM, BATCH = 0.05, 0.5, 100


def boltzmann(data: Any, hidden: int, epochs: int, generator: Any) -> tuple[Any, Any]:
    """A layer's weights (hidden, visible) and offsets by contrastive divergence of one step.

    Hinton, Osindero and Teh 2006: the difference between what data and its reconstruction say.
    """
    visible = data.shape[1]
    weight = torch.randn(hidden, visible, generator=generator) * 0.01
    up, down = torch.zeros(hidden), data.mean(0).clamp(1e-3, 1 - 1e-3).logit()
    change = torch.zeros_like(weight)
    for _ in range(epochs):
        for chosen in torch.randperm(len(data), generator=generator).split(BATCH):
            seen = data[chosen]
            first = torch.sigmoid(seen @ weight.T + up)
            fired = (torch.rand(first.shape, generator=generator) < first).float()
            dreamt = torch.sigmoid(fired @ weight + down)
            second = torch.sigmoid(dreamt @ weight.T + up)
            gradient = (first.T @ seen - second.T @ dreamt) / len(seen)
            change = MOMENTUM * change + RATE * gradient
            weight += change
            up += RATE * (first - second).mean(0)
            down += RATE * (seen - dreamt).mean(0)
    return weight, up


def trained(progress: Progress, *, epochs: int = 8, steps: int = 600, seed: int = 0) -> Source:
    """The network: layers stacked from below without labels, then tuned as a whole with them."""
    data = split(digits(progress))
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    seen = torch.from_numpy(data.train).flatten(1)
    labels = torch.from_numpy(data.train_labels)
    layers: list[nn.Module] = [nn.Flatten()]
    values = seen
    for number, (inputs, outputs) in enumerate(itertools.pairwise(WIDTHS)):
        progress("training Boltzmann machines", number / (len(WIDTHS) - 1))
        layer = nn.Linear(inputs, outputs)
        weight, up = boltzmann(values, outputs, epochs, generator)
        with torch.no_grad():
            layer.weight.copy_(weight)
            layer.bias.copy_(up)
        values = torch.sigmoid(values @ weight.T + up)
        layers += [layer, nn.Sigmoid()]
    module = nn.Sequential(*layers, nn.Linear(WIDTHS[-1], 10))

    def step(drawn: Any) -> Any:
        chosen = torch.randint(len(seen), (BATCH,), generator=drawn)
        return F.cross_entropy(module(seen[chosen]), labels[chosen])

    train(module, step, steps=steps, rate=2e-3, seed=seed, progress=progress,
          doing="tuning a deep belief network")  # fmt: skip
    facts = {"task": "classify", "family": "deep belief network", "licence": "Apache-2.0"}
    return from_torch(module, [torch.zeros(1, 1, SIDE, SIDE)], name="dbn-small", metadata=facts)
