"""Networks as plain shapes: loop nests of well-known networks, no weights and no data needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sangbo.chips.nests import Nest, attention, convolution, linear


def decoder(
    layers: int,
    width: int,
    heads: int,
    *,
    inner: int | None = None,
    vocabulary: int = 0,
    length: int = 512,
    batch: int = 1,
    together: bool = False,
) -> list[Nest]:
    """``batch`` tokens through a GPT-2-type decoder.

    Args:
        layers: blocks.
        width: channels.
        heads: of the attention.
        inner: channels inside the feed-forward part; four times ``width`` if not given.
        vocabulary: outputs of the head; none without one.
        length: rows in the cache.
        batch: tokens that share the weights.
        together: whether they are a prompt, one text with one cache; otherwise each has its own.
    """
    inner = 4 * width if inner is None else inner
    nests: list[Nest] = []
    for layer in range(layers):
        place = f"layers.{layer}"
        own = attention(f"{place}.attention", heads, heads, width // heads, length)
        nests += [
            linear(f"{place}.qkv", 3 * width, width, batch),
            *(
                replace(n, batch=n.batch * batch)
                if together
                else replace(n, groups=n.groups * batch)
                for n in own
            ),
            linear(f"{place}.projection", width, width, batch),
            linear(f"{place}.up", inner, width, batch),
            linear(f"{place}.down", width, inner, batch),
        ]
    if vocabulary:
        nests.append(linear("head", vocabulary, width, batch))
    return nests


def alexnet(batch: int = 1) -> list[Nest]:
    """AlexNet on ImageNet (Krizhevsky et al. 2012), with its two groups."""
    table = (
        ("conv1", 96, 3, 55, 11, 4, 1),
        ("conv2", 256, 96, 27, 5, 1, 2),
        ("conv3", 384, 256, 13, 3, 1, 1),
        ("conv4", 384, 384, 13, 3, 1, 2),
        ("conv5", 256, 384, 13, 3, 1, 2),
    )
    return [
        convolution(n, k, c, size, kernel, stride=stride, groups=groups, batch=batch)
        for n, k, c, size, kernel, stride, groups in table
    ] + [
        linear("fc6", 4096, 9216, batch),
        linear("fc7", 4096, 4096, batch),
        linear("fc8", 1000, 4096, batch),
    ]


def vgg16(size: int = 224, classes: int = 1000, batch: int = 1) -> list[Nest]:
    """VGG-16 (Simonyan and Zisserman 2014) on images of ``size``: 32 is the form for CIFAR.

    On 224 pixels it ends in three dense layers of 4,096, 4,096 and ``classes``; on smaller images,
    as is usual, in one of 512 and one of ``classes``.
    """
    nests, inputs = [], 3
    for block, (channels, count) in enumerate(
        ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1
    ):
        for index in range(1, count + 1):
            name = f"conv{block}.{index}"
            nests.append(convolution(name, channels, inputs, size, 3, batch=batch))
            inputs = channels
        size //= 2
    features = 512 * size * size
    wide = 4096 if size > 1 else 512
    dense = (wide, wide, classes) if size > 1 else (wide, classes)
    for index, outputs in enumerate(dense, start=1):
        nests.append(linear(f"fc{index}", outputs, features, batch))
        features = outputs
    return nests


def resnet50(size: int = 224, classes: int = 1000, batch: int = 1) -> list[Nest]:
    """ResNet-50 (He et al. 2015), the stride in the 3 × 3 convolution."""
    size //= 2
    nests = [convolution("conv1", 64, 3, size, 7, stride=2, batch=batch)]
    size //= 2
    inputs = 64
    for stage, (inner, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=2):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 2 and block == 1 else 1
            name, after = f"conv{stage}.{block}", size // stride
            nests += [
                convolution(f"{name}.a", inner, inputs, size, 1, batch=batch),
                convolution(f"{name}.b", inner, inner, after, 3, stride=stride, batch=batch),
                convolution(f"{name}.c", 4 * inner, inner, after, 1, batch=batch),
            ]
            if block == 1:
                short = convolution(
                    f"{name}.skip", 4 * inner, inputs, after, 1, stride=stride, batch=batch
                )
                nests.append(short)
            inputs, size = 4 * inner, after
    return [*nests, linear("fc", classes, inputs, batch)]


def swin_tiny(batch: int = 1) -> list[Nest]:
    """Swin-T on 224 pixels (Liu et al. 2021): windows of 7 × 7, heads of 32 channels."""
    nests = [convolution("embed", 96, 3, 56, 4, stride=4, batch=batch)]
    size, width, window = 56, 96, 49
    for stage, blocks in enumerate((2, 2, 6, 2), start=1):
        tokens, heads = batch * size * size, width // 32
        for block in range(1, blocks + 1):
            place = f"stage{stage}.{block}"
            within = attention(f"{place}.attention", heads, heads, 32, window)
            nests += [
                linear(f"{place}.qkv", 3 * width, width, tokens),
                *(replace(n, batch=window, groups=heads * tokens // window) for n in within),
                linear(f"{place}.projection", width, width, tokens),
                linear(f"{place}.up", 4 * width, width, tokens),
                linear(f"{place}.down", width, 4 * width, tokens),
            ]
        if stage < 4:
            size //= 2
            nests.append(linear(f"merge{stage}", 2 * width, 4 * width, batch * size * size))
            width *= 2
    return [*nests, linear("head", 1000, width, batch)]


def total_macs(nests: Sequence[Nest]) -> int:
    """Products of all nests."""
    return sum(n.macs for n in nests)
