"""Reading a table of results: one row a system, its score and what it cost to train."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sangbo.errors import DataError
from sangbo.limits.burden import PUBLISHED_LINE, impute_line

MAX_BYTES = 64 << 20
MAX_HEADER_ROWS = 4

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Observations:
    """Systems whose error and computation are both known, in the order of the table.

    Attributes:
        names: (n,) what each system is called (the column ``name``, else ``row N``).
        error: (n,) error as a fraction, 0 < error < 1 (or any positive loss).
        compute: (n,) computation in the unit of its column (FLOP), above 0.
        imputed: (n,) whether `compute` was imputed from another column.
        year: (n,) year of publication, or None if no such column was asked for.
        imputation: ``(intercept, slope)`` of the line in log10 that imputed, or None.
        imputation_basis: ``fitted`` on this table, ``published`` (`PUBLISHED_LINE`, where fewer
            than three rows have both computations), ``given``, or None.
        dropped: rows of the table that lack a score, a computation or a year.
    """

    names: tuple[str, ...]
    error: Floats
    compute: Floats
    imputed: NDArray[np.bool_]
    year: Floats | None
    imputation: tuple[float, float] | None
    imputation_basis: str | None
    dropped: int


def read_observations(
    path: str | Path,
    performance: str,
    compute: str,
    *,
    impute: str | None = None,
    imputation: tuple[float, float] | None = None,
    year: str | None = None,
    is_error: bool = False,
) -> Observations:
    """Read a CSV of systems.

    The first row names the columns. Up to three further rows without a number in any of the
    columns asked for are more header, as in the tables of Thompson et al. A cell may be empty (the
    row is then left out and counted); a cell that is neither empty nor a number is refused.

    Args:
        path: CSV in UTF-8, at most 64 MiB.
        performance: column of the score: a percentage if any value is above 1, else a fraction;
            error = 1 - score.
        compute: column of the computation (hardware burden or network operations, in FLOP).
        impute: column (network operations) from which a missing ``compute`` is imputed, by the
            line fitted in log10 on the rows that have both; where fewer than three do, by the
            published line, and the result says so.
        imputation: ``(intercept, slope)`` to impute with instead of fitting.
        year: column of the year of publication.
        is_error: the ``performance`` column already holds errors.

    Raises:
        DataError: the file, a column or a value is not usable; says which.
    """
    header, rows = _read(Path(path))
    wanted = [c for c in (performance, compute, impute, year) if c is not None]
    for column in wanted:
        if column not in header:
            raise DataError(f"expected a column {column!r}, found {', '.join(header)}")
    places = [header.index(column) for column in wanted]
    skip = _header_rows(rows, places)
    rows = rows[skip:]
    first = skip + 2  # line of the first row of data, counted from 1
    columns = {c: _numbers(rows, p, c, first) for c, p in zip(wanted, places, strict=True)}
    spent = columns[compute].copy()
    error = _errors(columns[performance], performance, is_error)
    line, basis = imputation, None if imputation is None else "given"
    imputed = np.zeros(len(rows), bool)
    if impute is not None:
        if line is None:
            line, basis = impute_line(columns[impute], spent), "fitted"
        if line is None:
            line, basis = PUBLISHED_LINE, "published"
        imputed = np.isnan(spent) & (columns[impute] > 0)
        spent[imputed] = 10 ** (line[0] + line[1] * np.log10(columns[impute][imputed]))
    elif line is not None:
        raise DataError("expected a column to impute from beside the line, found none")
    if (spent <= 0).any():
        raise DataError(f"expected computation above 0 in {compute!r}, found 0 or less")
    keep = ~np.isnan(spent) & ~np.isnan(error)
    if year is not None:
        keep &= ~np.isnan(columns[year])
    label = header.index("name") if "name" in header else None
    return Observations(
        names=tuple(
            rows[i][label] if label is not None else f"row {first + i}"
            for i in np.flatnonzero(keep)
        ),
        error=error[keep],
        compute=spent[keep],
        imputed=imputed[keep],
        year=None if year is None else columns[year][keep],
        imputation=line,
        imputation_basis=basis,
        dropped=int((~keep).sum()),
    )


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DataError(f"expected {path} to hold at most {MAX_BYTES} bytes, found {size}")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            table = [row for row in csv.reader(stream, strict=True) if any(map(str.strip, row))]
    except OSError as error:
        raise DataError(f"expected a readable file at {path}, found: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"expected a CSV in UTF-8 at {path}, found: {error}") from None
    if len(table) < 2:
        raise DataError(f"expected a header and rows in {path}, found {len(table)} rows")
    header = [name.strip() for name in table[0]]
    for line, row in enumerate(table[1:], start=2):
        if len(row) != len(header):
            raise DataError(
                f"expected {len(header)} cells in row {line} of {path}, found {len(row)}"
            )
    return header, table[1:]


def _header_rows(rows: list[list[str]], places: list[int]) -> int:
    for count, row in enumerate(rows[: MAX_HEADER_ROWS - 1]):
        if any(_number(row[p]) is not None for p in places):
            return count
        if all(not row[p].strip() for p in places) and any(
            _number(cell) is not None for cell in row
        ):
            return count  # a system of which nothing asked for is known, not a header
    return min(MAX_HEADER_ROWS - 1, len(rows))


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _numbers(rows: list[list[str]], place: int, column: str, first: int) -> Floats:
    values = np.full(len(rows), np.nan)
    for index, row in enumerate(rows):
        cell = row[place].strip()
        if not cell:
            continue
        number = _number(cell)
        if number is None:
            raise DataError(
                f"expected a finite number in column {column!r} of row {first + index}, "
                f"found {cell!r}"
            )
        values[index] = number
    return values


def _errors(score: Floats, column: str, is_error: bool) -> Floats:
    known = score[~np.isnan(score)]
    scale = 100.0 if known.size and known.max() > 1 else 1.0
    error = score / scale if is_error else 1 - score / scale
    if (error <= 0).any() or (not is_error and (error > 1).any()):
        raise DataError(
            f"expected scores in {column!r} from 0 up to but without {scale:g} (no system is "
            f"without error), found {known.min():g} to {known.max():g}"
        )
    return np.asarray(error, np.float64)
