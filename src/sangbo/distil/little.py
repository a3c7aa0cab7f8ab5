"""Makes a little network for a big one, in closed form.

Row i reads token i and the big network's hidden value before it, says what the hidden value after
it will be, and which token a head then finds likeliest. So the little network's answers can take
the place of the big one's, and it guesses several tokens in a row (EAGLE: Li et al. 2024, arXiv
2401.15077, here without a layer of its own: two matrices, found by least squares). Norm and head
are the big network's, the head with the tokens that it writes most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sangbo.convert import Settings, convert
from sangbo.distil.texts import Heard, listen
from sangbo.engines import Engine, Reading, Reference
from sangbo.engines.base import Index, Real
from sangbo.engines.reference import dequantise
from sangbo.errors import ConversionError
from sangbo.graph import Embedding, Graph, Linear, Neuron, Norm, ValueType
from sangbo.network import LITTLE, Network
from sangbo.progress import Progress, silent
from sangbo.sources import Source
from sangbo.sources.builder import EMBEDDING, HEAD, Builder
from sangbo.tasks.little import BINS, CHANCES, FEATURES, LOGITS, VOCABULARY, hidden_of
from sangbo.tasks.task import Plain

TOKENS = 20_000
"""Tokens that a little network learns from, unless told otherwise."""
WORDS = 4096
"""Tokens of its head."""
RIDGE = 1e-3
"""Weight of the squares of what is fitted, relative to the mean square of what is read."""
PRIOR = 4.0
READINGS = 16
"""Texts that it is calibrated on, the last `ROWS` rows of each."""
ROWS = 64


def distil(
    network: Network,
    *,
    tokens: int = TOKENS,
    seed: int = 0,
    progress: Progress = silent,
) -> Network:
    """A little network for ``network``, written into its folder where it has one.

    Args:
        network: a converted language model with a tokenizer.
        tokens: that it writes itself, for the little one to learn from.
        seed: of what is drawn.
        progress: told how far it is.

    Raises:
        SangboError: where ``network`` is no language model whose head follows a norm.
    """
    heard = listen(network, tokens, seed, progress)
    return taught(network, heard, progress)


def taught(network: Network, heard: Sequence[Heard], progress: Progress = silent) -> Network:
    """`distil` from texts that were heard already."""
    vocabulary = vocabulary_of(heard, WORDS)
    apart = max(1, len(heard) // 8)
    graph = little_graph(network.graph, vocabulary, *fitted(network.graph, heard[apart:]))
    chances = reliability(graph, heard[:apart], vocabulary)
    graph = replace(graph, metadata={**graph.metadata, CHANCES: chances})
    readings = [reading_of(h, vocabulary, ROWS) for h in heard[:READINGS]]
    folder = None if network.folder is None else network.folder / LITTLE
    return convert(
        Source(graph),
        folder,
        Settings(weight_bits=8),
        calibration=readings,
        task=Plain("guess"),
        progress=progress,
    )


def vocabulary_of(heard: Sequence[Heard], size: int) -> Index:
    """Ids of the ``size`` tokens that the big network finds likeliest most often, ascending."""
    counts = np.bincount(np.concatenate([h.next for h in heard]))
    found: Index = np.sort(np.argsort(-counts, kind="stable")[:size]).astype(np.int32)
    return found


def reading_of(heard: Heard, vocabulary: Index, last: int | None = None) -> Reading:
    """A text, or its last rows, as the little network reads it.

    Targets are places in ``vocabulary``; of tokens that are not there, 0.
    """
    first = 1 if last is None else max(1, len(heard.next) - last)
    following = heard.next[first:]
    places = np.searchsorted(vocabulary, following).clip(max=len(vocabulary) - 1)
    inputs = {
        "tokens": heard.tokens[first:],
        "selected": np.arange(len(following), dtype=np.int32),
        FEATURES: heard.hidden[first - 1 : -1].astype(np.float32),
    }
    known = vocabulary[places] == following
    return Reading(inputs, targets=np.where(known, places, 0).astype(np.int32))


def fitted(big: Graph, heard: Sequence[Heard]) -> tuple[Real, Real]:
    """The matrices T of tokens and F of hidden values, each (channels, channels).

    They minimise Σ ‖y − T·e − F·x‖² + λ‖T F‖², with the embedding e of a token, the hidden value x
    before it and y after it, x and y divided by their root mean squares.
    """
    table = _embedding(big)
    channels = table.shape[1]
    moment = np.zeros((2 * channels, 2 * channels))
    cross = np.zeros((2 * channels, channels))
    for text in heard:
        hidden = text.hidden.astype(np.float64)
        even = hidden / np.sqrt((hidden * hidden).mean(-1, keepdims=True) + 1e-12)
        x = np.concatenate([table[text.tokens[1:]], even[:-1]], 1)
        moment += x.T @ x
        cross += x.T @ even[1:]
    moment[np.diag_indices_from(moment)] += RIDGE * np.diag(moment).mean() + 1e-12
    token, features = np.split(np.linalg.solve(moment, cross).T.astype(np.float32), 2, axis=1)
    return token, features


def little_graph(big: Graph, vocabulary: Index, token: Real, features: Real) -> Graph:
    """The float graph of a little network with the matrices of `fitted`.

    Raises:
        ConversionError: where the head of ``big`` does not follow a norm.
    """
    by_output = {o.output: o for o in big.operations}
    head = by_output[LOGITS]
    sent = by_output.get(head.inputs()[0]) if isinstance(head, Linear) else None
    norm = by_output.get(sent.input) if isinstance(sent, Neuron) else None
    if not (isinstance(head, Linear) and isinstance(norm, Norm)):
        raise ConversionError(f"expected the head of {big.name} to follow a norm, found none")
    channels = big.values[hidden_of(big)].channels
    tensors = {
        EMBEDDING: _embedding(big),
        "before": np.ones(channels, np.float32),
        "fuse.token": np.ascontiguousarray(token),
        "fuse.features": np.ascontiguousarray(features),
        "norm": big.tensors[norm.weight],
        HEAD: dequantise(head.weight, big, rows=vocabulary),
    }
    if norm.bias is not None:
        tensors["norm.bias"] = big.tensors[norm.bias]
    if head.bias is not None:
        tensors[f"{HEAD}.bias"] = big.tensors[head.bias][vocabulary]
    net = Builder(
        tensors,
        {
            "tokens": ValueType("index", ("rows",)),
            "selected": ValueType("index", ("selected",)),
            FEATURES: ValueType("real", ("rows", channels)),
        },
    )
    rows = net.embed(EMBEDDING, "tokens")
    before = net.norm("before", FEATURES, "rms", norm.epsilon)
    fused = net.sum("hidden", net.linear("fuse.token", rows), net.linear("fuse.features", before))
    net.head(net.norm("norm", net.choose(fused), norm.form, norm.epsilon))
    metadata = {
        "task": "guess",
        "context_length": big.metadata.get("context_length"),
        VOCABULARY: [int(i) for i in vocabulary],
    }
    return net.finish(f"{big.name}, little", metadata, (LOGITS, fused))


def right(engine: Engine[Any], heard: Sequence[Heard], vocabulary: Index) -> float:
    """Share of the big network's tokens that a little network guesses from its hidden values."""
    agreed, count = 0, 0
    for text in heard:
        logits = reading_of(text, vocabulary).run(engine)[LOGITS]
        agreed += int((vocabulary[logits.argmax(-1)] == text.next[1:]).sum())
        count += len(logits)
    return agreed / max(1, count)


def reliability(graph: Graph, heard: Sequence[Heard], vocabulary: Index) -> list[list[float]]:
    """How often guesses are right, by how sure the little network is of them.

    The first row is of guesses after what the big network has read, the second of guesses after a
    right guess; entry b of either is of chances from b / `BINS` on. Few guesses lean on half of
    what the little network believes.
    """
    engine = Reference(graph)
    hidden = hidden_of(graph)
    right = np.tile(PRIOR * (np.arange(BINS) + 0.5) / (2 * BINS), (2, 1))
    made = np.full((2, BINS), PRIOR)
    for text in heard:
        inputs, truth = reading_of(text, vocabulary).inputs, text.next[1:]
        for step in range(2):
            outputs = engine.run(inputs, [])
            logits = outputs[LOGITS]
            places = logits.argmax(-1)
            chance = 1 / np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)
            bins = np.minimum((chance * BINS).astype(int), BINS - 1)
            true = vocabulary[places] == truth
            np.add.at(made[step], bins, 1)
            np.add.at(right[step], bins, true)
            kept = np.flatnonzero(true[:-1])  # these guesses are read on
            if not kept.size:
                break
            inputs = {
                "tokens": vocabulary[places[kept]],
                "selected": np.arange(len(kept), dtype=np.int32),
                FEATURES: outputs[hidden][kept],
            }
            truth = truth[kept + 1]
    found: list[list[float]] = (right / made).tolist()
    return found


def _embedding(big: Graph) -> Real:
    table = next((o for o in big.operations if isinstance(o, Embedding)), None)
    if table is None:
        raise ConversionError(f"expected {big.name} to have an embedding, found none")
    return dequantise(table.weight, big)
