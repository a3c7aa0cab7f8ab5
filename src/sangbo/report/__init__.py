"""Tables and self-contained HTML pages of what others worked out; no logic of its own."""

from sangbo.report.energy import energy_markdown, energy_table, price_document, run_energy
from sangbo.report.page import Page
from sangbo.report.splits import splits_document, splits_markdown, splits_table

__all__ = [
    "Page",
    "energy_markdown",
    "energy_table",
    "price_document",
    "run_energy",
    "splits_document",
    "splits_markdown",
    "splits_table",
]
