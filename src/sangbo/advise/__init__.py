"""Does this table need deep learning? Everything tried honestly, the cheapest good one advised."""

from sangbo.advise._requires import EXTRA as EXTRA
from sangbo.advise.advice import Advice, advise
from sangbo.advise.advisor import Advisor
from sangbo.advise.groups import Grouping, find_groups
from sangbo.advise.novelty import Oddity
from sangbo.advise.pages import advice_page
from sangbo.advise.table import Table, prepare, read_frame

__all__ = [
    "Advice",
    "Advisor",
    "Grouping",
    "Oddity",
    "Table",
    "advice_page",
    "advise",
    "find_groups",
    "prepare",
    "read_frame",
]
