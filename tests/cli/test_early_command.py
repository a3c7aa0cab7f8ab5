"""``sangbo early`` and ``sangbo price`` beside a kept waterfall."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import networks
import sangbo
from sangbo.cli import app
from sangbo.cli.early import parse_margins
from sangbo.errors import SangboError
from sangbo.stopping import Margins
from sangbo.waterfall import Costs, Step, Waterfall, of_folder
from sangbo.waterfall.kept import FILE, Kept

CHIP = "c-transformer-28nm"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return networks.written(tmp_path_factory.mktemp("models") / "tiny")


def printed(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_margins_skip_more_than_a_proof(folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(networks.letters().decode(networks.tokens(90, 1)), encoding="utf-8")
    asked = ["early", str(folder), "--text", str(text), "--tokens", "30", "--margins", "1/2,proof"]
    loose, proof = json.loads(printed(*asked, "--json"))["margins"]
    assert (proof["margins"], proof["different"]) == ("proof / proof", 0)
    assert proof["perplexity_relative_change"] == 0
    assert loose["additions_saved"] > proof["additions_saved"]
    assert "proof / proof" in printed(*asked)
    short = CliRunner().invoke(app, [*asked[:4], "--tokens", "3000"])
    assert short.exit_code != 0


def test_margins_are_read_as_they_are_shown() -> None:
    found = parse_margins("proof, 3/5,2")
    assert found == [Margins(), Margins(3, 5), Margins(2, 2)]
    assert [str(m) for m in found] == ["proof / proof", "3 / 5", "2 / 2"]
    for text in ("", "x", "-1", "nan", "1/inf"):
        with pytest.raises(SangboError, match="margins"):
            parse_margins(text)


def test_price_shows_a_waterfall_that_the_folder_keeps(folder: Path, tmp_path: Path) -> None:
    network = sangbo.load(folder)
    assert of_folder(network, CHIP) is None
    dense = Step("dense int8", Costs(10.0, 100.0, 5.0))
    evidence = {"exact_speculation": {"compared": 3, "different": 0, "additions_saved": 0.5}}
    last = Step("half", Costs(4.0, 50.0, 5.0), 0.01, 7.0, evidence, ("A note.",))
    made = Waterfall(network.graph.name, CHIP, 9, [dense, last])
    kept = Kept(folder / FILE, {"graph_sha256": network.graph.sha256()})
    kept.show(CHIP, made.stored())
    assert of_folder(network, CHIP) == made
    page = tmp_path / "page.html"
    asked = ["price", str(folder), "--chip", CHIP, "--json", "--report", str(page)]
    assert json.loads(printed(*asked))["waterfalls"][CHIP] == made.to_dict()
    assert "What each invention is worth" in page.read_text(encoding="utf-8")
    Kept(folder / FILE, {"graph_sha256": "another"}).show(CHIP, made.stored())
    assert of_folder(network, CHIP) is None
    Kept(folder / FILE, {"graph_sha256": network.graph.sha256()}).show(CHIP, {"steps": [1]})
    with pytest.raises(SangboError, match="steps of a waterfall"):
        of_folder(network, CHIP)
