"""Compares splits on a real network: counts its groups over two texts, learns from one of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sangbo import chips
from sangbo.engines import Reference
from sangbo.errors import SangboError
from sangbo.ledger import Ledger
from sangbo.network import Network
from sangbo.progress import Progress, silent
from sangbo.tallies import SPLITS, TILE, Tallies, split
from sangbo.tasks.generate import control_ids
from sangbo.tasks.language import Text, windows
from sangbo.tasks.writing import self_generated

TOKENS = 512
"""Tokens that are counted, half of them to learn from: the reference engine is slow."""
CONTEXT = 256
"""Tokens of a window, where the network reads that many."""


def named(names: Sequence[str]) -> list[str]:
    """The splits that ``names`` ask for, each once, ``all`` being all; by value comes first.

    Raises `LedgerError` where there is none of a name.
    """
    asked = [n for name in names for n in (SPLITS if name == "all" else [split(name).name])]
    return list(dict.fromkeys(["value", *asked]))


def count_groups(
    network: Network,
    splits: Sequence[str],
    *,
    tile: tuple[int, int] = TILE,
    text: str | None = None,
    tokens: int = TOKENS,
    progress: Progress = silent,
) -> tuple[Ledger, Ledger]:
    """Ledgers with the tallies of ``splits`` of two texts: one to learn from, one to price.

    Args:
        network: a network that reads text.
        splits: names in `sangbo.tallies.SPLITS`.
        tile: rows and channels of a tile.
        text: its first half is learned from, its second half priced; without one the network
            writes both.
        tokens: most tokens of both together, at least 4.
        progress: told how far it is.

    Raises:
        SangboError: where ``tokens`` or the text are too few.
    """
    if tokens < 4:
        raise SangboError(f"expected at least 4 tokens, found {tokens}")
    known, priced = (Ledger(tallies=Tallies.of(splits, tile)) for _ in range(2))
    context = min(CONTEXT, network.context)
    if text is None:
        halves = [_written(network, tokens // 2, context, seed, progress) for seed in (1, 2)]
    else:
        ids = np.asarray(network.text_tokenizer().encode(text), np.int32)[:tokens]
        if len(ids) < 4:
            raise SangboError(f"expected a text of at least 4 tokens, found {len(ids)}")
        middle = len(ids) // 2
        halves = [[*windows(half, context)] for half in (ids[:middle], ids[middle:])]
    engine = Reference(network.graph)
    total, done = sum(part.size for half in halves for part in half), 0
    for half, ledger in zip(halves, (known, priced), strict=True):
        for part in half:
            progress("counting groups", done / total)
            part.run(engine, ledger=ledger)
            done += part.size
    return known, priced


def compare(
    ledgers: tuple[Ledger, Ledger],
    found: Sequence[chips.Chip],
    splits: Sequence[str],
    *,
    code: str = "csd",
) -> tuple[list[chips.Price], list[chips.SplitPrice]]:
    """What `count_groups` counted, on chips: every scheme, and every split beside one by value.

    Args:
        ledgers: what to learn from, and what to price.
        found: the chips. One that lacks a side has no choice, so it has prices and no splits.
        splits: names in `sangbo.tallies.SPLITS`.
        code: spike code.

    Returns:
        Prices, with one of the complementary scheme for each split; and the splits.
    """
    known, priced = ledgers
    prices: list[chips.Price] = []
    compared: list[chips.SplitPrice] = []
    for chip in found:
        plain = chips.price(priced, chip, code=code)
        here = chips.compare_splits(priced, chip, splits, code=code, known=known)
        prices += [*plain[:-1], *(c.price for c in here)] if here else plain
        compared += here
    return prices, compared


def _written(
    network: Network, tokens: int, context: int, seed: int, progress: Progress
) -> list[Text]:
    """What the network writes from its own distribution, ``tokens`` tokens and no fewer."""
    length = min(context, max(2, tokens))
    seed += int(network.conversion.get("settings", {}).get("seed", 0))
    texts = self_generated(
        network.engine,
        network.graph.values[network.graph.outputs[0]].channels,
        sequences=max(1, tokens // length),
        length=length,
        excluded=control_ids(network.tokenizer),
        seed=seed,
        progress=progress,
    )
    return [*map(Text.of, texts)]
