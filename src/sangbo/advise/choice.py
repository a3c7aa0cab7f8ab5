"""Which candidate to recommend: the cheapest that is not worse than the best beyond noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from sangbo.advise.trial import Trial, corrected, interval
from sangbo.errors import DataError

DOUBT = 0.05
_EXACT = 1e-12


def judged(
    done: Sequence[Trial], task: str, test_share: float, metric: str, confidence: float
) -> list[dict[str, Any]]:
    """One dict a trial: scores, interval, costs, and whether it is within noise of the best.

    A trial is within noise if its mean score is at most one standard error below the best's, the
    error being that of the fold-by-fold differences, corrected as `corrected` says.

    Args:
        done: trials over the same folds.
        task: classification or regression.
        test_share: n_test / n_train of a fold.
        metric: a scikit-learn scorer.
        confidence: of intervals.

    Raises:
        DataError: no trial finished.
    """
    finished = [t for t in done if t.scores]
    if not finished:
        why = "; ".join(f"{t.candidate.name}: {t.failure}" for t in done)
        raise DataError(f"expected a candidate to finish, found that none did: {why}")
    best = np.array(max(finished, key=_merit).scores)
    found = []
    for t in done:
        entry = _entry(t, task)
        if t.scores:
            scores = np.array(t.scores)
            worse, error = corrected(best - scores, test_share)
            entry |= {
                "mean": float(scores.mean()),
                "interval": _cut(*interval(scores, test_share, confidence), metric),
                "worse_than_best": worse,
                "standard_error": error if np.isfinite(error) else None,
                "within_noise": bool(worse <= error or worse <= _EXACT),
            }
        found.append(entry)
    return found


def best_and_cheapest(results: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """Names of the best by mean score, and of the one to recommend.

    Of those within noise, methods that are not networks go before networks; then the least
    modelled energy of a prediction decides.
    """
    finished = [r for r in results if r["finished"]]
    best = max(finished, key=lambda r: (r["mean"], -r["picojoules_per_prediction"]))
    cheapest = min(
        (r for r in finished if r["within_noise"]),
        key=lambda r: (r["network"], r["picojoules_per_prediction"]),
    )
    return str(best["name"]), str(cheapest["name"])


def add_ratios(results: Sequence[dict[str, Any]], recommended: str) -> None:
    """Add energies relative to those of the recommended candidate."""
    use = next(r for r in results if r["name"] == recommended)
    for entry in results:
        for what in ("train", "predict"):
            reference = use[f"{what}_joules"]
            known = entry["finished"] and reference > 0
            entry[f"relative_{what}_energy"] = (
                entry[f"{what}_joules"] / reference if known else None
            )


def remarks(
    results: Sequence[dict[str, Any]], test_share: float, *, searched: bool = True
) -> list[str]:
    """What to know about the comparison, in words."""
    notes = []
    finished = [r for r in results if r["finished"]]
    best = max(finished, key=lambda r: float(r["mean"]))
    floor = next((r for r in finished if r["name"] == "majority"), None)
    if floor is not None and len(finished) > 1:
        gains = np.array(best["scores"]) - np.array(floor["scores"])
        gain, error = corrected(gains, test_share)
        chance = stats.t.sf(gain / error, max(1, len(gains) - 1)) if error > 0 else gain <= 0
        if chance > DOUBT / len(finished):
            notes.append(
                "Nothing is better than the majority rule (or the mean) beyond doubt "
                f"(corrected t-test, {DOUBT:.0%} over all methods): these columns may not tell the "
                "target."
            )
    notes += [f"{r['title']}: not judged ({r['failure']})." for r in results if not r["finished"]]
    full = max(r["rows"] for r in results)
    cut = [f"{r['title']} ({r['rows']:,})" for r in finished if r["rows"] < full]
    if cut:
        notes.append(
            f"To keep to the budget these were trained on fewer than {full:,} rows a fold and may "
            f"do better: {', '.join(cut)}."
        )
    unsearched = [
        r["title"] for r in finished if r["searchable"] and not r["searched"] and searched
    ]
    if unsearched:
        notes.append(
            f"To keep to the budget these had no settings searched: {', '.join(unsearched)}."
        )
    return notes


def _merit(t: Trial) -> tuple[float, float]:
    return float(np.mean(t.scores)), -t.operations.picojoules


def _cut(low: float, high: float, metric: str) -> list[float] | None:
    """An interval, cut where the metric ends; None where there is none."""
    if not np.isfinite([low, high]).all():
        return None
    bottom = 0.0 if metric in ("accuracy", "balanced_accuracy") else -np.inf
    top = 1.0 if metric in ("accuracy", "balanced_accuracy", "r2") else np.inf
    return [max(low, bottom), min(high, top)]


def _entry(t: Trial, task: str) -> dict[str, Any]:
    return {
        "name": t.candidate.name,
        "title": t.candidate.called(task),
        "network": t.candidate.network,
        "finished": bool(t.scores),
        "failure": t.failure or None,
        "scores": list(t.scores),
        "settings": {k.rsplit("__", 1)[-1]: v for k, v in t.settings.items()},
        "searchable": bool(t.candidate.grid),
        "searched": t.searched,
        "rows": t.rows,
        "train_joules": t.train_joules,
        "predict_joules": t.predict_joules,
        "train_seconds": t.train_seconds,
        "predict_seconds": t.predict_seconds,
        "flop_per_prediction": t.operations.flop,
        "picojoules_per_prediction": t.operations.picojoules,
        "bytes": t.bytes,
    }
