"""The page of ``sangbo price --report``: verdict, budget, break-evens, notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sangbo.chips import Chip, LayerBreakEven, Price, Threshold, verdict
from sangbo.report.break_even import break_even_drawing, format_range
from sangbo.report.budget import budget_drawing
from sangbo.report.energy import energy_rows
from sangbo.report.page import Page
from sangbo.report.waterfall import add_waterfall
from sangbo.waterfall import Waterfall


def price_page(
    network: str,
    prices: Sequence[Price],
    chips: Mapping[str, Chip],
    layers: Sequence[LayerBreakEven] = (),
    published: Sequence[Threshold] = (),
    waterfalls: Sequence[Waterfall] = (),
) -> Page:
    """Everything that was priced, with drawings, in one file.

    Args:
        network: its name.
        prices: what it costs, by chip and scheme.
        chips: of them, by name.
        layers: where spikes break even in each.
        published: break-evens that others published.
        waterfalls: what each invention is worth, on chips where that was measured.
    """
    page = Page(f"{network}: what it costs")
    page.text(verdict(prices), "lead")
    page.heading("Where the energy goes")
    page.figure(
        budget_drawing(prices, chips),
        "Modelled energy per token, stacked; each chip has its own scale.",
    )
    header, rows = energy_rows(prices)
    page.table(header, rows, caption="Modelled: counted events × published energies.")
    for chip in dict.fromkeys(layer.chip for layer in layers):
        page.heading(f"Where spikes break even on {chip}")
        some = [layer for layer in layers if layer.chip == chip]
        page.figure(break_even_drawing(some), "Every layer; what stands below the line saves.")
    for found in waterfalls:
        page.heading(f"What each invention is worth on {found.chip}")
        add_waterfall(page, found)
    if published:
        page.heading("Published break-evens")
        page.table(
            ["claim", "published", "modelled", "unit", "assumption"],
            [
                [p.claim, format_range(p.published), format_range(p.modelled), p.unit, p.assumption]
                for p in published
            ],
        )
    page.heading("What to know about these numbers")
    for note in dict.fromkeys(f"{p.chip}: {note}" for p in prices for note in p.notes):
        page.text(note)
    return page
