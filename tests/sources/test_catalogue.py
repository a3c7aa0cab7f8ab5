from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import os
import re
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sangbo.errors import SourceError
from sangbo.sources import Entry, cache_folder, catalogue, entries, fetch

CONTENT = bytes(range(256)) * 5000
MEMBER = "small_net/net.gguf"
WHEEL = "small_net-1.0-py3-none-any.whl"
SETUP = "raise SystemExit('the package was run')"
Make = Callable[..., Entry]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Put a wheel into a package index of its own; the entry that names it."""
    index = tmp_path / "index"
    index.mkdir()
    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", index.as_uri())

    def made(files: dict[str, bytes] | None = None, **changes: object) -> Entry:
        wheel = index / WHEEL
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in (files or {MEMBER: CONTENT}).items():
                archive.writestr(name, content)
            archive.writestr("small_net/__init__.py", SETUP)
            info = "small_net-1.0.dist-info"
            archive.writestr(
                f"{info}/METADATA", "Metadata-Version: 2.1\nName: small-net\nVersion: 1.0\n"
            )
            archive.writestr(
                f"{info}/WHEEL",
                "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
            archive.writestr(f"{info}/RECORD", "")
        entry = Entry(
            name="small", task="text-generation", family="llama", parameters=1,
            bytes=len(CONTENT), licence="MIT", source="https://example.org/small",
            package="small-net", version="1.0", wheel=WHEEL, sha256=digest(wheel.read_bytes()),
            member=MEMBER, member_sha256=digest(CONTENT),
        )  # fmt: skip
        return dataclasses.replace(entry, **changes)  # type: ignore[arg-type]

    return made


def test_fetches_the_member_and_nothing_else(make: Make, tmp_path: Path) -> None:
    entry = make()
    seen: list[tuple[str, float]] = []
    path = fetch(entry, lambda doing, part: seen.append((doing, part)), tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    assert list((tmp_path / "cache").iterdir()) == [path]
    assert path.suffix == ".gguf"
    assert all(0 <= part <= 1 for _, part in seen)
    assert any("downloading" in doing for doing, _ in seen)


def test_cached_file_needs_no_index(make: Make, tmp_path: Path) -> None:
    entry = make()
    path = fetch(entry, folder=tmp_path / "cache")
    (tmp_path / "index" / WHEEL).unlink()
    before = path.stat().st_mtime_ns
    assert fetch(entry, folder=tmp_path / "cache") == path
    assert path.stat().st_mtime_ns == before


def test_damaged_cached_file_is_fetched_again(make: Make, tmp_path: Path) -> None:
    entry = make()
    path = fetch(entry, folder=tmp_path / "cache")
    damaged = bytearray(CONTENT)
    damaged[1000] ^= 1
    path.write_bytes(damaged)
    assert fetch(entry, folder=tmp_path / "cache").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("files", "changes", "message"),
    [
        (None, {"sha256": "0" * 64}, f"{WHEEL} to have SHA-256 0000"),
        (None, {"member_sha256": "0" * 64}, "net.gguf to have SHA-256 0000"),
        (None, {"member": "small_net/other.gguf"}, "other.gguf .* found none"),
        ({MEMBER: CONTENT + b"more"}, {}, f"{len(CONTENT)} bytes, found {len(CONTENT) + 4}"),
        ({MEMBER: CONTENT[:-1]}, {}, f"{len(CONTENT)} bytes, found {len(CONTENT) - 1}"),
        (None, {"version": "2.0"}, "small-net==2.0"),
        (None, {"wheel": "small_net-1.0-cp311-none-any.whl"}, "found .*py3-none-any"),
    ],
)
def test_other_files_are_refused(
    make: Make,
    tmp_path: Path,
    files: dict[str, bytes] | None,
    changes: dict[str, object],
    message: str,
) -> None:
    entry = make(files, **changes)
    with pytest.raises(SourceError, match=message):
        fetch(entry, folder=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_file_that_is_no_wheel_is_refused(make: Make, tmp_path: Path) -> None:
    entry = make()
    wheel = tmp_path / "index" / WHEEL
    wheel.write_bytes(wheel.read_bytes()[:-30])
    entry = dataclasses.replace(entry, sha256=digest(wheel.read_bytes()))
    with pytest.raises(SourceError, match="small"):
        fetch(entry, folder=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_member_whose_bytes_are_damaged_is_refused(make: Make, tmp_path: Path) -> None:
    entry = make()
    wheel = tmp_path / "index" / WHEEL
    raw = bytearray(wheel.read_bytes())
    raw[200] ^= 0xFF  # within the compressed member, which stands first
    wheel.write_bytes(raw)
    entry = dataclasses.replace(entry, sha256=digest(bytes(raw)))
    with pytest.raises(SourceError, match="sound wheel"):
        fetch(entry, folder=tmp_path / "cache")


@pytest.mark.parametrize("member", ["../../outside.gguf", "/outside.gguf", "a/../../../out.gguf"])
def test_member_names_do_not_choose_where_files_go(make: Make, tmp_path: Path, member: str) -> None:
    cache = tmp_path / "deep" / "cache"
    path = fetch(make({member: CONTENT}, member=member), folder=cache)
    assert path.parent == cache
    assert [p.name for p in tmp_path.rglob("*.gguf")] == [path.name]


def test_interrupted_fetch_leaves_the_old_file(make: Make, tmp_path: Path) -> None:
    entry = make()
    path = fetch(entry, folder=tmp_path / "cache")
    path.write_bytes(b"old")

    def interrupt(doing: str, part: float) -> None:
        if doing.startswith("unpacking"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(entry, interrupt, tmp_path / "cache")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_fetches_at_once_do_not_disturb_each_other(make: Make, tmp_path: Path) -> None:
    entry = make()
    found: list[bytes] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(fetch(entry, folder=tmp_path / "cache").read_bytes())
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 3


def test_what_killed_fetches_left_is_removed_after_a_day(make: Make, tmp_path: Path) -> None:
    old, new = tmp_path / "cache" / ".fetch-old", tmp_path / "cache" / ".fetch-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    fetch(make(), folder=tmp_path / "cache")
    assert (old.exists(), new.exists()) == (False, True)


def test_missing_pip_is_named(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(SourceError, match="expected pip beside"):
        fetch(make(), folder=tmp_path / "cache")


def test_older_pip_is_asked_for_no_progress(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real, commands = subprocess.Popen, []

    def spy(command: list[str], **options: object) -> subprocess.Popen[str]:
        commands.append(command)
        return real(command, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(subprocess, "Popen", spy)
    for version, expected in (("24.0", "off"), ("24.1", "raw"), ("26.0.1", "raw")):
        monkeypatch.setattr(importlib.metadata, "version", lambda _, v=version: v)
        fetch(make(), folder=tmp_path / version)
        assert commands[-1][commands[-1].index("--progress-bar") + 1] == expected


def test_folder_that_cannot_be_made_is_named(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="expected to write to"):
        fetch(make(), folder=tmp_path / "file" / "cache")


def test_cache_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SANGBO_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "sangbo"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "sangbo"
    monkeypatch.setenv("SANGBO_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_entries_are_complete() -> None:
    assert entries()["smollm2-135m-instruct"].licence == "Apache-2.0"
    for name, entry in entries().items():
        assert entry.name == name
        assert entry.to_dict()["package"] == entry.package
        assert entry.wheel.startswith(f"{entry.package.replace('-', '_')}-{entry.version}-")
        for sha in (entry.sha256, entry.member_sha256):
            assert re.fullmatch("[0-9a-f]{64}", sha)
        assert catalogue.entries() is entries()
