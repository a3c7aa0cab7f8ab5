"""Spelling to phonemes by gated recurrent units: the encoder–decoder of g2p-en (Park and Kim 2019).

The state of the encoder after the last letter is the state in which the decoder begins. The graph
takes ``source_tokens``, letters, and ``tokens``, phonemes so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sangbo.graph import Graph, Recurrent, Weight
from sangbo.sources.builder import HEAD, SOURCE_TEXT, TEXT, Builder, rename_all
from sangbo.sources.source import Array

MARK = "enc_w_ih"
"""A tensor that tells these networks from others."""

GRAPHEMES = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
_SOUNDS = (
    "AA0 AA1 AA2 AE0 AE1 AE2 AH0 AH1 AH2 AO0 AO1 AO2 AW0 AW1 AW2 AY0 AY1 AY2 B CH D DH EH0 EH1 EH2 "
    "ER0 ER1 ER2 EY0 EY1 EY2 F G HH IH0 IH1 IH2 IY0 IY1 IY2 JH K L M N NG OW0 OW1 OW2 OY0 OY1 OY2 "
    "P R S SH T TH UH0 UH1 UH2 UW UW0 UW1 UW2 V W Y Z ZH"
)
PHONEMES = ("<pad>", "<unk>", "<s>", "</s>", *_SOUNDS.split(" "))
"""Letters and phonemes in the order of their numbers; the package has them in its code."""

LONGEST = 20
"""Phonemes that the package writes at most."""

NAMES = {
    f"{short}_{theirs}": f"{side}.{ours}"
    for short, side in (("enc", "encoder"), ("dec", "decoder"))
    for theirs, ours in {
        "emb": "embedding",
        "w_ih": "input",
        "b_ih": "input.bias",
        "w_hh": "recurrent",
        "b_hh": "recurrent.bias",
    }.items()
} | {"fc_w": HEAD, "fc_b": f"{HEAD}.bias"}


def from_tensors(
    name: str, tensors: Mapping[str, Array], where: str, metadata: Mapping[str, Any]
) -> Graph:
    """The graph of an encoder–decoder of g2p-en.

    Raises:
        SourceError: where a tensor is missing or malformed.
        UnsupportedError: where a tensor is not known.
    """
    inputs = {n: t for n, t in (SOURCE_TEXT | TEXT).items() if not n.endswith("positions")}
    net = Builder(rename_all(tensors, NAMES, where), inputs)
    letters = _gru(net, "encoder", "source_tokens", None)
    net.head(net.choose(_gru(net, "decoder", "tokens", letters)))
    known = {
        "task": "phonemes", "family": "gru", "graphemes": list(GRAPHEMES),
        "phonemes": list(PHONEMES), "context_length": LONGEST,
        "start": [PHONEMES.index("<s>")], "end": [PHONEMES.index("</s>")],
    }  # fmt: skip
    return net.finish(name, {**known, **metadata})


def _gru(net: Builder, side: str, tokens: str, initial: str | None) -> str:
    rows = net.embed(f"{side}.embedding", tokens)
    gates = net.linear(f"{side}.input", rows)
    name = f"{side}.recurrent"
    return net.add(Recurrent(name, gates, "gru", Weight(name), net.bias(name), initial=initial))
