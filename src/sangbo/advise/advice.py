"""From a file to advice: read, check, try, and say in plain words what to use."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sangbo.advise.advisor import Advisor
from sangbo.advise.candidates import preparation
from sangbo.advise.groups import Grouping, find_groups
from sangbo.advise.table import Table, conform, is_text, prepare, read_frame
from sangbo.errors import DataError
from sangbo.progress import Progress, silent

MIN_SHARE = 0.2  # of the budget, left for trying after reading
MAX_LISTED = 1000

_METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "r2": "R²"}


@dataclass
class Advice:
    """What to use for a table, and why.

    Attributes:
        source: the file.
        target: its column, or None.
        table: as prepared.
        advisor: fitted, or None where groups were looked for.
        groups: number of groups, or None where there is a target.
        tried: numbers of groups tried.
        notes: about the trial.
        judged: rows without a target (or of another file) with what is said of them.
        rare: rows of classes too rare to learn, likewise.
        seconds: everything took.
        budget: it was given.
    """

    source: str
    target: str | None
    table: Table
    advisor: Advisor | None
    groups: int | None
    tried: list[Grouping]
    notes: list[str]
    judged: list[dict[str, Any]] = field(default_factory=list)
    rare: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    budget: float = 0.0

    @property
    def deep_learning_needed(self) -> bool | None:
        """Whether only a network of several layers was good enough; None without a target."""
        if self.advisor is None:
            return None
        return bool(self.entry(self.advisor.recommended_)["network"])

    def entry(self, name: str) -> dict[str, Any]:
        """The results of the candidate called ``name``."""
        if self.advisor is None:
            raise DataError("expected advice for a target, found groups")
        return next(r for r in self.advisor.results_ if r["name"] == name)

    def summary(self) -> str:
        """The answer in a few sentences."""
        if self.advisor is None:
            return _groups_in_words(self.groups or 1, self.tried)
        use, best = self.entry(self.advisor.recommended_), self.entry(self.advisor.best_)
        metric = _METRICS.get(self.advisor.metric_, self.advisor.metric_)
        words = [f"Use {use['title']}: {metric} {_score(use)}."]
        if use is best:
            words.append("Nothing tried is better.")
        else:
            words.append(
                f"The best mean, of {best['title']}, is {best['mean']:.3f}: "
                f"{use['worse_than_best']:.3f} more, within the noise of "
                f"{use['standard_error'] or 0:.3f}."
            )
        finished = [r for r in self.advisor.results_ if r["finished"]]
        networks = [r for r in finished if r["network"]]
        plain = [r for r in finished if not r["network"]]
        if use["name"] == "majority":
            words.append("These columns do not tell the target.")
        elif use["network"] and plain:
            other = max(plain, key=lambda r: float(r["mean"]))
            words.append(
                f"A network is needed here: the best other method, {other['title']}, is worse by "
                f"{other['worse_than_best']:.3f} (noise {other['standard_error'] or 0:.3f})."
            )
        elif networks:
            rival = max(networks, key=lambda r: float(r["mean"]))
            words.append(f"Deep learning is not needed here{_saving(use, rival)}.")
        return " ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """The advice as JSON values."""
        document: dict[str, Any] = {
            "source": self.source,
            "target": self.target,
            "task": self.table.task,
            "rows": len(self.table.x),
            "columns": [str(c) for c in self.table.x.columns],
            "dropped_columns": self.table.dropped,
            "summary": self.summary(),
            "findings": self.table.findings,
            "notes": self.notes,
            "seconds": self.seconds,
            "budget": self.budget,
        }
        if self.advisor is None:
            return document | {
                "groups": self.groups,
                "tried": [g.to_dict() for g in self.tried],
            }
        return document | {
            "metric": self.advisor.metric_,
            "recommended": self.advisor.recommended_,
            "best": self.advisor.best_,
            "deep_learning_needed": self.deep_learning_needed,
            "candidates": self.advisor.results_,
            "importance": self.advisor.importances_,
            "energy_basis": self.advisor.energy_basis_,
            "trained_rows": self.advisor.rows_,
            "judged": self.judged[:MAX_LISTED],
            "judged_rows": len(self.judged),
            "unlike_rows": sum(j["unlike_anything_seen"] for j in self.judged),
            "rare": self.rare[:MAX_LISTED],
        }


def advise(
    source: str | Path,
    target: str | None = None,
    *,
    task: str | None = None,
    budget: float = 120.0,
    candidates: Sequence[str] | None = None,
    apply: str | Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Advice:
    """Read a table and say what to use for it.

    Args:
        source: CSV or Parquet.
        target: column to predict; without one, groups are looked for.
        task: classification or regression; told from the target by default.
        budget: seconds for everything.
        candidates: names to try; all by default.
        apply: another table with the same columns, whose rows are judged.
        seed: of everything drawn.
        progress: told what is being done.

    Raises:
        DataError: the file, a column or an argument cannot be used.
    """
    start = time.perf_counter()
    if not budget > 0:
        raise DataError(f"expected a budget above 0 seconds, found {budget}")
    if task not in (None, "classification", "regression"):
        raise DataError(f"expected classification or regression, found {task!r}")
    progress("reading", 0.0)
    frame, findings = read_frame(source)
    table = prepare(frame, target, task)
    table.findings[:0] = findings
    left = max(budget - (time.perf_counter() - start), MIN_SHARE * budget)
    if target is None:
        advice = _group(str(source), table, left, seed, progress)
    else:
        advice = _learn(str(source), target, table, left, candidates, seed, progress)
        other = [] if apply is None else [read_frame(apply)[0]]
        _judge(advice, other)
    advice.seconds, advice.budget = time.perf_counter() - start, budget
    return advice


def _group(source: str, table: Table, left: float, seed: int, progress: Progress) -> Advice:
    codes = table.x.apply(lambda c: pd.factorize(c)[0] if is_text(c) else c)
    texts = [i for i, name in enumerate(table.x.columns) if is_text(table.x[name])]
    numbers = [i for i in range(table.x.shape[1]) if i not in texts]
    x = preparation(numbers, texts).fit_transform(codes.to_numpy(np.float64))
    count, tried, notes = find_groups(np.asarray(x), budget=left, seed=seed, progress=progress)
    return Advice(source, None, table, None, count, tried, notes)


def _learn(
    source: str,
    target: str,
    table: Table,
    left: float,
    candidates: Sequence[str] | None,
    seed: int,
    progress: Progress,
) -> Advice:
    advisor = Advisor(
        table.task, budget=left, candidates=candidates, progress=progress, random_state=seed
    ).fit(table.x, table.y)
    useless = [i["column"] for i in advisor.importances_ if not i["needed"]]
    if useless:
        table.findings.append(
            "Columns that the recommended model does without (shuffling them does no harm beyond "
            f"noise): {', '.join(useless)}."
        )
    return Advice(source, target, table, advisor, None, [], advisor.notes_)


def _judge(advice: Advice, others: Sequence[pd.DataFrame]) -> None:
    """Predict the rows without a target, and say which of them are unlike anything seen."""
    table, advisor = advice.table, advice.advisor
    if advisor is None:
        return
    parts = [(table.unlabelled, table.unlabelled_lines)]
    parts += [(conform(f, table.x), np.arange(1, len(f) + 1)) for f in others]
    for x, lines in parts:
        advice.judged += _judged(advisor, x, [int(n) for n in lines])
    advice.rare = [
        {"class": label, **said}
        for label, said in zip(
            table.rare_labels,
            _judged(advisor, table.rare, [int(n) for n in table.rare_lines]),
            strict=True,
        )
    ]
    flagged = sum(j["unlike_anything_seen"] for j in advice.judged)
    if flagged:
        table.findings.append(
            f"{flagged:,} rows to be predicted are unlike anything seen; nothing is said of them."
        )


def _judged(advisor: Advisor, x: pd.DataFrame, lines: list[int]) -> list[dict[str, Any]]:
    if not len(x):
        return []
    odd = {o.row: o for o in advisor.explain(x)}
    return [
        {
            "row": line,
            "prediction": None if i in odd else _plain(value),
            "unlike_anything_seen": i in odd,
            "reasons": list(odd[i].reasons) if i in odd else [],
        }
        for i, (line, value) in enumerate(zip(lines, advisor.predict(x), strict=True))
    ]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _score(entry: dict[str, Any]) -> str:
    if entry["interval"] is None:
        return f"{entry['mean']:.3f}"
    low, high = entry["interval"]
    return f"{entry['mean']:.3f} ({low:.3f} to {high:.3f})"


def _saving(use: dict[str, Any], rival: dict[str, Any]) -> str:
    energy, flop = use["train_joules"], use["flop_per_prediction"]
    words = []
    if energy > 0 and rival["train_joules"] > energy:
        words.append(f"{rival['train_joules'] / energy:,.0f} times less energy to train")
    if flop > 0 and rival["flop_per_prediction"] > flop:
        words.append(f"{rival['flop_per_prediction'] / flop:,.0f} times fewer operations a row")
    return f": {' and '.join(words)} than the best network ({rival['title']})" if words else ""


def _groups_in_words(count: int, tried: list[Grouping]) -> str:
    if count == 1:
        return (
            "No number of groups from 2 on stands apart more than chance would and is found again "
            "in another half of the rows: treat the table as one group."
        )
    best = next(g for g in tried if g.groups == count)
    return (
        f"{count} groups of {', '.join(map(str, best.sizes))} rows: they stand apart "
        f"(silhouette {best.silhouette:.2f}, by chance {best.chance[0]:.2f}) and two halves of the "
        f"rows agree on them (adjusted Rand index {best.stability:.2f}, at worst "
        f"{best.lowest:.2f})."
    )
