"""Optional dependencies: what is missing is said in one line, with the extra that brings it."""

from __future__ import annotations

from importlib.util import find_spec

from sangbo.errors import MissingExtraError


def need(extra: str, *modules: str) -> None:
    """Check that every one of ``modules`` can be imported.

    Args:
        extra: the extra of this package that installs them, such as ``limits``.
        modules: names of top-level modules.

    Raises:
        MissingExtraError: one of them is missing; the message names it and the extra.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise MissingExtraError(
            f"expected {', '.join(missing)} to be installed, found nothing; "
            f"run: pip install 'sangbo[{extra}]'"
        )
