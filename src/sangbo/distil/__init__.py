"""Little networks that guess for big ones: what they learn from, and how."""

from sangbo.distil.little import distil

__all__ = ["distil"]
