"""Reading a table, and what can be said of it before anything is learnt."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import stats
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.tree import DecisionTreeClassifier

from sangbo.errors import DataError

MAX_BYTES = 4 << 30
MAX_COLUMNS = 5000
ENCODINGS = ("utf-8-sig", "cp949")
_DELIMITERS = ",;\t|"
_NUMERIC_SHARE = 0.9  # of filled cells, from which a text column is read as numbers
_TEXT_SHARE = 0.5  # of different values, from which a text column is free text
_MANY_CLASSES = 20
_LEAK = 0.999
_LOOKED_AT = 5000


@dataclass
class Table:
    """A table, ready for an `Advisor`.

    Attributes:
        x: columns used, numbers as float64, texts as str or None.
        y: target, or None.
        task: classification, regression or groups.
        line: row of the file (from 1, header not counted) that each row of ``x`` comes from.
        unlabelled: rows without a target, same columns.
        unlabelled_lines: their rows in the file.
        rare: rows of classes too rare to learn, same columns.
        rare_lines: their rows in the file.
        rare_labels: their classes.
        findings: what the data cannot tell, or what was done about it.
        dropped: columns left out, with the reason.
    """

    x: pd.DataFrame
    y: NDArray[Any] | None
    task: str
    line: NDArray[np.int64]
    unlabelled: pd.DataFrame
    unlabelled_lines: NDArray[np.int64]
    rare: pd.DataFrame
    rare_lines: NDArray[np.int64]
    rare_labels: list[str]
    findings: list[str] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)


def read_frame(path: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """Read a Parquet file, or a CSV (UTF-8 or CP949; comma, semicolon, tab or bar).

    Returns:
        the table, and findings about the file.

    Raises:
        DataError: the file is not one, is ragged, has no rows or gives two columns one name.
    """
    source = Path(path)
    try:
        size = source.stat().st_size
        with source.open("rb") as stream:
            magic = stream.read(4)
    except OSError as error:
        raise DataError(f"expected a readable file at {path}, found: {error.strerror}") from None
    if size > MAX_BYTES:
        raise DataError(f"expected at most {MAX_BYTES} bytes in {path}, found {size}")
    findings: list[str] = []
    frame = _read_parquet(source) if magic == b"PAR1" else _read_csv(source, findings)
    names = [str(name) for name in frame.columns]
    if frame.empty:
        raise DataError(f"expected rows and columns in {path}, found none")
    if len(names) > MAX_COLUMNS:
        raise DataError(f"expected at most {MAX_COLUMNS} columns, found {len(names)}")
    frame.columns = pd.Index(names)
    return frame, findings


def prepare(
    frame: pd.DataFrame, target: str | None, task: str | None = None, folds: int = 5
) -> Table:
    """Separate the target, settle the kind of every column, and look for what is wrong.

    Args:
        frame: as read.
        target: its column; None to look for groups.
        task: classification or regression; by default told from the target.
        folds: of the cross-validation to come.

    Raises:
        DataError: there is no such column, the target does not vary, or nothing is left to learn
            from.
    """
    if target is not None and target not in frame.columns:
        shown = ", ".join(map(str, frame.columns[:20]))
        raise DataError(f"expected a column {target!r}, found {shown}")
    findings: list[str] = []
    dropped: dict[str, str] = {}
    x = _columns(frame.drop(columns=[] if target is None else [target]), findings, dropped)
    lines = np.arange(1, len(frame) + 1)
    empty = x.iloc[:0]
    table = Table(
        x, None, "groups", lines, empty, lines[:0], empty, lines[:0], [], findings, dropped
    )
    if x.shape[1] == 0:
        raise DataError(
            "expected columns that vary, found none: "
            + "; ".join(f"{k} ({v})" for k, v in dropped.items())
        )
    if target is not None:
        _separate(table, frame[target], target, task)
        _too_few(table, folds)
        _leaks(table, target)
    copies = int(table.x.duplicated().sum())
    if copies:
        findings.append(
            f"{copies:,} rows have the same columns as an earlier one; if they are copies, scores "
            "are too good, for a copy may be in the training and the test rows."
        )
    return table


def _read_parquet(source: Path) -> pd.DataFrame:
    try:
        content = pq.ParquetFile(source)
        _check_names(list(content.schema_arrow.names))
        return content.read().to_pandas(strings_to_categorical=False)
    except (pa.ArrowException, OSError, TypeError) as error:
        raise DataError(f"expected a Parquet file at {source}, found: {error}") from None


def _read_csv(source: Path, findings: list[str]) -> pd.DataFrame:
    for encoding in ENCODINGS:
        try:
            delimiter = _delimiter(source, encoding)
            with source.open(encoding=encoding, newline="") as stream:
                _check_widths(csv.reader(stream, delimiter=delimiter, strict=True), source)
        except UnicodeDecodeError:
            continue
        except csv.Error as error:
            raise DataError(f"expected a CSV at {source}, found: {error}") from None
        if encoding != ENCODINGS[0]:
            findings.append(f"The file is not in UTF-8; it was read as {encoding.upper()}.")
        try:
            return pd.read_csv(
                source, sep=delimiter, encoding=encoding, low_memory=False, index_col=False
            ).rename(columns=lambda n: f"column {n[9:]}" if str(n).startswith("Unnamed: ") else n)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            raise DataError(f"expected a CSV at {source}, found: {error}") from None
    raise DataError(f"expected a CSV in UTF-8 or CP949 at {source}, found other bytes")


def _delimiter(source: Path, encoding: str) -> str:
    with source.open(encoding=encoding, newline="") as stream:
        head = stream.readline()
    counts = {d: head.count(d) for d in _DELIMITERS}
    return max(counts, key=lambda d: counts[d])


def _check_widths(rows: Iterable[list[str]], source: Path) -> None:
    """Refuse what a lenient reader would fill up or cut off silently."""
    width = 0
    for number, row in enumerate(rows, start=1):
        if number == 1:
            width = len(row)
            _check_names([name for name in row if name])
            if any("\x00" in cell for cell in row):
                raise DataError(f"expected text in {source}, found zero bytes")
        elif row and len(row) != width:
            raise DataError(
                f"expected {width} cells in line {number} of {source}, found {len(row)}"
            )
    if width == 0:
        raise DataError(f"expected rows and columns in {source}, found none")


def is_text(values: pd.Series[Any]) -> bool:
    """Whether a settled column holds text, not numbers."""
    return not pd.api.types.is_numeric_dtype(values)


def _check_names(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"expected every column to have its own name, found {name!r} twice")
        seen.add(name)


def conform(frame: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """Another table in the columns and kinds of ``like``.

    Raises:
        DataError: it lacks one of the columns.
    """
    missing = [name for name in like.columns if name not in frame.columns]
    if missing:
        raise DataError(f"expected a column {missing[0]!r} as in the first table, found none")
    made = {}
    for name in like.columns:
        values = frame[name]
        if is_text(like[name]):
            texts = values.astype(object).where(values.notna(), None)
            made[name] = texts.map(lambda v: None if v is None else str(v).strip()).astype(object)
        else:
            numbers = pd.to_numeric(values, errors="coerce").astype(np.float64)
            made[name] = numbers.replace([np.inf, -np.inf], np.nan)
    return pd.DataFrame(made, index=frame.index)


def _columns(frame: pd.DataFrame, findings: list[str], dropped: dict[str, str]) -> pd.DataFrame:
    kept = {}
    for name in frame.columns:
        values = _settle(frame[name], str(name), findings)
        filled = values.dropna()
        different = filled.nunique()
        if different == 0:
            dropped[str(name)] = "empty"
        elif different == 1 and len(filled) == len(values):
            dropped[str(name)] = "the same in every row"
        elif _is_index(filled, different, len(values)):
            dropped[str(name)] = "a different value in every row, as of an identifier"
        elif is_text(values) and different > max(_MANY_CLASSES, _TEXT_SHARE * len(filled)):
            dropped[str(name)] = "free text: too many different values"
        else:
            kept[str(name)] = values
            if len(filled) < 0.5 * len(values):
                share = 1 - len(filled) / len(values)
                findings.append(f"Column {name} is missing in {share:.0%} of the rows.")
    if dropped:
        findings.append(
            "Useless columns were left out: " + ", ".join(f"{k} ({v})" for k, v in dropped.items())
        )
    return pd.DataFrame(kept, index=frame.index)


def _settle(values: pd.Series[Any], name: str, findings: list[str]) -> pd.Series[Any]:
    """A column as float64, or as object with text and None."""
    if pd.api.types.is_datetime64_any_dtype(values):
        days = (values - values.min()) / pd.Timedelta(days=1)
        return days.astype(np.float64)
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
        numbers = pd.to_numeric(values).astype(np.float64)
        infinite = int(np.isinf(numbers).sum())
        if infinite:
            findings.append(f"Column {name} holds {infinite} infinite values, read as missing.")
            numbers = numbers.replace([np.inf, -np.inf], np.nan)
        return numbers
    texts = values.astype(object).where(values.notna(), None)
    texts = texts.map(lambda v: None if v is None or not str(v).strip() else str(v).strip())
    numbers = pd.to_numeric(texts, errors="coerce").astype(np.float64)
    filled, readable = int(texts.notna().sum()), int(np.isfinite(numbers).sum())
    if filled and readable >= _NUMERIC_SHARE * filled:
        if readable < filled:
            findings.append(
                f"Column {name} mixes numbers and text; {filled - readable} cells that are not "
                "numbers were read as missing."
            )
        return numbers.replace([np.inf, -np.inf], np.nan)
    if readable:
        findings.append(
            f"Column {name} mixes {readable} numbers and {filled - readable} texts; all were read "
            "as text."
        )
    return texts.astype(object)


def _is_index(filled: pd.Series[Any], different: int, rows: int) -> bool:
    if different < rows or rows < 10:
        return False
    if is_text(filled):
        return True
    steps = np.diff(filled.to_numpy(np.float64))
    return bool((steps == 1).all() or (steps == -1).all())


def _separate(table: Table, values: pd.Series[Any], target: str, task: str | None) -> None:
    """Split off rows without a target and classes of one row; settle the task."""
    settled = _settle(values, target, table.findings)
    known = settled.notna().to_numpy()
    table.unlabelled, table.unlabelled_lines = table.x[~known], table.line[~known]
    x, settled, lines = table.x[known], settled[known], table.line[known]
    different = settled.nunique()
    if different < 2:
        raise DataError(
            f"expected a target that varies in {target!r}, found "
            + (f"only {settled.iloc[0]!r}" if different else "no value")
        )
    table.task = task or _task(settled)
    if table.task == "regression":
        if is_text(settled):
            raise DataError(f"expected numbers in {target!r} for a regression, found text")
        table.x, table.y, table.line = x, settled.to_numpy(np.float64), lines
    else:
        labels = settled.map(_label).to_numpy(object)
        names, counts = np.unique(labels, return_counts=True)
        alone = set(names[counts < 2]) if (counts >= 2).sum() >= 2 else set()
        if (counts < 2).all():
            raise DataError(f"expected classes in {target!r}, found a different one in every row")
        rare = np.array([label in alone for label in labels])
        table.rare, table.rare_lines = x[rare], lines[rare]
        table.rare_labels = [str(label) for label in labels[rare]]
        if alone:
            shown = ", ".join(sorted(map(str, alone))[:10])
            table.findings.append(
                f"Classes of a single row can be neither learnt nor tested and were left out: "
                f"{shown}."
            )
        table.x, table.y, table.line = x[~rare], labels[~rare].astype(str), lines[~rare]
    if len(table.unlabelled):
        table.findings.append(f"{len(table.unlabelled):,} rows have no target; they are predicted.")


def _label(value: Any) -> str:
    """A class as text; whole numbers without the point that reading them may have added."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _task(target: pd.Series[Any]) -> str:
    if is_text(target):
        return "classification"
    numbers = target.to_numpy(np.float64)
    few = target.nunique() <= max(2, min(_MANY_CLASSES, len(numbers) // 5))
    return "classification" if few and (numbers == np.round(numbers)).all() else "regression"


def _too_few(table: Table, folds: int) -> None:
    rows, columns = table.x.shape
    if rows < 50 or rows < 5 * columns:
        table.findings.append(
            f"{rows} rows for {columns} columns are few: differences between methods will hardly "
            "stand out from noise."
        )
    if table.task == "classification":
        names, counts = np.unique(np.asarray(table.y, str), return_counts=True)
        few = [f"{n} ({c})" for n, c in zip(names, counts, strict=True) if c < 2 * folds]
        if few:
            table.findings.append(
                f"Too few rows of some classes to judge them: {', '.join(few[:10])}."
            )
        share = counts.max() / rows
        if share > 0.8:
            table.findings.append(
                f"{names[counts.argmax()]} is {share:.0%} of the rows: balanced accuracy counts."
            )


def _leaks(table: Table, target: str) -> None:
    """Columns that alone tell the target: copies of it, or something known only afterwards."""
    drawn = np.random.default_rng(0).permutation(len(table.x))[:_LOOKED_AT]
    y = np.asarray(table.y)[drawn]
    for name in table.x.columns:
        values = table.x[name].iloc[drawn]
        if len(values) < 20:
            return
        told = _tells_value(values, y) if table.task == "regression" else _tells_class(values, y)
        if told is not None and told >= _LEAK:
            table.findings.append(
                f"Column {name} alone tells {target} ({told:.1%}): is it known before {target} is? "
                "If not, it leaks the answer and must be left out."
            )


def _tells_value(values: pd.Series[Any], y: NDArray[Any]) -> float | None:
    if is_text(values) or values.nunique() < 3:
        return None
    known = values.notna().to_numpy()
    return float(abs(stats.spearmanr(values[known], y[known])[0]))


def _tells_class(values: pd.Series[Any], y: NDArray[Any]) -> float | None:
    """Cross-validated balanced accuracy of a tree that sees this column only."""
    codes = pd.factorize(values)[0] if is_text(values) else values.fillna(-np.inf)
    column = np.nan_to_num(np.asarray(codes, np.float64), neginf=-1e30)[:, None]
    counts = np.unique(y, return_counts=True)[1]
    if counts.min() < 3:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        scores = cross_val_score(
            DecisionTreeClassifier(max_leaf_nodes=4 * len(counts), random_state=0),
            column,
            y,
            cv=StratifiedKFold(3, shuffle=True, random_state=0),
            scoring="balanced_accuracy",
        )
    return float(scores.mean())
