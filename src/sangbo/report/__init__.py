"""Reports: self-contained HTML pages with tables and figures."""

from sangbo.report.page import Page

__all__ = ["Page"]
