"""``sangbo run``: the network answers a prompt, and the answer is priced."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import typer

from sangbo import chips
from sangbo.cli.opening import open_network
from sangbo.cli.output import GuessesFlag, JsonFlag, print_json, progress_bars, stderr, stdout
from sangbo.ledger import Ledger
from sangbo.network import Network
from sangbo.report import energy_table, run_energy
from sangbo.tasks.language import Sampling
from sangbo.tasks.speculate import Record

PROMPT = "Why is the sky blue? Answer in two sentences."

CHIPS = ("c-transformer-28nm", "horowitz-45nm", "jouppi-7nm", "loihi-1")
"""Shown beside an answer unless others are asked for: a chip with both sides, energies of an old
and a new process, and a neuromorphic chip."""


def run(
    source_or_folder: Annotated[str, typer.Argument(help="A converted folder, or a source.")],
    prompt: Annotated[str, typer.Option(help="What to ask.")] = PROMPT,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 256,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token.")] = 0.0,
    top_k: Annotated[int, typer.Option(help="Draw among this many tokens; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw among the likeliest up to this share.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the drawing.")] = 0,
    chip: Annotated[list[str] | None, typer.Option(help="Chips to price on; four.")] = None,
    guesses: GuessesFlag = None,
    json: JsonFlag = False,
) -> None:
    """Answer a prompt, then print what the answer cost on each chip."""
    sampling = Sampling(temperature, top_k, top_p, seed)
    wanted = [chips.load(name) for name in chip or CHIPS]
    with progress_bars() as progress:
        network = open_network(source_or_folder, progress)
    ledger, record, pieces = network.engine.ledger(), Record(), []
    start = time.perf_counter()
    stopped = False
    try:
        for piece in network.stream(
            prompt,
            max_tokens=max_tokens,
            sampling=sampling,
            ledger=ledger,
            guesses=guesses,
            record=record,
        ):
            pieces.append(piece)
            if not json:
                stdout.print(piece, end="", markup=False, highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        stopped = True
    seconds = time.perf_counter() - start
    tokens = max(0, len(pieces) - 1)
    speed = tokens / seconds if seconds else 0.0
    code = network.conversion.get("settings", {}).get("code", "csd")
    prices = _prices(network, ledger, wanted, code)
    if json:
        print_json(
            {
                "text": "".join(pieces),
                "tokens": tokens,
                "tokens_per_second": speed,
                "stopped": stopped,
                "energy": run_energy(prices),
            }
            | ({} if guesses is None else {"guesses": {"by": guesses, **record.to_dict()}})
        )
        return
    stdout.print("\n")
    if stopped:
        stderr.print("Stopped.")
    stdout.print(
        f"{tokens} tokens, {speed:.1f} tokens/s (measured); {ledger.samples} tokens counted, "
        "prompt included",
        highlight=False,
    )
    if guesses is not None:
        stdout.print(
            f"{record.kept} of {record.guesses} guesses kept, "
            f"{record.tokens_per_run:.2f} tokens for each reading of the weights",
            highlight=False,
        )
    if prices:
        stdout.print(energy_table(prices, baselines=False))
        if chip is None:
            stdout.print(f"sangbo price shows all {len(chips.names())} chips.", highlight=False)
        stdout.print(chips.verdict(prices), highlight=False, soft_wrap=True)


def _prices(
    network: Network, ledger: Ledger, wanted: Sequence[chips.Chip], code: str
) -> list[chips.Price]:
    if not ledger.samples:
        return []
    nests = chips.weighted(network.graph)
    return chips.price_all(ledger, wanted, code=code, nests=nests)
