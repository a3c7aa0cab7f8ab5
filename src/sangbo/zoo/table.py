"""Makes the table: each network opened, converted, measured, certified, priced and timed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sangbo import chips, codes
from sangbo.certificate import CERTIFICATE_FILE, write_certificate
from sangbo.convert import convert
from sangbo.engines import Reference
from sangbo.errors import SangboError
from sangbo.files import write_file
from sangbo.ledger import Ledger
from sangbo.network import Network, is_network, load
from sangbo.progress import Progress, silent
from sangbo.sources import Source
from sangbo.tasks import Task
from sangbo.tasks.model import Model
from sangbo.verify import verify
from sangbo.zoo.rows import ROWS, Row
from sangbo.zoo.speed import relative_speeds

RESULT_FILE = "result.json"
CHIP = "c-transformer-28nm"
"""Whose prices decide which levels are dense in the table."""
CHIPS = (CHIP, "horowitz-45nm", "jouppi-7nm")
"""That every row is priced on."""


@dataclass(frozen=True, slots=True)
class Result:
    """One row, measured.

    Attributes:
        network: its name.
        family: its kind.
        metric: what was measured, and on what.
        original: the metric of the original.
        converted: of the converted network.
        allowed: what may be lost.
        passed: whether no more was, and whether the certificate holds.
        dense_fraction: share of (level, target) pairs that a MAC carries more cheaply.
        spikes_per_value: csd spikes of the others, per (level, target) pair of all.
        speed_relative_to_torch: throughput over PyTorch's float32 on the same inputs and threads;
            None where PyTorch is not installed.
        speed_of_one_relative_to_torch: the same for one sample at a time; None where a reading is
            one sample, too.
        certificate: whether it holds.
        temporal: accumulators of the temporal engine that were compared, and how many differ.
        seconds: that the row took.
        energy: entries like those of ``sangbo run --json``, on each of `CHIPS`.
    """

    network: str
    family: str
    metric: str
    original: float
    converted: float
    allowed: float
    passed: bool
    dense_fraction: float
    spikes_per_value: float
    speed_relative_to_torch: float | None
    speed_of_one_relative_to_torch: float | None
    certificate: bool
    temporal: Mapping[str, int]
    seconds: float
    energy: Sequence[Mapping[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON values."""
        return asdict(self)


def measure_row(
    row: Row, folder: Path, progress: Progress = silent, *, time_again: bool = False
) -> Result:
    """One row, from what an earlier run left in ``folder`` as far as it came.

    Args:
        row: which.
        folder: keeps the trained original, the converted network, its certificate and the result.
        progress: told what is being done.
        time_again: whether to measure the speed of a row that is there once more.
    """
    kept = folder / row.network / RESULT_FILE
    result = _read(kept) if kept.is_file() else None
    if result is not None and not time_again:
        return result
    began = time.monotonic()
    task = row.task() if row.task is not None else None
    source = row.open(folder / row.network / "original", progress)
    network = _converted(source, folder / row.network / "converted", task, progress)
    if result is not None:
        speed, of_one = relative_speeds(source, network, task, progress)
        result = replace(
            result, speed_relative_to_torch=speed, speed_of_one_relative_to_torch=of_one
        )
        _write(result, kept)
        return result
    original = Model(Reference(source.graph), source.tokenizer)
    converted = Model(network.engine, network.tokenizer)
    before, after = row.measure(original, converted, progress)
    certificate = verify(network, original=source, task=task, progress=progress)
    write_certificate(certificate, folder / row.network / CERTIFICATE_FILE)
    temporal = {"compared": 0, "different": 0}
    for name, found in certificate.engines.items():
        if name.startswith("temporal"):
            temporal["compared"] += found.compared
            temporal["different"] += found.different
    dense, spikes = shares(network.ledger)
    result = Result(
        row.network, row.family, row.metric, before, after, row.allowed,
        row.lost(before, after) <= row.allowed and certificate.passed,
        dense, spikes, *relative_speeds(source, network, task, progress), certificate.passed,
        temporal, time.monotonic() - began, priced(network),
    )  # fmt: skip
    _write(result, kept)
    return result


def _write(result: Result, path: Path) -> None:
    write_file(path, (json.dumps(result.to_dict(), indent=1) + "\n").encode())


def _converted(source: Source, folder: Path, task: Task | None, progress: Progress) -> Network:
    if is_network(folder):
        return load(folder)
    return convert(source, folder, task=task, progress=progress)


def _read(path: Path) -> Result:
    try:
        return Result(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise SangboError(f"expected {path} to hold a row of the table: {error}") from None


def shares(ledger: Ledger) -> tuple[float, float]:
    """Share of pairs that are dense on `CHIP`, and csd spikes of the others per pair of all."""
    worth = chips.side_prices(chips.load(CHIP), codes.code("csd")).worth
    csd = codes.code("csd")
    pairs = dense = spikes = 0
    for operation in ledger.operations.values():
        occurrences = operation.pairs.occurrences
        each = csd.spikes(operation.pairs.magnitudes)
        cheaper = each >= worth
        pairs += int(occurrences.sum())
        dense += int(occurrences[cheaper].sum())
        spikes += int((each * occurrences)[~cheaper].sum())
    return dense / max(1, pairs), spikes / max(1, pairs)


def priced(network: Network) -> list[dict[str, Any]]:
    """Dense, spiking and complementary energy of a token or sample on each of `CHIPS`."""
    nests = chips.weighted(network.graph)
    per: Literal["token", "sample"] = (
        "token" if "context_length" in network.graph.metadata else "sample"
    )
    return [
        price.to_run_dict(per)
        for chip in CHIPS
        for price in chips.price(network.ledger, chips.load(chip), code=network.code, nests=nests)
        if price.energy is not None
    ]


def make_table(
    folder: Path,
    networks: Sequence[str] | None = None,
    progress: Progress = silent,
    *,
    time_again: bool = False,
) -> tuple[list[Result], dict[str, str]]:
    """All rows, or those of ``networks``, in the order of the table; and why others have failed.

    A row that cannot be made does not keep the next ones from being made.

    Raises:
        SangboError: where there is no such row.
    """
    wanted = list(ROWS) if networks is None else list(networks)
    if unknown := [n for n in wanted if n not in ROWS]:
        raise SangboError(f"expected some of {', '.join(ROWS)}, found {unknown[0]!r}")
    results, failures = [], {}
    for step, name in enumerate(wanted):

        def told(doing: str, share: float, name: str = name, step: int = step) -> None:
            progress(f"{name} ({step + 1} of {len(wanted)}), {doing}", share)

        try:
            results.append(measure_row(ROWS[name], folder, told, time_again=time_again))
        except SangboError as error:
            failures[name] = str(error)
    return results, failures
