"""What a job costs while it runs: hardware burden, energy, money and CO2.

Energy comes from CodeCarbon: it reads the counters of the processors where the system shows them
(RAPL, NVML) and else estimates from their load and rated power. Which of the two is always said.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console

from sangbo.errors import DataError
from sangbo.limits.burden import hardware_burden

WORLD_GRAMS_PER_KWH = 475.0
DOLLARS_PER_KWH = 0.15
_MATRIX = 512


@dataclass
class Measurement:
    """What one job cost. Filled when it ends.

    Attributes:
        seconds: time from start to end.
        cpu_seconds: time of the processors spent by this process and its ended children.
        processors: processors held.
        rate: FLOP/s of one processor.
        rate_basis: ``measured`` (float32 matrix product here) or ``given``.
        hardware_burden: processors × rate × seconds, FLOP.
        kwh: energy.
        energy_basis: ``measured`` (counters of the CPU), ``partly measured`` (counters of a GPU
            only) or ``estimated`` (load × rated power).
        energy_scope: ``machine`` or ``process``: whose energy.
        kg_co2: kWh × grid intensity.
        grid: where the intensity is from.
        dollars: kWh × price + processors × hours × price.
        exit_code: of a command, else None.
        power: watts of CPU, GPU and RAM, as CodeCarbon has them.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    processors: float = 0.0
    rate: float = 0.0
    rate_basis: str = ""
    hardware_burden: float = 0.0
    kwh: float = 0.0
    energy_basis: str = ""
    energy_scope: str = ""
    kg_co2: float = 0.0
    grid: str = ""
    dollars: float = 0.0
    exit_code: int | None = None
    power: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The measurement as JSON values."""
        return {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "processors": self.processors,
            "flop_per_second": self.rate,
            "rate_basis": self.rate_basis,
            "hardware_burden": self.hardware_burden,
            "energy_kwh": self.kwh,
            "energy_basis": self.energy_basis,
            "energy_scope": self.energy_scope,
            "kg_co2": self.kg_co2,
            "grid": self.grid,
            "dollars": self.dollars,
            "exit_code": self.exit_code,
            "watts": self.power,
        }


@dataclass(frozen=True, slots=True)
class Rates:
    """What to charge a job by.

    Attributes:
        processors: processors held; those this process may use by default.
        rate: FLOP/s of one; measured here by default.
        dollars_per_kwh: price of electricity.
        dollars_per_hour: rent of one processor; 0 where it is owned.
        grams_per_kwh: CO2 of the grid; by default the country's, else the world's 475.
        country: three letters (ISO 3166), such as KOR.
    """

    processors: float | None = None
    rate: float | None = None
    dollars_per_kwh: float = DOLLARS_PER_KWH
    dollars_per_hour: float = 0.0
    grams_per_kwh: float | None = None
    country: str | None = None

    def __post_init__(self) -> None:
        for name in ("processors", "rate", "dollars_per_kwh", "dollars_per_hour", "grams_per_kwh"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise DataError(f"expected {name} of 0 or more, found {value}")
        if self.country is not None and not (len(self.country) == 3 and self.country.isalpha()):
            raise DataError(
                f"expected a country of three letters, such as KOR, found {self.country}"
            )


@contextmanager
def measure(rates: Rates | None = None, *, progress: bool = False) -> Iterator[Measurement]:
    """Record what a block of code costs.

    Example:
        >>> with measure(Rates(rate=1e11)) as cost:
        ...     total = sum(range(1000))
        >>> cost.seconds > 0
        True

    Args:
        rates: what to charge by.
        progress: show a line on standard error while it runs.

    Raises:
        DataError: the country is unknown, or the tracker gave nothing.
    """
    rates = rates or Rates()
    cost = Measurement(
        processors=len(os.sched_getaffinity(0)) if rates.processors is None else rates.processors,
        rate=processor_rate() if rates.rate is None else rates.rate,
        rate_basis="measured" if rates.rate is None else "given",
    )
    tracker, cost.grid = _tracker(rates)
    spent = _cpu_seconds()
    tracker.start()
    start = time.perf_counter()
    try:
        with _progress(progress, start):
            yield cost
    finally:
        cost.seconds = time.perf_counter() - start
        cost.cpu_seconds = _cpu_seconds() - spent
        kg = tracker.stop()
        data = getattr(tracker, "final_emissions_data", None)
    if data is None or kg is None:
        raise DataError("expected CodeCarbon to report the energy, found that it gave nothing")
    _fill(cost, rates, data)


def run(
    command: Sequence[str], rates: Rates | None = None, *, progress: bool = True
) -> Measurement:
    """Run a command and measure it; its standard output goes to ours for errors.

    Args:
        command: program and arguments; no shell reads them.
        rates: what to charge by.
        progress: show a line on standard error while it runs.

    Returns:
        what it cost, with its exit code.

    Raises:
        DataError: the command cannot be started.
    """
    if not command:
        raise DataError("expected a command to measure after --, found none")
    with measure(rates, progress=progress) as cost:
        try:
            cost.exit_code = subprocess.run(  # noqa: S603 (the user's own command)
                list(command), stdout=sys.__stderr__, check=False
            ).returncode
        except OSError as error:
            raise DataError(
                f"expected a program called {command[0]!r}, found: {error.strerror}"
            ) from None
    return cost


def processor_rate(seconds: float = 0.2) -> float:
    """FLOP/s of float32 matrix products here, as NumPy does them, for one of our processors.

    All processors take part and the rate is shared out, so that processors × rate is the machine's.
    The best of the repetitions counts, for a peak is asked for.
    """
    a = np.random.default_rng(0).standard_normal((_MATRIX, _MATRIX)).astype(np.float32)
    best, end = np.inf, time.perf_counter() + seconds
    a @ a
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * _MATRIX**3 / best / len(os.sched_getaffinity(0))


def _tracker(rates: Rates) -> tuple[Any, str]:
    from codecarbon import OfflineEmissionsTracker
    from codecarbon.input import DataSource

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # importing it sets another level
    options: dict[str, Any] = {"country_iso_code": "USA"}
    grid = ""
    if rates.country is not None:
        source: Any = DataSource
        known = source().get_global_energy_mix_data()
        if rates.country.upper() not in known:
            raise DataError(f"expected a country that CodeCarbon knows, found {rates.country!r}")
        options["country_iso_code"] = rates.country.upper()
        grid = f"{rates.country.upper()}, as CodeCarbon has it"
    if rates.grams_per_kwh is not None or rates.country is None:
        grams = WORLD_GRAMS_PER_KWH if rates.grams_per_kwh is None else rates.grams_per_kwh
        options["force_carbon_intensity_g_co2e_kwh"] = grams
        grid = f"{grams:g} g/kWh, " + ("given" if rates.grams_per_kwh is not None else "world")
    tracker = OfflineEmissionsTracker(
        output_methods=[],
        log_level="critical",
        measure_power_secs=1,
        allow_multiple_runs=True,
        tracking_mode="machine",
        **options,
    )
    return tracker, grid


def _fill(cost: Measurement, rates: Rates, data: Any) -> None:
    from codecarbon.core.cpu import is_rapl_available

    cost.hardware_burden = hardware_burden(cost.processors, cost.rate, cost.seconds)
    cost.kwh = float(data.energy_consumed)
    cost.kg_co2 = float(data.emissions)
    cost.power = {
        "cpu": float(data.cpu_power),
        "gpu": float(data.gpu_power),
        "ram": float(data.ram_power),
    }
    cost.energy_scope = str(data.tracking_mode)
    gpu = bool(data.gpu_count)
    cost.energy_basis = (
        "measured" if is_rapl_available() else "partly measured" if gpu else "estimated"
    )
    hours = cost.seconds / 3600
    cost.dollars = (
        cost.kwh * rates.dollars_per_kwh + cost.processors * hours * rates.dollars_per_hour
    )


def _cpu_seconds() -> float:
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


@contextmanager
def _progress(shown: bool, start: float) -> Iterator[None]:
    console = Console(stderr=True)
    if not shown or not console.is_terminal:
        yield
        return
    done = threading.Event()
    with console.status("measuring") as status:

        def tick() -> None:
            while not done.wait(1.0):
                status.update(f"measuring: {time.perf_counter() - start:.0f} s")

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
