"""Saving and loading with skops: arrays and named types in an archive, never pickle."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from sangbo.errors import DataError

MAX_BYTES = 4 << 30

TRUSTED = [
    "collections.OrderedDict",
    "numpy.dtype",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "sangbo.advise.advisor.Advisor",
    "sangbo.advise.attention.AttentionClassifier",
    "sangbo.advise.attention.AttentionRegressor",
    "sangbo.advise.complementary.ComplementaryClassifier",
    "sangbo.advise.complementary.ComplementaryRegressor",
    "sangbo.advise.novelty.Novelty",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
]
"""Types beyond those skops trusts that a saved Advisor may hold."""


def save(value: Any, path: str | Path) -> None:
    """Write ``value``; what stood at ``path`` stays unless all of it was written.

    Raises:
        DataError: it cannot be written there.
    """
    target = Path(path)
    beside = target.with_name(f".{target.name}.new")
    try:
        beside.write_bytes(skops.io.dumps(value))
        beside.replace(target)
    except OSError as error:
        raise DataError(f"expected to write {path}, found: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)


def load(path: str | Path) -> Any:
    """Read what `save` wrote; no type beyond `TRUSTED` and skops's own is ever made.

    Raises:
        DataError: the file is not one, is too large, or holds another type.
    """
    try:
        _check_size(path)
        return skops.io.load(path, trusted=TRUSTED)
    except DataError:
        raise
    except UntrustedTypesFoundException as error:
        raise DataError(f"expected only known types in {path}, found: {error}") from None
    except (
        OSError,
        zipfile.BadZipFile,
        AttributeError,
        ImportError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise DataError(f"expected a saved Advisor at {path}, found: {error}") from None


def _check_size(path: str | Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(item.file_size for item in archive.infolist())
    if size > MAX_BYTES:
        raise DataError(f"expected at most {MAX_BYTES} bytes in {path}, found {size}")
