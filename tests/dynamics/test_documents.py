"""What the documents and docstrings show, run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import sangbo.dynamics
import sangbo.pynn

DOCUMENTS = Path(__file__).parents[2] / "docs"
EXAMPLES = [
    pytest.param(block, id=f"{name}-{i}")
    for name in ("cables.md", "dynamics.md", "pynn.md")
    for i, block in enumerate(
        re.findall(r"```python\n(.*?)```", (DOCUMENTS / name).read_text("utf-8"), re.DOTALL)
    )
]
MODULES = [
    module.name
    for package in (sangbo.dynamics, sangbo.pynn)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
] + ["sangbo.dynamics", "sangbo.pynn"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_documents(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "example", "exec"), {})  # noqa: S102


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0
