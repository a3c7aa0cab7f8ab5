"""Networks in files of tensors against the modules that wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sangbo.engines.base import Segment
from sangbo.engines.reference import Reference
from sangbo.graph import Graph
from sangbo.sources import open_source

pytestmark = pytest.mark.oracle
ROUNDING = 2e-5
"""Of the largest result, as in `test_families_live`."""


def close(
    found: NDArray[np.float32], expected: NDArray[np.float32], bound: float = ROUNDING
) -> None:
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound * np.abs(expected).max())


def run(graph: Graph, **inputs: Any) -> NDArray[np.float32]:
    """The one output for whole samples."""
    engine = Reference(graph)
    count = len(next(iter(inputs.values())))
    segments = [Segment(engine.cache(count), count)]
    return engine.run(inputs, segments)[graph.outputs[0]]


def save(module: Any, path: Path, *, within: str | None = None, before: str = "") -> Path:
    import torch

    state = {before + name: tensor for name, tensor in module.state_dict().items()}
    torch.save(state if within is None else {within: state, "epoch": 3, "losses": [0.5]}, path)
    return path


def test_efficientnet(tmp_path: Path) -> None:
    import torch

    from oracles.modules import EfficientNetLite0, randomise

    module = randomise(EfficientNetLite0(classes=20), 1)
    graph = open_source(save(module, tmp_path / "net.pth")).graph
    image = np.random.default_rng(2).standard_normal((1, 224, 224, 3)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.tensor(image).permute(0, 3, 1, 2)).numpy()
    close(run(graph, image=image), expected)


def test_line_of_text(tmp_path: Path) -> None:
    import torch

    from oracles.modules import EasyOcr, randomise

    module = randomise(EasyOcr(width=32, hidden=12), 3)
    graph = open_source(save(module, tmp_path / "net.pt", before="module.")).graph
    image = np.random.default_rng(4).uniform(-1, 1, (2, 64, 768, 1)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.tensor(image).permute(0, 3, 1, 2)).numpy()
    close(run(graph, image=image), expected)


@pytest.mark.parametrize("width", [2, 5])
def test_generator(width: int, tmp_path: Path) -> None:
    import torch

    from oracles.modules import Generator, randomise

    module = randomise(Generator(latent=7, width=width, colours=3), 5)
    path = save(module, tmp_path / "weights.tar", within="netG_state_dict")
    latent = np.random.default_rng(6).standard_normal((3, 7)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.tensor(latent)[..., None, None]).permute(0, 2, 3, 1).numpy()
    close(run(open_source(path).graph, latent=latent), expected)


def test_spelling_to_phonemes(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(7)
    letters, phonemes = torch.nn.Embedding(29, 6), torch.nn.Embedding(74, 6)
    encoder, decoder = (torch.nn.GRU(6, 8, batch_first=True) for _ in range(2))
    head = torch.nn.Linear(8, 74)
    arrays = {"enc_emb": letters.weight, "dec_emb": phonemes.weight}
    arrays |= {"fc_w": head.weight, "fc_b": head.bias}
    for short, cell in (("enc", encoder), ("dec", decoder)):
        for part in ("ih", "hh"):
            arrays[f"{short}_w_{part}"] = getattr(cell, f"weight_{part}_l0")
            arrays[f"{short}_b_{part}"] = getattr(cell, f"bias_{part}_l0")
    path = tmp_path / "net.npz"
    np.savez(path, **{name: array.detach().numpy() for name, array in arrays.items()})
    graph = open_source(path).graph
    engine = Reference(graph)
    source, target = np.array([5, 9, 4, 2], np.int32), np.array([2, 30, 8, 70, 3], np.int32)
    with torch.no_grad():
        state = encoder(letters(torch.tensor(source[None]).long()))[1]
        rows = decoder(phonemes(torch.tensor(target[None]).long()), state)[0]
        expected = head(rows)[0].numpy()
    cache, found = engine.cache(8), []
    for row, token in enumerate(target):
        new = source if row == 0 else source[:0]
        inputs = {
            "source_tokens": new,
            "tokens": np.array([token]),
            "selected": np.zeros(1, np.int32),
        }
        segment = Segment(cache, 1, {"source": len(new)})
        found.append(engine.run(inputs, [segment])["logits"][0])
    close(np.array(found), expected)


def test_voice_activity(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from oracles.modules import VoiceActivity, randomise

    module = randomise(VoiceActivity(), 8)
    torch.nn.init.normal_(module.final_conv.weight, std=3)
    save_file(module.state_dict(), tmp_path / "net.safetensors")
    graph = open_source(tmp_path / "net.safetensors").graph
    sound = np.random.default_rng(8).standard_normal((20, 576)).astype(np.float32)
    expected, state = [], None
    with torch.no_grad():
        for window in sound:
            answer, state = module(torch.tensor(window[None]), state)
            expected.append(answer.numpy())
    engine = Reference(graph)
    cache = engine.cache(len(sound))
    found = [
        engine.run({"sound": sound[a:b, :, None]}, [Segment(cache, b - a)])["speech"]
        for a, b in ((0, 1), (1, 13), (13, 20))
    ]
    close(np.concatenate(found), np.concatenate(expected))
