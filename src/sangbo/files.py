"""Writing files and folders so that a reader sees the old or the new one, never half of one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sangbo.errors import SangboError


def write_file(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` in one step; what stood there stays if that fails.

    Raises:
        SangboError: where it cannot be written.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        new = Path(temporary)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            new.chmod(0o644)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise SangboError(f"expected to write {path}, found: {error.strerror}") from None


@contextlib.contextmanager
def replaced_folder(target: Path, mark: str) -> Iterator[Path]:
    """A temporary folder that takes the place of ``target`` when the block ends well.

    If the block raises, or the process dies, what stood at ``target`` still stands.

    Args:
        target: the folder to write; its parents are made.
        mark: a file that an existing ``target`` must hold to be replaced, so that a slip of the
            hand does not delete somebody's work.

    Raises:
        SangboError: where ``target`` is something else, or the disk cannot be written.
    """
    if target.exists() and not _replaceable(target, mark):
        raise SangboError(
            f"expected {target} to be absent, empty or an earlier model, found other files there"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise SangboError(f"expected to write beside {target}: {error}") from None
    try:
        yield new
        new.chmod(0o755)
        old = new.with_name(f"{new.name}.old")
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise SangboError(f"expected to write {target}: {error}") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _replaceable(target: Path, mark: str) -> bool:
    return target.is_dir() and ((target / mark).is_file() or not any(target.iterdir()))
