# mypy: disable-error-code="misc"
"""Modules that torch.export traces against PyTorch itself, and back as modules that train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

import sangbo
from sangbo.errors import SourceError, UnsupportedError
from sangbo.graph import Attention, Linear, Take
from sangbo.training import to_torch

pytestmark = pytest.mark.oracle


class Vision(nn.Module):
    """A vision transformer with a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.positions = nn.Parameter(torch.randn(1, 17, 16))
        layer = nn.TransformerEncoderLayer(
            16, 4, 32, 0.1, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        patches = self.patch(x).flatten(2).transpose(1, 2)
        rows = torch.cat([self.token.expand(len(x), -1, -1), patches], 1) + self.positions
        return self.head(self.encoder(rows)[:, 0])


class RowsFirst(nn.Module):
    """Attention whose batch is the second axis and is merged with the heads on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Any) -> Any:
        rows = x.transpose(0, 1)
        mixed, _ = self.attention(rows, rows, rows, need_weights=False)
        return self.head(mixed.mean(0))


class Cells(nn.Module):
    """Recurrent layers and what reads their last row."""

    def __init__(self, kind: Any, **options: object) -> None:
        super().__init__()
        self.cells = kind(6, 5, **options)
        self.head = nn.Linear(10 if options.get("bidirectional") else 5, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.cells(x)[0][:, -1])


class Residual(nn.Module):
    """Two convolutions around which the input passes, on fewer places."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6))
        self.second = nn.Sequential(nn.Conv2d(6, 6, 3, 1, 1, bias=False), nn.BatchNorm2d(6))
        self.around = nn.Sequential(nn.Conv2d(4, 6, 1, 2, bias=False), nn.BatchNorm2d(6))

    def forward(self, x: Any) -> Any:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.around(x))


class Squeeze(nn.Module):
    """Channels weighed by what all places of them say (Hu et al. 2018), and pixels shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(3, 8, 3, padding="same", dilation=2)
        self.gate = nn.Sequential(nn.Conv2d(8, 2, 1), nn.SiLU(), nn.Conv2d(2, 8, 1), nn.Sigmoid())

    def forward(self, x: Any) -> Any:
        wide = self.expand(x)
        weighed = wide * self.gate(wide.mean((2, 3), keepdim=True))
        a, b = weighed.chunk(2, dim=1)
        whole = torch.cat([a - 0.5 * b, a / 3], dim=1)
        up = nn.functional.interpolate(whole, scale_factor=2, mode="nearest")
        return nn.functional.pad(up[:, :, 1:-1, ::2], (1, 2, 0, 1), mode="reflect")


class Parts(nn.Module):
    """Parts of axes that were split and moved, and of one that was merged."""

    def forward(self, x: Any) -> Any:
        heads = x.unflatten(2, (3, 2, 4)).permute(3, 0, 1, 2, 4)
        some = heads[1][:, 1:5:2, 1:, ::3]
        return some.flatten(1) - x.flatten(1)[:, 5:77:9]


class Words(nn.Module):
    """Embedded words and their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 6)
        self.norm = nn.LayerNorm(6)

    def forward(self, x: Any) -> Any:
        return self.norm(self.words(x)).mean(1)


CASES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "perceptron": (
        lambda: nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Dropout(), nn.Linear(7, 3)),
        (5,),
    ),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6(), nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(8, 8, 3, padding=1, groups=4), nn.GELU(), nn.Flatten(), nn.Linear(160, 10),
        ),
        (3, 16, 20),
    ),
    "transposed": (
        lambda: nn.Sequential(
            nn.ConvTranspose2d(4, 6, 4, 2, 1, output_padding=1), nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(6, 4, 3, 3, 0, groups=2, bias=False, dilation=2), nn.Tanh(),
        ),
        (4, 5, 3),
    ),
    "padded by itself": (
        lambda: nn.Sequential(
            nn.ZeroPad2d((1, 2, 0, 1)), nn.Conv2d(3, 4, 3), nn.AvgPool2d(2, 1, 1),
            nn.ZeroPad2d(1), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        ),
        (3, 9, 9),
    ),
    "one axis": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 4, 5, 2, 2), nn.ReLU(), nn.ConvTranspose1d(4, 3, 4, 2), nn.MaxPool1d(2)
        ),
        (2, 20),
    ),
    "residual": (Residual, (4, 8, 8)),
    "squeeze": (Squeeze, (3, 6, 6)),
    "vision": (Vision, (3, 16, 16)),
    "rows first": (RowsFirst, (6, 16)),
    "parts": (Parts, (6, 24)),
    "lstm": (lambda: Cells(nn.LSTM, batch_first=True, num_layers=2, bidirectional=True), (7, 6)),
    "gru": (lambda: Cells(nn.GRU, batch_first=True), (7, 6)),
}  # fmt: skip


def _ready(make: Callable[[], Any]) -> Any:
    torch.manual_seed(0)
    module = make()
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    return module.eval()


def _channels_last(x: Any) -> Any:
    return x.movedim(1, -1) if x.ndim > 2 else x


@pytest.mark.parametrize("case", CASES)
def test_exported_modules_compute_what_pytorch_computes(case: str) -> None:
    make, shape = CASES[case]
    module = _ready(make)
    graph = sangbo.from_torch(module, [torch.zeros(1, *shape)]).graph
    x = torch.randn(3, *shape)
    with torch.no_grad():
        expected, found = _channels_last(module(x)), to_torch(graph)(_channels_last(x))
    torch.testing.assert_close(found, expected.reshape(found.shape), rtol=1e-5, atol=1e-5)


def test_parts_are_taken_where_they_lie() -> None:
    """Queries, keys and values of packed projections are channels of one value."""
    graph = sangbo.from_torch(_ready(Vision), [torch.zeros(1, 3, 16, 16)]).graph
    made = {o.output: o for o in graph.operations}
    layers = [o for o in graph.operations if isinstance(o, Attention)]
    assert len(layers) == 2
    for attention in layers:
        for number, name in enumerate((attention.query, attention.key, attention.value)):
            took = made[name]
            assert isinstance(took, Take)
            assert took.axis == 2
            assert took.places == tuple(range(16 * number, 16 * number + 16))
            assert isinstance(made[took.input], Linear)


def test_indices_are_embedded() -> None:
    module = _ready(Words)
    graph = sangbo.from_torch(module, [torch.zeros(1, 4, dtype=torch.long)]).graph
    x = torch.randint(0, 9, (3, 4))
    torch.testing.assert_close(to_torch(graph)(x), module(x), rtol=1e-5, atol=1e-5)


def test_batch_norms_are_folded_into_the_weights() -> None:
    graph = sangbo.from_torch(_ready(Residual), [torch.zeros(1, 4, 8, 8)]).graph
    assert "Affine" not in {type(o).__name__ for o in graph.operations}


@pytest.mark.parametrize(
    ("module", "shape", "named"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.Softplus()), (4,), "softplus"),
        (nn.GroupNorm(2, 4), (4, 3, 3), "group_norm"),
        (nn.MaxPool2d(2, ceil_mode=True), (2, 5, 5), "ceil_mode"),
    ],
)
def test_what_has_no_place_is_refused_by_name(
    module: Any, shape: tuple[int, ...], named: str
) -> None:
    with pytest.raises(UnsupportedError, match=named):
        sangbo.from_torch(module, [torch.zeros(1, *shape)])


def test_what_cannot_be_traced_is_refused() -> None:
    class Branches(nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(SourceError, match=r"torch\.export"):
        sangbo.from_torch(Branches(), [torch.zeros(1, 4)])


def test_training_changes_the_graph() -> None:
    graph = sangbo.from_torch(_ready(CASES["perceptron"][0]), [torch.zeros(1, 5)]).graph
    module = to_torch(graph)
    optimiser = torch.optim.SGD(module.parameters(), 0.1)
    x, y = torch.randn(64, 5), torch.randn(64, 3)
    losses = []
    for _ in range(20):
        loss = (module(x) - y).square().mean()
        losses.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    learned = module.graph()
    assert losses[-1] < losses[0]
    assert any(
        (learned.tensors[o.weight.values] != graph.tensors[o.weight.values]).any()
        for o in graph.operations
        if isinstance(o, Linear)
    )
    torch.testing.assert_close(to_torch(learned)(x), module(x))
