"""What the commands of all tasks share: open a network, count what it does, price it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from numpy.typing import NDArray

from sangbo import chips
from sangbo.cli.opening import open_network
from sangbo.cli.output import print_json, progress_bars, stdout
from sangbo.cli.run import CHIPS
from sangbo.errors import SangboError
from sangbo.ledger import Ledger
from sangbo.progress import Progress
from sangbo.report import energy_table, run_energy
from sangbo.tasks.model import Model

T = TypeVar("T")

NetworkOption = Annotated[
    str, typer.Option("--network", help="A converted folder, or a source.", show_default=True)
]


def work(
    source_or_folder: str,
    task: str,
    do: Callable[[Model, Ledger, Progress], T],
    shown: Callable[[T], str],
    document: Callable[[T], dict[str, Any]],
    *,
    json: bool,
) -> None:
    """Do a task with a converted network, print the answer and what it cost.

    Args:
        source_or_folder: the network.
        task: its task, which the network must be made for.
        do: the work, given the model, a ledger to count in, and progress.
        shown: the answer for people.
        document: the answer as JSON values.
        json: whether to print JSON.
    """
    with progress_bars() as progress:
        network = open_network(source_or_folder, progress)
        found = network.graph.metadata.get("task")
        if found != task:
            raise SangboError(
                f"expected a network made to {task}, found {network.graph.name}, made to {found}"
            )
        ledger = network.engine.ledger()
        answer = do(Model(network.engine, network.tokenizer), ledger, progress)
    prices = [
        p for name in CHIPS for p in chips.price(ledger, chips.load(name), code=network.code)
    ] if ledger.samples else []  # fmt: skip
    if json:
        print_json({**document(answer), "energy": run_energy(prices, "sample")})
        return
    stdout.print(shown(answer), markup=False, highlight=False, soft_wrap=True)
    if prices:
        stdout.print(energy_table(prices, "sample", baselines=False))
        stdout.print(chips.verdict(prices), highlight=False, soft_wrap=True)


def recording(path: Path) -> NDArray[np.float32]:
    """A WAV file of 16-bit samples at 16,000 a second, its channels averaged.

    Raises:
        SangboError: where it is another kind of file.
    """
    import wave

    try:
        with wave.open(str(path), "rb") as opened:
            rate, width = opened.getframerate(), opened.getsampwidth()
            if (rate, width) != (16_000, 2):
                raise SangboError(
                    f"expected {path} to have 16-bit samples at 16,000 a second, found "
                    f"{8 * width} bits at {rate:,}: convert it first"
                )
            frames = opened.readframes(opened.getnframes())
            channels = opened.getnchannels()
    except (wave.Error, EOFError, OSError) as error:
        raise SangboError(f"expected {path} to be a WAV file: {error}") from None
    mixed = np.frombuffer(frames, "<i2").reshape(-1, channels).mean(axis=1) / 32768
    samples: NDArray[np.float32] = mixed.astype(np.float32)
    return samples
