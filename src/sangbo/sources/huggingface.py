"""Networks in Hugging Face folders: ``config.json`` beside safetensors files.

A new family is one module with ``from_huggingface``, and one line in `FAMILIES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import huggingface_hub
import numpy as np
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from sangbo.errors import GraphError, SourceError, UnsupportedError
from sangbo.graph import Graph, map_tensors
from sangbo.progress import Progress, silent
from sangbo.sources import bart, bert, gpt2, llama, marian, mixtral, t5, whisper
from sangbo.sources.builder import EMBEDDING
from sangbo.sources.facts import Facts, read_json
from sangbo.sources.source import Array, Source, sha256_of
from sangbo.sources.tokenizer import GENERATION_FILE, TOKENIZER_FILE, Tokenizer

Reader: TypeAlias = Callable[[str, Facts, Mapping[str, Array], Mapping[str, Any]], Graph]


@dataclass(frozen=True, slots=True)
class Family:
    """How to read the networks of one family.

    Attributes:
        read: makes the graph from a name, the configuration, float32 tensors and metadata.
        task: what its networks do.
        derived: endings of the names of tensors that old checkpoints hold and nothing needs.
    """

    read: Reader
    task: str
    derived: tuple[str, ...] = ()


_LLAMA = Family(llama.from_huggingface, "generate", llama.DERIVED)

FAMILIES: Mapping[str, Family] = {
    "BartForConditionalGeneration": Family(bart.from_huggingface, "translate"),
    "BertForSequenceClassification": Family(
        bert.classifier_from_huggingface, "classify", bert.DERIVED
    ),
    "BertModel": Family(bert.from_huggingface, "embed", bert.DERIVED),
    "GPT2LMHeadModel": Family(gpt2.from_huggingface, "generate", gpt2.DERIVED),
    "LlamaForCausalLM": _LLAMA,
    "MBartForConditionalGeneration": Family(bart.mbart_from_huggingface, "translate"),
    "MT5ForConditionalGeneration": Family(t5.mt5_from_huggingface, "translate"),
    "MarianMTModel": Family(marian.from_huggingface, "translate", marian.DERIVED),
    "MistralForCausalLM": _LLAMA,
    "MixtralForCausalLM": Family(mixtral.from_huggingface, "generate", llama.DERIVED),
    "Qwen2ForCausalLM": _LLAMA,
    "T5ForConditionalGeneration": Family(t5.from_huggingface, "translate"),
    "WhisperForConditionalGeneration": Family(whisper.from_huggingface, "transcribe"),
}
"""What reads a network, by the architecture that its ``config.json`` names."""

CONFIG = "config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PATTERNS = (
    CONFIG, SINGLE, INDEX, "model-*.safetensors", TOKENIZER_FILE, "tokenizer_config.json",
    "chat_template.jinja", GENERATION_FILE, *marian.VOCABULARY,
)  # fmt: skip
"""What is fetched of a repository: never code, pickles or other forms of the weights."""

_REPOSITORY = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_REALS = ("float16", "float32")


def fetch_repository(spec: str, progress: Progress = silent) -> Path:
    """The folder of ``ORG/NAME`` or ``ORG/NAME@REVISION``, fetched into Hugging Face's cache.

    Raises:
        SourceError: where the name is malformed, or the repository cannot be reached.
    """
    match = _REPOSITORY.fullmatch(spec)
    if match is None:
        raise SourceError(f"expected hf:ORG/NAME or hf:ORG/NAME@REVISION, found 'hf:{spec}'")
    progress(f"fetching {spec} from Hugging Face", 0.0)
    try:
        folder = huggingface_hub.snapshot_download(
            match[1], revision=match[2], allow_patterns=list(PATTERNS), ignore_patterns=["*/*"]
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first = str(error).strip().partition("\n")[0]
        raise SourceError(
            f"expected to fetch {spec!r} from Hugging Face: {first or type(error).__name__}"
        ) from None
    progress(f"fetching {spec} from Hugging Face", 1.0)
    return Path(folder)


def read_folder(folder: Path, progress: Progress = silent, name: str | None = None) -> Source:
    """Read the network in a folder that transformers wrote.

    Args:
        folder: holds ``config.json``, safetensors files, and ``tokenizer.json`` or Marian's
            vocabulary where there is one.
        progress: told how far the reading is.
        name: what to call the network; by default the folder's name.

    Raises:
        SourceError: where a file is missing or broken.
        UnsupportedError: where the network is of an architecture, or holds a tensor or a type, that
            Sangbo does not know.
    """
    facts = _facts(folder)
    architectures = facts.items("architectures")
    chosen = [FAMILIES[a] for a in architectures if isinstance(a, str) and a in FAMILIES]
    if len(architectures) != 1 or not chosen:
        raise UnsupportedError(
            f"expected one architecture of {', '.join(FAMILIES)} in {folder / CONFIG}, "
            f"found {architectures}"
        )
    if "quantization_config" in facts:
        method = facts.inner("quantization_config").values.get("quant_method")
        raise UnsupportedError(f"expected float weights beside {facts.where}, found {method!r}")
    called = name or folder.resolve().name
    files, tensors = _read_tensors(folder, chosen[0].derived)
    metadata = {"task": chosen[0].task, "source": called, "licence": "unknown"}
    graph = chosen[0].read(called, facts, tensors, metadata)
    written = (folder / TOKENIZER_FILE).exists()
    tokenizer = Tokenizer.load(folder) if written else marian.read_vocabulary(folder)
    rows = len(graph.tensors[EMBEDDING])
    if tokenizer is not None and tokenizer.size > rows:
        raise SourceError(f"expected at most {rows} tokens in {folder}, found {tokenizer.size}")
    origin = {
        "kind": "huggingface",
        "folder": called,
        "licence": "unknown",
        "sha256": {f.name: sha256_of(f, progress) for f in (folder / CONFIG, *files)},
    }
    return Source(graph, tokenizer, {}, origin)


def _facts(folder: Path) -> Facts:
    """The configuration, and below it what stands in a file of its own for generation."""
    facts = read_json(folder / CONFIG)
    if not (folder / GENERATION_FILE).exists():
        return facts
    return Facts({**read_json(folder / GENERATION_FILE).values, **facts.values}, facts.where)


def _read_tensors(folder: Path, derived: tuple[str, ...]) -> tuple[list[Path], dict[str, Array]]:
    """The files that hold the weights, and the weights as float32 by their names there."""
    files = [folder / SINGLE]
    placed: Mapping[str, Any] | None = None
    if not files[0].exists():
        if not (folder / INDEX).exists():
            raise SourceError(f"expected {SINGLE} or {INDEX} in {folder}, found neither")
        placed = read_json(folder / INDEX).inner("weight_map").values
        files = [folder / n for n in sorted({_shard(n, folder) for n in placed.values()})]
    tensors: dict[str, Array] = {}
    dropped: set[str] = set()
    for file in files:
        try:
            mapped = map_tensors(file)
        except GraphError as error:
            raise SourceError(str(error)) from None
        for tensor, values in mapped.items():
            if placed is not None and placed.get(tensor) != file.name:
                raise SourceError(f"expected {tensor!r} in another file than {file}")
            if tensor.endswith(derived):
                dropped.add(tensor)
                continue
            if values.dtype.name not in _REALS:
                raise UnsupportedError(f"tensor {tensor!r} in {file} has type {values.dtype.name}")
            tensors[tensor] = values.astype(np.float32, copy=False)
    if placed is not None and (missing := placed.keys() - tensors.keys() - dropped):
        raise SourceError(f"expected a tensor {min(missing)!r} in {folder}, found none")
    return files, tensors


def _shard(name: Any, folder: Path) -> str:
    """A file name of the index; it must name a file of the folder itself."""
    if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
        raise SourceError(
            f"expected names of safetensors files in {folder / INDEX}, found {name!r}"
        )
    return name
