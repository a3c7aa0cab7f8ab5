"""Tables and self-contained HTML pages of what others worked out; no logic of its own."""

from sangbo.report.break_even import (
    break_even_document,
    break_even_drawing,
    break_even_table,
    thresholds_table,
)
from sangbo.report.budget import (
    batch_document,
    batch_table,
    budget_bars,
    budget_drawing,
    budget_table,
)
from sangbo.report.energy import energy_markdown, energy_table, price_document, run_energy
from sangbo.report.page import Page
from sangbo.report.price_page import price_page
from sangbo.report.splits import splits_document, splits_markdown, splits_table
from sangbo.report.waterfall import (
    waterfall_bars,
    waterfall_drawing,
    waterfall_page,
    waterfall_table,
)

__all__ = [
    "Page",
    "batch_document",
    "batch_table",
    "break_even_document",
    "break_even_drawing",
    "break_even_table",
    "budget_bars",
    "budget_drawing",
    "budget_table",
    "energy_markdown",
    "energy_table",
    "price_document",
    "price_page",
    "run_energy",
    "splits_document",
    "splits_markdown",
    "splits_table",
    "thresholds_table",
    "waterfall_bars",
    "waterfall_drawing",
    "waterfall_page",
    "waterfall_table",
]
