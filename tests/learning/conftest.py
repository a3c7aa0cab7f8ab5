"""Digits that scikit-learn carries, in the place of those that are fetched."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sangbo.data import pictures


@pytest.fixture
def small_digits(monkeypatch: pytest.MonkeyPatch) -> pictures.Labelled:
    """1,797 digits of 8×8 pixels, each pixel drawn as 3×3, in the middle of 28×28."""
    found = load_digits()
    large = np.kron(found.images * (255 / 16), np.ones((3, 3)))
    framed = np.pad(large, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
    data = pictures.Labelled(framed, found.target.astype(np.int64))
    monkeypatch.setattr(pictures, "digits", lambda progress=None: data)
    return data
