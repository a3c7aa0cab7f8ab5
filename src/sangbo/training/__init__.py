"""Networks as PyTorch modules: run there, fine-tuned there, and taken back."""

from sangbo.training.module import Trainable, to_torch

__all__ = ["Trainable", "to_torch"]
