from __future__ import annotations

from pathlib import Path

import pytest

from sangbo.errors import SangboError
from sangbo.files import replaced_folder


def write(target: Path, text: str) -> None:
    with replaced_folder(target, "mark") as new:
        (new / "mark").write_text(text)


def test_a_folder_is_written_whole_and_replaced(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    write(target, "one")
    write(target, "two")
    assert (target / "mark").read_text() == "two"
    assert [p.name for p in target.parent.iterdir()] == ["model"]


def fail_half_way(target: Path, failure: type[BaseException]) -> None:
    with replaced_folder(target, "mark") as new:
        (new / "mark").write_text("half")
        raise failure("disk full")


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, OSError])
def test_a_failure_leaves_what_stood_there(failure: type[BaseException], tmp_path: Path) -> None:
    target = tmp_path / "model"
    write(target, "one")
    with pytest.raises(SangboError if failure is OSError else failure):
        fail_half_way(target, failure)
    assert (target / "mark").read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_somebody_elses_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with (
        pytest.raises(SangboError, match="an earlier model, found other files"),
        replaced_folder(tmp_path, "mark"),
    ):
        pass
    assert (tmp_path / "thesis.tex").exists()


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a file")
    with pytest.raises(SangboError, match="expected"):
        write(tmp_path / "model", "x")
    with pytest.raises(SangboError, match="expected to write"):
        write(tmp_path / "model" / "below", "x")
