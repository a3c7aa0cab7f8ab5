"""Networks in the binary forms of Marian, SentencePiece and CTranslate2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sangbo.engines.base import Segment
from sangbo.engines.reference import Reference
from sangbo.errors import SangboError, SourceError, UnsupportedError
from sangbo.sources import Tokenizer, open_source
from sangbo.sources.marian import read_vocabulary
from sangbo.sources.sentencepiece import read_sentencepiece
from sources import made_binaries as made

Write = Callable[[Path], Path]


def rows(count: int, first: int = 0) -> Any:
    return np.arange(first, first + count, dtype=np.int32)


def test_marian_keeps_the_grids_of_the_file(tmp_path: Path) -> None:
    source = open_source(made.write_marian(tmp_path))
    graph, grids = source.graph, source.grids
    matrices = {w.values for o in graph.operations for w in o.weights()} - {"positions"}
    assert grids.keys() == matrices
    for name, grid in grids.items():
        np.testing.assert_array_equal(grid.reals(), graph.tensors[name])
        assert grid.scale.dtype == np.float32
    stored = made.marian_tensors()
    table = stored["Wemb"]
    factor = np.float32(127 / np.abs(table).max())
    np.testing.assert_array_equal(grids["embedding"].values[:-1], np.rint(table * factor))
    np.testing.assert_array_equal(grids["embedding"].values[-1], 0)
    inner = stored["encoder_l1_ffn_W1"]
    factor = np.float32(127 / np.abs(inner).max())
    found = grids["encoder.layers.0.mlp.up"].values
    np.testing.assert_array_equal(found, np.rint(inner * factor).T)
    gates = graph.tensors["decoder.layers.0.recurrent.input"]
    for part, name in ((gates[: made.CHANNELS], "Wf"), (gates[made.CHANNELS :], "W")):
        kept = stored[f"decoder_l1_rnn_{name}"].T
        np.testing.assert_allclose(part, kept, atol=np.abs(kept).max() / 250)
    assert graph.metadata["start"] == [len(made.PIECES)]
    assert graph.metadata["end"] == [0]


def test_marian_computes_what_its_paper_says(tmp_path: Path) -> None:
    """Against the equations in plain NumPy, float64, on the file's own values."""
    source = open_source(made.write_marian(tmp_path))
    tensors = made.marian_tensors()
    values: dict[str, Any] = {}
    for name, tensor in tensors.items():
        if min(tensor.shape) > 1:
            factor = np.float32(127 / np.abs(tensor).max())
            values[name] = np.rint(tensor * factor) / np.float64(factor)
        else:
            values[name] = tensor[0].astype(np.float64)
    size = made.CHANNELS

    def norm(x: Any, name: str) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
        return centred / spread * values[f"{name}_ln_scale"] + values[f"{name}_ln_bias"]

    def attend(x: Any, memory: Any, at: str) -> Any:
        def product(y: Any, part: str) -> Any:
            heads = (y @ values[f"{at}_W{part}"] + values[f"{at}_b{part}"]).reshape(len(y), 2, -1)
            return heads.swapaxes(0, 1)

        q, k, v = product(x, "q"), product(memory, "k"), product(memory, "v")
        shares = np.exp(q @ k.swapaxes(1, 2) / np.sqrt(size // 2))
        mixed = (shares / shares.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(len(x), size)
        return norm(x + mixed @ values[f"{at}_Wo"] + values[f"{at}_bo"], f"{at}_Wo")

    def perceptron(x: Any, at: str) -> Any:
        up = np.maximum(x @ values[f"{at}_W1"] + values[f"{at}_b1"], 0)
        return norm(x + up @ values[f"{at}_W2"] + values[f"{at}_b2"], f"{at}_ffn")

    def place(count: int) -> Any:
        half = size // 2
        angles = np.arange(count)[:, None] * 10000.0 ** (-np.arange(half) / (half - 1))
        return np.concatenate([np.sin(angles), np.cos(angles)], 1)

    ids, target = [5, 8, 3, 0], [6, 4]
    memory = values["Wemb"][ids] * np.sqrt(size) + place(len(ids))
    memory = perceptron(attend(memory, memory, "encoder_l1_self"), "encoder_l1_ffn")
    words = np.concatenate([np.zeros((1, size)), values["Wemb"][target] * np.sqrt(size)])
    hidden, state = [], np.zeros(size)
    for x in words + place(len(words)):
        forget = 1 / (1 + np.exp(-(x @ values["decoder_l1_rnn_Wf"] + values["decoder_l1_rnn_bf"])))
        state = forget * state + (1 - forget) * (x @ values["decoder_l1_rnn_W"])
        hidden.append(norm(x + np.maximum(state, 0), "decoder_l1_rnn_ffn"))
    last = perceptron(attend(np.array(hidden), memory, "decoder_l1_context"), "decoder_l1_ffn")
    expected = last @ values["Wemb"].T + values["decoder_ff_logit_out_b"]

    engine = Reference(source.graph)
    inputs = {
        "source_tokens": np.array(ids, np.int32), "source_positions": rows(len(ids)),
        "tokens": np.array([len(made.PIECES), *target], np.int32), "positions": rows(3),
        "selected": rows(3),
    }  # fmt: skip
    segment = Segment(engine.cache(3), 3, {"source": len(ids)})
    found = engine.run(inputs, [segment])["logits"]
    np.testing.assert_allclose(found[:, :-1], expected, rtol=0, atol=2e-5)
    assert (found[:, -1] < -9000).all()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"encoder_l1_self_Wq": None}, SourceError, r"encoder\.layers\.0\.attention\.query"),
        ({"decoder_l1_rnn_bf": None}, SourceError, "recurrent"),
        ({"decoder_l1_rnn_Wf": None}, UnsupportedError, "recurrent"),
        ({"Wemb": None}, SourceError, "embedding"),
        ({"encoder_l1_extra_Wq": np.ones((2, 2))}, UnsupportedError, "extra"),
        ({"encoder_l2_self_Wq": np.ones((8, 8))}, UnsupportedError, r"layers\.1"),
        ({"encoder_l1_ffn_b1": np.zeros((1, 5))}, SourceError, r"mlp\.up"),
        ({"encoder_l1_ffn_b1": np.full((1, 12), np.nan)}, SourceError, "NaN"),
        ({"decoder_l1_rnn_Wf": np.ones((8, 3))}, SourceError, r"recurrent\.input"),
    ],
)
def test_odd_marian_tensors_are_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    tensors = {n: t for n, t in (made.marian_tensors() | changes).items() if t is not None}
    with pytest.raises(error, match=message):
        open_source(made.write_marian(tmp_path, tensors))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("type: transformer", "type: s2s", "type transformer"),
        ("dec-cell: ssru", "dec-cell: gru", "dec-cell ssru"),
        ("transformer-postprocess: dan", "transformer-postprocess: n", "postprocess dan"),
        ("transformer-heads: 2", "transformer-heads: 3", "3 heads"),
        ("transformer-heads: 2", "transformer-heads: two", "transformer-heads"),
        ("enc-depth: 1", "enc-depth: 99999999", "enc-depth"),
        ("enc-depth: 1", "enc-depth: 2", r"layers\.1"),
    ],
)
def test_other_marian_settings_are_refused(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    folder = made.write_marian(tmp_path)
    settings = made.SETTINGS.replace(before, after)
    content = made.marian_binary(made.marian_tensors(), settings)
    (folder / "model.small.bin").write_bytes(content)
    with pytest.raises((SourceError, UnsupportedError), match=message):
        open_source(folder)


def test_marian_multipliers_must_be_positive(tmp_path: Path) -> None:
    folder = made.write_marian(tmp_path)
    for multiplier in (-1.0, 1e-45, float("inf"), float("nan")):
        content = made.marian_binary(made.marian_tensors(), multiplier=multiplier)
        (folder / "model.small.bin").write_bytes(content)
        with pytest.raises(SourceError, match="positive multiplier"):
            open_source(folder)


def test_folder_of_two_models_is_refused(tmp_path: Path) -> None:
    folder = made.write_marian(tmp_path)
    (folder / "model.other.bin").touch()
    with pytest.raises(SourceError, match="one model"):
        open_source(folder)


def test_whisper_is_that_of_its_parts(tmp_path: Path) -> None:
    source = open_source(made.write_whisper(tmp_path))
    graph, stored = source.graph, made.whisper_tensors()
    fused = stored["decoder/layer_0/attention/linear_1/weight"]
    np.testing.assert_array_equal(graph.tensors["decoder.layers.0.cross.value"], fused[made.WIDE :])
    convolution = graph.tensors["encoder.convolution.0"].reshape(made.WIDE, 3, made.BANDS)
    kept = stored["encoder/conv1/weight"].astype(np.float32)
    np.testing.assert_array_equal(convolution.swapaxes(1, 2), kept)
    assert str(graph.inputs["features"]) == f"real[samples, {2 * made.PLACES}, {made.BANDS}]"
    assert graph.metadata["suppressed"] == [1, 2]
    assert graph.metadata["task"] == "transcribe"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"decoder/layer_0/ffn/linear_0/weight": None}, SourceError, r"mlp\.up"),
        ({"decoder/position_encodings/encodings": None}, SourceError, "positions"),
        ({"encoder/conv1/weight": np.zeros((6, 4), np.float16)}, SourceError, "3 axes"),
        ({"encoder/num_heads": np.array(0, np.int16)}, SourceError, "num_heads"),
        ({"encoder/num_heads": np.array(4, np.int16)}, SourceError, "4 heads"),
        ({"decoder/pre_norm": np.array(0, np.int8)}, UnsupportedError, "pre_norm"),
        ({"decoder/activation": np.array(0, np.int8)}, UnsupportedError, "activation"),
        ({"encoder/odd/weight": np.zeros((2, 2), np.float16)}, UnsupportedError, "odd"),
        ({"encoder/odd/weight": np.zeros((2, 2), np.int8)}, UnsupportedError, "type int8"),
        ({"encoder/conv1/bias": np.full(6, np.inf, np.float16)}, SourceError, "infinity"),
        (
            {"encoder/layer_0/self_attention/linear_0/weight": np.zeros((16, 6), np.float16)},
            SourceError, "query and key and value",
        ),
    ],
)  # fmt: skip
def test_odd_whisper_tensors_are_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    tensors = {n: t for n, t in (made.whisper_tensors() | changes).items() if t is not None}
    with pytest.raises(error, match=message):
        open_source(made.write_whisper(tmp_path, tensors))


def test_other_networks_of_ctranslate2_are_refused(tmp_path: Path) -> None:
    tensors = made.whisper_tensors()
    for name, version in (("TransformerSpec", 6), ("WhisperSpec", 5)):
        content = made.ctranslate2_binary(tensors, name, version)
        made.write_whisper(tmp_path)
        (tmp_path / "model.bin").write_bytes(content)
        with pytest.raises(UnsupportedError, match=r"WhisperSpec|version 6"):
            open_source(tmp_path)


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (made.write_marian, "model.small.bin"),
        (made.write_marian, "vocab.small.spm"),
        (made.write_whisper, "model.bin"),
    ],
)
def test_broken_files_are_errors_of_ours(write: Write, name: str, tmp_path: Path) -> None:
    """Cut anywhere, or with a byte changed: the network, or a `SangboError`, and nothing else."""
    path = write(tmp_path) / name
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for cut in sorted({0, 1, *rng.integers(0, len(whole), 60).tolist()}):
        path.write_bytes(whole[:cut])
        with pytest.raises(SangboError):
            open_source(tmp_path)
    refused = 0
    header = min(len(whole), 2000)
    for place in rng.integers(0, header, 150).tolist():
        broken = bytearray(whole)
        broken[place] = int(rng.integers(0, 256))
        path.write_bytes(broken)
        try:
            open_source(tmp_path)
        except SangboError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
            refused += 1
    assert refused > 10


def test_unigram_vocabulary_cuts_by_its_scores(tmp_path: Path) -> None:
    path = tmp_path / "small.spm"
    path.write_bytes(made.sentencepiece())
    tokenizer = read_sentencepiece(path, ends=True)
    assert tokenizer.size == len(made.PIECES)
    assert tokenizer.encode("ab  ba!") == [5, 2, 6, 8, 0]
    assert tokenizer.encode("zz") == [2, 1, 0]
    assert tokenizer.encode("</s>", affixes=False) == [2, 1, 9, 10, 11]
    assert tokenizer.encode("</s>", affixes=False, control=True)[-1] == 0
    assert tokenizer.decode([5, 2, 6, 8, 0]) == "ab ba!"
    assert tokenizer.ends == {0}
    assert tokenizer.encode("", affixes=False) == []


FOREIGN = ["</s>", "<unk>", ">>por<<", "▁o", "lá", *(p[0] for p in reversed(made.PIECES[2:]))]


def marian_vocabulary(folder: Path, numbers: dict[str, Any]) -> Tokenizer | None:
    (folder / "source.spm").write_bytes(made.sentencepiece())
    (folder / "vocab.json").write_text(json.dumps(numbers), encoding="utf-8")
    return read_vocabulary(folder)


def test_two_languages_share_ids(tmp_path: Path) -> None:
    assert read_vocabulary(tmp_path) is None
    tokenizer = marian_vocabulary(tmp_path, {text: i for i, text in enumerate([*FOREIGN, "<pad>"])})
    assert tokenizer is not None
    place = FOREIGN.index
    assert tokenizer.encode("ab ba!") == [*map(place, ("▁ab", "▁", "ba", "!")), 0]
    assert tokenizer.encode("olá", affixes=False) == [place("▁"), 1]  # ▁o and lá are not cut into
    assert tokenizer.encode(">>por<<ab", affixes=False) == [place(">>por<<"), place("▁ab")]
    assert tokenizer.decode([place("▁o"), place("lá"), place("▁b")]) == "olá b"
    assert tokenizer.size == len(FOREIGN) + 1


@pytest.mark.parametrize(
    "numbers",
    [{}, {"</s>": 0}, {"</s>": 0, "<unk>": 2}, {"</s>": 0, "<unk>": 0}, {"</s>": 0, "<unk>": 1.0}],
)
def test_ids_with_gaps_are_refused(tmp_path: Path, numbers: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match=r"ids|whole numbers"):
        marian_vocabulary(tmp_path, numbers)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", SourceError, "expected to read"),
        (b"\x0b\x0b", SourceError, "protocol buffer"),
        (b"\xff" * 12, SourceError, "64 bits"),
        (made.sentencepiece(trainer=b"\x18\x02"), UnsupportedError, "model type 2"),
        (made.sentencepiece(made.PIECES[2:]), SourceError, "0 unknown"),
        (made.sentencepiece((*made.PIECES, made.PIECES[3])), SourceError, "differ"),
        (made.sentencepiece((*made.PIECES, ("<0x00>", 0.0, 6))), UnsupportedError, "bytes"),
        (made.sentencepiece(made.PIECES[:2]), SourceError, "pieces for texts"),
    ],
)
def test_other_vocabularies_are_refused(
    tmp_path: Path, content: bytes, error: type[Exception], message: str
) -> None:
    path = tmp_path / "small.spm"
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        read_sentencepiece(path, ends=True)
