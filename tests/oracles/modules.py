"""PyTorch modules of networks whose checkpoints hold tensors alone, as their authors wrote them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

STAGES = (
    (1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112), (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320),
)  # fmt: skip


class SameConv(nn.Conv2d):
    def forward(self, x: Any) -> Any:
        sizes, taps = x.shape[-2:], self.weight.shape[-2:]
        pads: list[int] = []
        for size, tap, stride in zip(sizes, taps, self.stride, strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + tap - size, 0)
            pads = [total // 2, total - total // 2, *pads]
        padded = functional.pad(x, pads)
        return functional.conv2d(padded, self.weight, None, self.stride, 0, 1, self.groups)


class InvertedResidual(nn.Module):
    def __init__(self, kernel: int, stride: int, expand: int, inputs: int, outputs: int) -> None:
        super().__init__()
        inner = inputs * expand
        self.expand, self.residual = expand != 1, stride == 1 and inputs == outputs
        if self.expand:
            self._expand_conv = SameConv(inputs, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=1e-3)
        self._depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = nn.BatchNorm2d(inner, eps=1e-3)
        self._project_conv = SameConv(inner, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Any) -> Any:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expand else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        self._blocks = nn.ModuleList(
            InvertedResidual(k, s if i == 0 else 1, e, a if i == 0 else b, b)
            for count, k, s, e, a, b in STAGES
            for i in range(count)
        )
        self._conv_head = SameConv(320, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=1e-3)
        self._fc = nn.Linear(1280, classes)

    def forward(self, x: Any) -> Any:
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return self._fc(functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3)))


class BidirectionalLSTM(nn.Module):
    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(inputs, hidden, bidirectional=True, batch_first=True)
        self.linear = nn.Linear(2 * hidden, outputs)

    def forward(self, x: Any) -> Any:
        return self.linear(self.rnn(x)[0])


class Columns(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        a, b, c, d = width // 8, width // 4, width // 2, width

        def conv(inputs: int, outputs: int, taps: int = 3, side: int = 1, bias: bool = True) -> Any:
            return nn.Conv2d(inputs, outputs, taps, 1, side, bias=bias)

        self.ConvNet = nn.Sequential(
            conv(1, a), nn.ReLU(), nn.MaxPool2d(2, 2), conv(a, b), nn.ReLU(), nn.MaxPool2d(2, 2),
            conv(b, c), nn.ReLU(), conv(c, c), nn.ReLU(), nn.MaxPool2d((2, 1), (2, 1)),
            conv(c, d, bias=False), nn.BatchNorm2d(d), nn.ReLU(),
            conv(d, d, bias=False), nn.BatchNorm2d(d), nn.ReLU(), nn.MaxPool2d((2, 1), (2, 1)),
            conv(d, d, 2, 0), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return self.ConvNet(x)


class EasyOcr(nn.Module):
    """EasyOCR's ``vgg_model.Model``."""

    def __init__(self, width: int = 256, hidden: int = 256, classes: int = 97) -> None:
        super().__init__()
        self.FeatureExtraction = Columns(width)
        self.SequenceModeling = nn.Sequential(
            BidirectionalLSTM(width, hidden, hidden), BidirectionalLSTM(hidden, hidden, hidden)
        )
        self.Prediction = nn.Linear(hidden, classes)

    def forward(self, x: Any) -> Any:
        columns = self.FeatureExtraction(x).permute(0, 3, 1, 2).mean(-1)
        return self.Prediction(self.SequenceModeling(columns))


class Generator(nn.Module):
    """The generator of PyTorch's DCGAN tutorial."""

    def __init__(self, latent: int = 100, width: int = 64, colours: int = 3) -> None:
        super().__init__()
        sizes = [latent, width * 8, width * 4, width * 2, width, colours]
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
            stride, side = (2, 1) if index else (1, 0)
            layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride, side, bias=False))
            if index < len(sizes) - 2:
                layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        self.main = nn.Sequential(*layers, nn.Tanh())

    def forward(self, x: Any) -> Any:
        return self.main(x)


class VoiceActivity(nn.Module):
    """Silero VAD, after the package's own ``tinygrad_model.py``."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, 128, bias=False)
        self.conv1 = nn.Conv1d(129, 128, 3, 1, 1)
        self.conv2 = nn.Conv1d(128, 64, 3, 2, 1)
        self.conv3 = nn.Conv1d(64, 64, 3, 2, 1)
        self.conv4 = nn.Conv1d(64, 128, 3, 1, 1)
        self.lstm_cell = nn.LSTMCell(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, x: Any, state: Any) -> Any:
        x = self.stft_conv(functional.pad(x, (0, 64), "reflect")[:, None])
        x = (x[:, :129] ** 2 + x[:, 129:] ** 2).sqrt()
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x).relu()
        state = self.lstm_cell(x.squeeze(-1), state)
        return self.final_conv(state[0].relu()[..., None]).sigmoid().flatten(1), state


def randomise(module: nn.Module, seed: int) -> nn.Module:
    """The module with seeded weights that keep the size of values, and norms of all kinds."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.4, 2.0)
                part.weight.uniform_(0.5, 1.5)
                part.bias.normal_(0, 0.3)
            elif isinstance(part, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                fan = part.weight[0].numel()
                if isinstance(part, nn.ConvTranspose2d):
                    fan = part.weight.shape[0] * 4
                part.weight.normal_(0, (2 / fan) ** 0.5)
    return module.eval()
