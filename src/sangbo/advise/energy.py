"""What a candidate costs: energy of this machine while it works, and operations it must do.

Candidates finish in milliseconds, so the energy counter of the processor (RAPL) is read directly
where the system shows it: `measured`. Elsewhere energy is processor time times an
assumed power of one busy core: `modelled`; ratios of candidates do not depend on that power.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sangbo.chips import load

WATTS_PER_CORE = 10.0
_RAPL = Path("/sys/class/powercap")

CHIP = "horowitz-45nm"


@dataclass(frozen=True, slots=True)
class Operations:
    """Arithmetic of one prediction, without what prepares the columns.

    Attributes:
        multiply_adds: fp32 multiply–accumulates.
        adds: fp32 additions and comparisons.
        int8_multiply_adds: int8 multiply–accumulates into int32.
        int32_adds: int32 additions (of spikes).
    """

    multiply_adds: float = 0.0
    adds: float = 0.0
    int8_multiply_adds: float = 0.0
    int32_adds: float = 0.0

    @property
    def flop(self) -> float:
        """All of them, a multiply–accumulate counted as two."""
        return 2 * (self.multiply_adds + self.int8_multiply_adds) + self.adds + self.int32_adds

    @property
    def picojoules(self) -> float:
        """Their energy on the chip `CHIP`, memory left out (modelled)."""
        pj = load(CHIP).arithmetic
        return (
            (pj("multiply_float32") + pj("add_float32")) * self.multiply_adds
            + pj("add_float32") * self.adds
            + (pj("multiply_int8") + pj("add_int32")) * self.int8_multiply_adds
            + pj("add_int32") * self.int32_adds
        )


def break_even() -> float:
    """Spikes that cost as much as the multiplication they replace, on the chip `CHIP`."""
    pj = load(CHIP).arithmetic
    return (pj("multiply_int8") + pj("add_int32")) / pj("add_int32")


def energy_basis() -> str:
    """``measured`` where the processor's counter can be read, else ``modelled``."""
    return "modelled" if _counters() is None else "measured"


class Meter:
    """Joules and seconds of a block: ``with Meter() as m: …; m.joules``."""

    def __init__(self) -> None:
        self.joules = 0.0
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._start = (time.perf_counter(), time.process_time(), _counters())
        return self

    def __exit__(self, *exception: object) -> None:
        wall, busy, before = self._start
        after = _counters()
        self.seconds = time.perf_counter() - wall
        if before is None or after is None:
            self.joules = (time.process_time() - busy) * WATTS_PER_CORE
            return
        micro = 0
        for name, (reading, limit) in after.items():
            step = reading - before.get(name, (reading, limit))[0]
            micro += step if step >= 0 else step + limit  # the counter wrapped round
        self.joules = micro * 1e-6


def repeated(
    work: Callable[[], Any], seconds: float = 0.02, most: int = 200
) -> tuple[float, float]:
    """Joules and seconds of one run of ``work``, run until ``seconds`` have passed."""
    runs = 0
    with Meter() as meter:
        end = time.perf_counter() + seconds
        while True:
            work()
            runs += 1
            if runs >= most or time.perf_counter() >= end:
                break
    return meter.joules / runs, meter.seconds / runs


def _counters() -> dict[str, tuple[int, int]] | None:
    """Microjoules so far and the limit they wrap at, of every processor package."""
    found = {}
    for package in _RAPL.glob("intel-rapl:*"):
        if package.name.count(":") != 1:
            continue
        try:
            reading = int((package / "energy_uj").read_text())
            limit = int((package / "max_energy_range_uj").read_text())
        except (OSError, ValueError):
            return None
        found[package.name] = (reading, limit)
    return found or None
