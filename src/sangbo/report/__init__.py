"""Tables of what others worked out; no logic of its own."""

from sangbo.report.energy import energy_markdown, energy_table, price_document, run_energy

__all__ = ["energy_markdown", "energy_table", "price_document", "run_energy"]
