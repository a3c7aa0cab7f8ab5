"""Where spikes break even with products."""

from __future__ import annotations

from sangbo.chips.chip import Chip


def break_even(chip: Chip, operand: str = "int8", total: str = "int32") -> float:
    """Spikes per value below which spikes cost less compute than one MAC on ``chip``.

    (E_multiply(operand) + E_add(total)) / E_add(total), from the chip's table of arithmetic; raises
    `ChipError` where that does not state them.
    """
    add = chip.arithmetic(f"add_{total}")
    return (chip.arithmetic(f"multiply_{operand}") + add) / add
