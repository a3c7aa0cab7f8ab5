"""Networks out of PyTorch: any static module that `torch.export` understands."""

from sangbo.sources.exported.module import from_torch

__all__ = ["from_torch"]
