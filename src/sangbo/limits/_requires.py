"""Checked before anything else of this package is imported."""

from __future__ import annotations

from sangbo.extras import need

EXTRA = "limits"
need(EXTRA, "scipy", "statsmodels", "matplotlib", "codecarbon")
