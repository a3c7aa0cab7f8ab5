"""What a checkpoint says about the tokens that begin and end a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sangbo.sources.facts import Facts


def generation(facts: Facts) -> dict[str, Any]:
    """Metadata of a network that writes one text for another, as far as they are stated.

    Returns:
        ``start``: tokens that the text begins with; ``end``: tokens that end it; ``suppressed``:
        tokens that are never chosen.
    """
    start = _ids(facts, "decoder_start_token_id")
    forced = _ids(facts, "forced_bos_token_id")
    return {
        "start": [*start, *forced],
        "end": _ids(facts, "eos_token_id"),
        "suppressed": sorted({*_single(facts, "bad_words_ids"), *_ids(facts, "suppress_tokens")}),
    }


def _ids(facts: Facts, key: str) -> list[int]:
    """One token id or a list of them; what is no id is left out (−1 stands for none)."""
    value = facts.values.get(key)
    return list(_whole(value if isinstance(value, list) else [value]))


def _single(facts: Facts, key: str) -> list[int]:
    """Those of a list of forbidden sequences that are one token long."""
    lists = facts.items(key) if key in facts else []
    return [
        i for entry in lists if isinstance(entry, list) and len(entry) == 1 for i in _whole(entry)
    ]


def _whole(values: Iterable[Any]) -> Iterable[int]:
    return (v for v in values if type(v) is int and v >= 0)
