"""What a waterfall has measured is measured once, and forgotten with what it was of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sangbo.errors import SangboError
from sangbo.waterfall.kept import Kept, read


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    path, asked = tmp_path / "w.json", []

    def measure() -> float:
        asked.append(1)
        return 2.5

    for about in ({"a": 1}, {"a": 1}, {"a": 2}):
        assert Kept(path, about).get("x", measure) == 2.5
    assert len(asked) == 2
    assert Kept(path, {"a": 2}, again=True).get("x", measure) == 2.5
    assert len(asked) == 3
    Kept().get("x", measure)
    assert len(asked) == 4


def test_whole_waterfalls_stay_with_measurements(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    kept = Kept(path, {"a": 1})
    kept.get("x", lambda: 1.0)
    kept.show("chip", {"steps": []})
    assert read(path)["shown"] == {"chip": {"steps": []}}
    assert read(path)["measured"] == {"x": 1.0}
    assert read(tmp_path / "none.json") == {}


@pytest.mark.parametrize("text", ["[", "[]", '{"format": 2}', '{"format": 1, "about": {}}', "\xff"])
def test_broken_files_are_refused(text: Any, tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SangboError, match="waterfall"):
        Kept(path)
