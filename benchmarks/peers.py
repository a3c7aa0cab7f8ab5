"""Engines that run the same language model: ours and its peers, each behind one small interface.

Every class loads SmolLM2-135M-Instruct from the catalogue's GGUF and offers ``prefill(tokens)`` and
``decode(steps)`` in seconds. What is made of the file for a peer (another quantisation, another
format) is kept in a work folder and made once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import sangbo
from sangbo.engines import Native, Segment
from sangbo.sources import entries, fetch

MODEL = "smollm2-135m-instruct"
CONTEXT = 1024


class Peer(Protocol):
    """One engine with the model loaded."""

    def prefill(self, tokens: int) -> float:
        """Seconds to read a fresh prompt of ``tokens`` tokens, up to the last one's logits."""

    def decode(self, steps: int) -> float:
        """Seconds to write ``steps`` tokens after a prompt of 16, greedily."""


@cache
def gguf_file() -> Path:
    """The catalogue's file: Q4_1 weights, Q8_0 embedding."""
    return fetch(entries()[MODEL])


def prompt(tokens: int) -> list[int]:
    """Random ordinary tokens, the same in every engine."""
    return np.random.default_rng(0).integers(17, 49152, tokens).tolist()


def timed(action: Callable[[], object]) -> float:
    """Seconds that ``action`` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


class Sangbo:
    """Our native engine, 8- or 4-bit weights, counting or not."""

    def __init__(self, work: Path, threads: int, bits: int = 8, counting: bool = True) -> None:
        folder = work / f"sangbo-{bits}"
        if not (folder / "graph.json").exists():
            sangbo.convert(MODEL, folder, sangbo.Settings(weight_bits=bits))
        self.engine = Native(sangbo.load(folder).graph, threads=threads)
        self.ledger = self.engine.ledger() if counting else None

    def _run(self, cache: Any, tokens: list[int]) -> int:
        rows = np.arange(len(tokens), dtype=np.int32)
        inputs = {
            "tokens": np.asarray(tokens, np.int32),
            "positions": rows + np.int32(cache.length),
            "selected": rows[-1:],
        }
        segment = Segment(cache, len(tokens))
        logits = self.engine.run(inputs, [segment], ledger=self.ledger)["logits"]
        return int(logits[0].argmax())

    def prefill(self, tokens: int) -> float:
        cache = self.engine.cache(CONTEXT)
        return timed(lambda: self._run(cache, prompt(tokens)))

    def decode(self, steps: int) -> float:
        cache = self.engine.cache(CONTEXT)
        token = self._run(cache, prompt(16))

        def write() -> None:
            nonlocal token
            for _ in range(steps):
                token = self._run(cache, [token])

        return timed(write)


class LlamaCpp:
    """llama.cpp through llama-cpp-python."""

    def __init__(self, work: Path, threads: int, kind: str) -> None:
        import llama_cpp

        path = gguf_file()
        if kind == "Q8_0":
            path = work / "smollm2-q8_0.gguf"
            if not path.exists():
                options = llama_cpp.llama_model_quantize_default_params()
                options.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
                options.allow_requantize = True
                files = str(gguf_file()).encode(), str(path).encode()
                if llama_cpp.llama_model_quantize(*files, options):
                    raise RuntimeError("llama.cpp could not make a Q8_0 file")
        self.model = llama_cpp.Llama(
            str(path), n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, n_batch=512,
            n_ubatch=512, verbose=False,
        )  # fmt: skip

    def prefill(self, tokens: int) -> float:
        self.model.reset()
        return timed(lambda: self.model.eval(prompt(tokens)))

    def decode(self, steps: int) -> float:
        self.model.reset()
        self.model.eval(prompt(16))

        def write() -> None:
            for _ in range(steps):
                self.model.eval([self.model.sample(temp=0.0, top_k=1)])

        return timed(write)


@cache
def transformers_model() -> Any:
    """The float32 model in PyTorch."""
    import torch
    from transformers import AutoModelForCausalLM

    path = gguf_file()
    return AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()


def plain_copy(model: Any) -> Any:
    """The same network without the memory of having come from a GGUF file, which bars saving."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = model.config.to_dict()
    config.pop("quantization_config", None)
    plain = LlamaForCausalLM(LlamaConfig(**config))
    plain.load_state_dict(model.state_dict())
    return plain


class Transformers:
    """Transformers on PyTorch."""

    def __init__(self, work: Path, threads: int, kind: str = "float32") -> None:
        import torch

        torch.set_num_threads(threads)
        self.model = transformers_model().to(getattr(torch, kind))

    def prefill(self, tokens: int) -> float:
        import torch

        with torch.inference_mode():
            ids = torch.tensor([prompt(tokens)])
            return timed(lambda: self.model(ids, logits_to_keep=1))

    def decode(self, steps: int) -> float:
        import torch

        with torch.inference_mode():
            first = self.model(torch.tensor([prompt(16)]), logits_to_keep=1)
            past, token = first.past_key_values, first.logits[:, -1:].argmax(-1)

            def write() -> None:
                nonlocal past, token
                for _ in range(steps):
                    found = self.model(token, past_key_values=past)
                    past, token = found.past_key_values, found.logits[:, -1:].argmax(-1)

            return timed(write)


class OpenVino:
    """OpenVINO with int8 weights through NNCF, all logits. Its decode has no cache: one token
    alone, an upper bound of what it would reach."""

    def __init__(self, work: Path, threads: int) -> None:
        import openvino as ov

        path = work / "openvino" / "smollm2-int8.xml"
        core = ov.Core()
        if not path.exists():
            self._convert(path)
        self.compiled = core.compile_model(
            core.read_model(path),
            "CPU",
            {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"},
        )

    @staticmethod
    def _convert(path: Path) -> None:
        import nncf
        import openvino as ov
        import torch

        class Logits(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = transformers_model()

            def forward(self, ids: Any) -> Any:
                shown = torch.ones_like(ids)
                return self.model(ids, shown, use_cache=False, logits_to_keep=1).logits

        with torch.no_grad():
            converted = ov.convert_model(
                Logits(), example_input=torch.zeros((1, 8), dtype=torch.long),
                input=[ov.PartialShape([1, -1])],
            )  # fmt: skip
        compressed = nncf.compress_weights(converted, mode=nncf.CompressWeightsMode.INT8_ASYM)
        path.parent.mkdir(parents=True, exist_ok=True)
        ov.save_model(compressed, path)

    def prefill(self, tokens: int) -> float:
        ids = np.asarray([prompt(tokens)], np.int64)
        return timed(lambda: self.compiled(ids))

    def decode(self, steps: int) -> float:
        ids = np.asarray([[17]], np.int64)
        return timed(lambda: [self.compiled(ids) for _ in range(steps)])


class CTranslate2:
    """CTranslate2 with int8 weights."""

    def __init__(self, work: Path, threads: int) -> None:
        import ctranslate2
        from transformers import AutoTokenizer

        folder, original = work / "ctranslate2", work / "transformers"
        path = gguf_file()
        if not folder.exists():
            plain_copy(transformers_model()).save_pretrained(original)
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
            tokenizer.save_pretrained(original)
            converter = ctranslate2.converters.TransformersConverter(str(original))
            converter.convert(str(folder), quantization="int8")
        self.model = ctranslate2.Generator(
            str(folder), "cpu", compute_type="int8", inter_threads=1, intra_threads=threads
        )
        tokenizer = AutoTokenizer.from_pretrained(original)
        self.words = tokenizer.convert_ids_to_tokens(prompt(CONTEXT))

    def prefill(self, tokens: int) -> float:
        return timed(lambda: self.model.forward_batch([self.words[:tokens]]))

    def decode(self, steps: int) -> float:
        options = {"sampling_topk": 1, "include_prompt_in_result": False, "end_token": []}
        words = [self.words[:16]]

        def write(length: int) -> float:
            return timed(
                lambda: self.model.generate_batch(
                    words, max_length=length, min_length=length, **options
                )
            )

        return write(steps + 1) - write(1)


PEERS: dict[str, Callable[[Path, int], Peer]] = {
    "sangbo 8-bit, counting": lambda w, t: Sangbo(w, t),
    "sangbo 8-bit": lambda w, t: Sangbo(w, t, counting=False),
    "sangbo 4-bit, counting": lambda w, t: Sangbo(w, t, bits=4),
    "llama.cpp Q8_0": lambda w, t: LlamaCpp(w, t, "Q8_0"),
    "llama.cpp Q4_1": lambda w, t: LlamaCpp(w, t, "Q4_1"),
    "OpenVINO int8 weights": OpenVino,
    "CTranslate2 int8": CTranslate2,
    "transformers float32": Transformers,
    "transformers bfloat16": lambda w, t: Transformers(w, t, "bfloat16"),
}

# Threads of libraries that wait for work may spin for a while, as they are tuned to, but not into
# another engine's turn.
os.environ.setdefault("KMP_BLOCKTIME", "20")
