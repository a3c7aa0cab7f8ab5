"""Marian networks in the binary form that Bergamot distributes: int8 matrices, an SSRU decoder.

The networks of Kim et al. 2019 (D19-5632): a transformer encoder normalised after each sum, and a
decoder whose self-attention is a simpler simple recurrent unit. Words are embedded, scaled by √d
and added to sines and cosines of their positions; the first row of a target has no word.

The file's int8 matrices stay on their own grids. The multipliers of activations that it has beside
(``QuantMultA``) are left out: thresholds come from calibration.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sangbo.errors import SourceError, UnsupportedError
from sangbo.graph import Graph, Recurrent
from sangbo.progress import Progress, silent
from sangbo.sources.blocks import Block, attend, encode, feed_forward, residual
from sangbo.sources.builder import EMBEDDING, HEAD, MOST_LAYERS, SOURCE_TEXT, TEXT, Builder, look
from sangbo.sources.facts import Facts
from sangbo.sources.marian import waves
from sangbo.sources.marian_binary import TABLE, Item, read_items
from sangbo.sources.sentencepiece import read_sentencepiece
from sangbo.sources.source import Array, Grid, Source, sha256_of

MODEL, VOCABULARY = "model*.bin", "vocab*.spm"
CONTEXT = 1024
"""Positions in the table; the networks themselves have no bound."""

EPSILON = 1e-6
UNREACHABLE = -1e4
"""Bias of the logit of what is no word of the vocabulary: its probability is 0."""

SETTINGS = "special:model.yml"
_EXPECTED = {
    "type": "transformer",
    "dec-cell": "ssru",
    "transformer-decoder-autoreg": "rnn",
    "transformer-preprocess": '""',
    "transformer-postprocess": "dan",
    "transformer-postprocess-emb": "d",
    "transformer-postprocess-top": '""',
    "transformer-ffn-activation": "relu",
    "transformer-ffn-depth": "2",
    "transformer-train-position-embeddings": "false",
    "transformer-no-projection": "false",
    "tied-embeddings-all": "true",
    "dec-cell-base-depth": "2",
    "ulr": "false",
}
"""What the network's settings must say where they say it."""

_FEED_FORWARD = {"W1": "up", "b1": "up.bias", "W2": "down", "b2": "down.bias"}
_ATTENTION = {
    f"{letter}{short}": f"{ours}{bias}"
    for short, ours in (("q", "query"), ("k", "key"), ("v", "value"), ("o", "output"))
    for letter, bias in (("W", ""), ("b", ".bias"))
}


def _norm(before: str) -> dict[str, str]:
    return {f"{before}_ln_scale": "norm", f"{before}_ln_bias": "norm.bias"}


_HALVES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "self": ("attention", _ATTENTION | _norm("Wo")),
    "context": ("cross", _ATTENTION | _norm("Wo")),
    "ffn": ("mlp", _FEED_FORWARD | _norm("ffn")),
    "rnn": (
        "recurrent", {"W": "state", "Wf": "forget", "bf": "forget.bias"} | _norm("ffn")
    ),
}  # fmt: skip
"""Marian's names of a layer's half and of its tensors → ours."""

_OUTER = {TABLE: EMBEDDING, "decoder_ff_logit_out_b": f"{HEAD}.bias"}
_INNER = re.compile(r"(encoder|decoder)_l([1-9]\d{0,3})_([a-z]+)_(\w+)")
LEFT_OUT = "_QuantMultA"


def read_bergamot(folder: Path, progress: Progress = silent, name: str | None = None) -> Source:
    """Read the Marian network in a folder: one ``.bin`` beside the ``.spm`` of its vocabulary.

    Args:
        folder: holds one ``model*.bin`` and one ``vocab*.spm``.
        progress: told how far the reading is.
        name: what to call the network; by default the folder's name.

    Raises:
        SourceError: where a file is missing or broken.
        UnsupportedError: where the network is not of this kind, or holds a tensor that Sangbo does
            not know.
    """
    model, vocabulary = one_file(folder, MODEL), one_file(folder, VOCABULARY)
    tokenizer = read_sentencepiece(vocabulary, ends=True)
    called = name or folder.resolve().name
    known = {"source": called, "licence": "unknown", "end": sorted(tokenizer.ends)}
    graph, grids = build(called, read_items(model), str(model), known)
    words = len(graph.tensors[EMBEDDING]) - 1
    if tokenizer.size != words:
        raise SourceError(f"expected {words} pieces in {vocabulary}, found {tokenizer.size}")
    origin = {
        "kind": "bergamot",
        "folder": called,
        "licence": "unknown",
        "sha256": {f.name: sha256_of(f, progress) for f in (model, vocabulary)},
    }
    return Source(graph, tokenizer, grids, origin)


def one_file(folder: Path, pattern: str) -> Path:
    """The only file of ``folder`` that ``pattern`` fits; `SourceError` otherwise."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SourceError(f"expected one {pattern} in {folder}, found {[f.name for f in found]}")
    return found[0]


def build(
    name: str, items: Mapping[str, Item], where: str, metadata: Mapping[str, Any]
) -> tuple[Graph, dict[str, Grid]]:
    """The float graph, and the grids of its matrices.

    The first token of a target is the one after the vocabulary: its row of the embedding is 0, and
    its logit is out of reach.

    Args:
        name: what people call it.
        items: the tensors of the file.
        where: the file, for messages.
        metadata: facts to keep with it.
    """
    settings = _settings(items, where)
    named = _rename(items, where)
    grids = {n: item for n, item in named.items() if isinstance(item, Grid)}
    tensors = {n: _reals(item) for n, item in named.items()}
    words, channels = look(tensors, EMBEDDING, 2, where).shape
    half = channels // 2
    rates = np.exp(np.arange(half) * (-math.log(10000.0) / max(1, half - 1)))
    tensors["positions"] = waves(CONTEXT, rates)
    net = Builder(tensors, SOURCE_TEXT | TEXT)
    heads = settings.whole("transformer-heads")
    scale = 1 / math.sqrt(max(1, channels // heads))
    block = Block(heads, scale, "layer", EPSILON, "relu", norm_first=False)
    factor = math.sqrt(channels)

    def embed(side: str, tokens: str, positions: str) -> str:
        at = f"{side}.embedding"
        rows = net.scale(
            f"{at}.scaled", net.embed(EMBEDDING, tokens, f"{at}.rows"), factor, channels
        )
        return net.sum(f"{at}.sum", rows, net.embed("positions", positions, f"{at}.places"))

    source = embed("encoder", "source_tokens", "source_positions")
    memory = encode(net, source, block, settings.whole("enc-depth", highest=MOST_LAYERS))
    hidden = embed("decoder", "tokens", "positions")
    for layer in range(settings.whole("dec-depth", highest=MOST_LAYERS)):
        at = f"decoder.layers.{layer}"
        hidden = residual(net, f"{at}.recurrent", hidden, block, partial(_ssru, net, at))
        hidden = attend(net, f"{at}.cross", hidden, block, memory=memory, causal=False)
        hidden = feed_forward(net, f"{at}.mlp", hidden, block)
    net.head(net.choose(hidden))
    known = {
        "task": "translate", "family": "marian", "context_length": CONTEXT,
        "source_length": CONTEXT, "start": [words - 1], "suppressed": [],
    }  # fmt: skip
    return net.finish(name, {**known, **metadata}), grids


def _ssru(net: Builder, at: str, source: str) -> str:
    gates = net.linear(f"{at}.recurrent.input", source)
    return net.add(Recurrent(f"{at}.recurrent", gates, "ssru"))


def _settings(items: Mapping[str, Item], where: str) -> Facts:
    """The network's settings: the lines ``key: value`` of the file's YAML, checked."""
    stored = items.get(SETTINGS)
    if not isinstance(stored, np.ndarray):
        raise SourceError(f"expected {SETTINGS!r} in {where}, found none")
    text = stored.tobytes().decode("utf-8", "replace").rstrip("\0")
    lines = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line[1:])
    for key, value in _EXPECTED.items():
        if lines.get(key, value) != value:
            raise UnsupportedError(f"expected {key} {value} in {where}, found {lines[key]}")
    return Facts({k: int(v) if v.isdecimal() else v for k, v in lines.items()}, where)


def _rename(items: Mapping[str, Item], where: str) -> dict[str, Item]:
    """The tensors under our names, the two gates of each unit in one matrix."""
    named: dict[str, Item] = {}
    for name, item in items.items():
        if name == SETTINGS or name.endswith(LEFT_OUT):
            continue
        ours = _OUTER.get(name) or _inner_name(name)
        if ours is None:
            raise UnsupportedError(
                f"expected no tensor that is not known, found {name!r} in {where}"
            )
        vector = ours.endswith((".bias", ".norm"))
        named[ours] = _reals(item).reshape(-1) if vector else item
    if EMBEDDING in named:
        table = named[EMBEDDING]
        named[EMBEDDING] = _joined(table, _first_row_of_zeros(table))
    if f"{HEAD}.bias" in named:
        words = _reals(named[f"{HEAD}.bias"])
        named[f"{HEAD}.bias"] = np.append(words, np.float32(UNREACHABLE))
    for at in [n.removesuffix(".forget") for n in named if n.endswith(".recurrent.forget")]:
        parts = [named.pop(f"{at}.{part}", None) for part in ("forget", "state", "forget.bias")]
        forget, state, bias = parts
        if forget is None or state is None or not isinstance(bias, np.ndarray):
            raise SourceError(f"expected W, Wf and bf of {at!r} in {where}, found fewer")
        named[f"{at}.input"] = _joined(forget, state)
        named[f"{at}.input.bias"] = np.concatenate([bias, np.zeros_like(bias)])
    return named


def _inner_name(name: str) -> str | None:
    match = _INNER.fullmatch(name)
    if match is None or match[3] not in _HALVES:
        return None
    half, parts = _HALVES[match[3]]
    part = parts.get(match[4])
    return part and f"{match[1]}.layers.{int(match[2]) - 1}.{half}.{part}"


def _reals(item: Item) -> Array:
    return item.reals() if isinstance(item, Grid) else item


def _first_row_of_zeros(item: Item) -> Item:
    if isinstance(item, Grid):
        return dataclasses.replace(
            item, values=np.zeros_like(item.values[:1]), scale=item.scale[:1]
        )
    return np.zeros_like(item[:1])


def _joined(first: Item, second: Item) -> Item:
    """Two matrices of as many inputs, one above the other; raises `SourceError` on others."""
    if isinstance(first, Grid) and isinstance(second, Grid) and first.group == second.group:
        values = np.concatenate([first.values, second.values])
        return Grid(8, first.group, values, np.concatenate([first.scale, second.scale]))
    upper, lower = _reals(first), _reals(second)
    if upper.ndim != 2 or lower.ndim != 2 or upper.shape[1] != lower.shape[1]:
        raise SourceError(
            f"expected matrices of as many inputs, found shapes {upper.shape} and {lower.shape}"
        )
    return np.concatenate([upper, lower])
