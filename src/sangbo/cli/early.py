"""``sangbo early``: sums that stop early, by proof and by margins."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from sangbo.cli.output import JsonFlag, print_json, progress_bars, read_text, stdout
from sangbo.errors import SangboError
from sangbo.network import load
from sangbo.stopping import TOKENS, Margins, Stopped, stop
from sangbo.tasks.language import windows
from sangbo.verify import CONTEXT

_MARGINS = (
    "When sums stop: proof, or standard deviations of what is left of a sum and, after a slash, of "
    "one of the output head; several with commas."
)


def early(
    folder: Annotated[Path, typer.Argument(help="A converted language model.")],
    text: Annotated[Path, typer.Option(help="Prose to read.")],
    margins: Annotated[str, typer.Option(help=_MARGINS)] = "proof,4/6,3/5,2/4",
    tokens: Annotated[int, typer.Option(min=1, help="Most tokens of it.")] = TOKENS,
    json: JsonFlag = False,
) -> None:
    """What stopping sums early skips, which levels it changes, and what that costs."""
    wanted, prose, network = parse_margins(margins), read_text(text), load(folder)
    ids = np.asarray(network.text_tokenizer().encode(prose), np.int32)[: tokens + 1]
    texts = [*windows(ids, min(CONTEXT, network.context))]
    with progress_bars() as progress:
        proof = stop(network, texts, Margins(), tokens, progress)
        found = [
            proof if m == Margins() else stop(network, texts, m, tokens, progress) for m in wanted
        ]
    changes = [math.expm1(one.nats - proof.nats) for one in found]
    if json:
        rows = zip(found, changes, strict=True)
        print_json({"margins": [f.to_dict() | {"perplexity_relative_change": c} for f, c in rows]})
    else:
        stdout.print(_table(found, changes))


def parse_margins(text: str) -> list[Margins]:
    """What ``proof,3/5,2`` means; raises `SangboError` where it means nothing."""
    found = []
    for part in text.split(","):
        others, _, head = part.strip().partition("/")
        try:
            pair = [None if z == "proof" else float(z) for z in (others, head or others)]
        except ValueError:
            pair = [math.nan]
        if not all(z is None or 0 <= z < math.inf for z in pair):
            raise SangboError(f"expected margins like proof or 3/5 from 0 on, found {part!r}")
        found.append(Margins(*pair))
    return found


def _table(found: list[Stopped], changes: list[float]) -> Table:
    table = Table(title=f"Sums that stop early, {found[0].tokens} tokens (counted)")
    for place, column in enumerate(
        ("others / head", "additions skipped", "of the head's", "levels that differ", "perplexity")
    ):
        table.add_column(column, justify="right" if place else "left")
    for one, change in zip(found, changes, strict=True):
        table.add_row(
            one.margins,
            f"{one.additions_saved:.1%}",
            f"{one.head_saved:.1%}",
            f"{one.different:,} of {one.compared:,}",
            f"{change:+.2%}",
        )
    return table
