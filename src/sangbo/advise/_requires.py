"""Checked before anything else of this package is imported."""

from __future__ import annotations

from sangbo.extras import need

EXTRA = "advise"
need(EXTRA, "sklearn", "lightgbm", "xgboost", "pandas", "pyarrow", "matplotlib", "skops")
