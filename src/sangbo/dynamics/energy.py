"""What a run would have cost on chips, from what was counted; without placement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sangbo import chips

if TYPE_CHECKING:
    from sangbo.dynamics.run import Run

STEPPED = ("loihi-1", "loihi-1-silicon")


def energy(
    run: Run, names: tuple[str, ...] = STEPPED, *, plastic_events: int = 0
) -> list[dict[str, Any]]:
    """Energy per second of simulated time on each chip, pJ, counted events times stated energies.

    Every neuron update is priced as active, which is an upper bound, and every spike as one that
    stays within its tile, which is a lower one.
    """
    found = []
    for name in names:
        chip = chips.load(name)
        each = {
            key: chip.energy(key) or 0.0
            for key in ("accumulate", "neuron_update", "spike", "transport", "plasticity_update")
        }
        total = (
            run.synaptic_events * each["accumulate"]
            + run.neuron_updates * each["neuron_update"]
            + run.spikes * (each["spike"] + each["transport"])
            + plastic_events * each["plasticity_update"]
        )
        per_second = total / (run.duration / 1000) if run.duration else 0.0
        found.append(
            {
                "chip": name,
                "scheme": "spiking",
                "compute_pj": per_second,
                "memory_pj": 0.0,
                "total_pj": per_second,
                "per": "second",
                "basis": "modelled",
            }
        )
    return found
