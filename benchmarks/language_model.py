"""Our native engine beside its peers on one language model, interleaved in one run.

    make benchmark-language-model

Each engine lives in a process of its own and waits while another is measured. One round measures
every engine once; the first round warms up and is dropped. Ratios are taken round by round against
the same round of the peer, so that a machine whose speed drifts does not decide.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

TARGETS = (
    ("sangbo 8-bit, counting", "llama.cpp Q8_0", "decode"),
    ("sangbo 4-bit, counting", "llama.cpp Q4_1", "decode"),
    ("sangbo 8-bit, counting", "llama.cpp Q8_0", "prefill"),
    ("sangbo 8-bit, counting", "OpenVINO int8 weights", "prefill"),
    ("sangbo 8-bit, counting", "sangbo 8-bit", "decode"),
    ("sangbo 8-bit, counting", "sangbo 8-bit", "prefill"),
)


class Worker:
    """An engine in a process of its own."""

    def __init__(self, name: str, work: Path, threads: int) -> None:
        command = [sys.executable, __file__, "--worker", name, "--work", str(work)]
        self.process = subprocess.Popen(
            [*command, "--threads", str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )  # fmt: skip
        self._answer()

    def ask(self, what: str, tokens: int) -> float:
        """Tokens per second."""
        if self.process.stdin is None:
            raise RuntimeError("expected a worker that listens")
        self.process.stdin.write(json.dumps([what, tokens]) + "\n")
        self.process.stdin.flush()
        return tokens / float(self._answer())

    def _answer(self) -> Any:
        if self.process.stdout is None:
            raise RuntimeError("expected a worker that answers")
        for line in self.process.stdout:
            if line.startswith("answer "):
                return json.loads(line.removeprefix("answer "))
        raise RuntimeError(f"a worker ended with status {self.process.wait()}")


def serve(name: str, work: Path, threads: int) -> None:
    """Answer questions of the parent until it closes the pipe."""
    from peers import PEERS

    peer = PEERS[name](work, threads)
    print("answer 0", flush=True)
    for line in sys.stdin:
        what, tokens = json.loads(line)
        seconds = peer.prefill(tokens) if what == "prefill" else peer.decode(tokens)
        print("answer", json.dumps(seconds), flush=True)


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker")
    parser.add_argument("--work", type=Path, default=Path("build/benchmarks"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", nargs="*")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.worker:
        serve(options.worker, options.work, options.threads)
        return
    from peers import PEERS

    workers: dict[str, Worker] = {}
    for name in options.engines or PEERS:
        print(f"loading {name} …", file=sys.stderr)
        try:
            workers[name] = Worker(name, options.work, options.threads)
        except RuntimeError as error:
            print(f"left out: {name} ({error})", file=sys.stderr)
    speeds: dict[str, dict[str, list[float]]] = {n: {"prefill": [], "decode": []} for n in workers}
    for turn in range(options.rounds + 1):
        for name, worker in workers.items():
            for what, tokens in (("prefill", options.prompt), ("decode", options.tokens)):
                speed = worker.ask(what, tokens)
                if turn:
                    speeds[name][what].append(speed)
        print(f"round {turn} of {options.rounds}", file=sys.stderr)
    print(
        f"{platform.processor() or platform.machine()}, {options.threads} threads, "
        f"prefill of {options.prompt}, decode of {options.tokens}, "
        f"{options.rounds} rounds, median (range) tokens/s\n"
    )
    print("| engine | prefill | decode |\n|---|---:|---:|")
    for name, found in speeds.items():
        print(f"| {name} | {spread(found['prefill'])} | {spread(found['decode'])} |")
    print("\n| ratio, round by round | of | median (range) |\n|---|---|---:|")
    for ours, theirs, what in TARGETS:
        if ours in speeds and theirs in speeds:
            pairs = zip(speeds[ours][what], speeds[theirs][what], strict=True)
            print(f"| {ours} / {theirs} | {what} | {spread([a / b for a, b in pairs])} |")
    if options.json:
        options.json.write_text(json.dumps(speeds, indent=1) + "\n")


if __name__ == "__main__":
    main()
