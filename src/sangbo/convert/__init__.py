"""Calibrate, choose thresholds, round weights: float graph in, complementary graph out."""

from sangbo.convert.pipeline import convert
from sangbo.convert.prepare import written
from sangbo.convert.settings import Settings

__all__ = ["Settings", "convert", "written"]
