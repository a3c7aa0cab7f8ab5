from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import networks
import sangbo
from sangbo.big_little import compare, prompts
from sangbo.cli import app
from sangbo.distil import distil
from sangbo.distil.little import fitted, little_graph, right, taught, vocabulary_of
from sangbo.distil.texts import drawn, listen
from sangbo.engines import Native, Reference
from sangbo.errors import SangboError
from sangbo.progress import silent
from sangbo.tasks.speculate import Doubt

ASKED = ["ABC", "ABABAB", "Q"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return networks.written(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def network(folder: Path) -> sangbo.Network:
    return sangbo.load(folder)


def test_no_token_differs_and_fewer_bytes_are_read(network: sangbo.Network) -> None:
    engine = Native(network.graph, threads=1)
    found = compare(network, "lookup", ASKED, max_tokens=40, engine=engine, counting=True)
    assert found.tokens == sum(len(w.tokens) for w in found.guessed) > 60
    assert found.different == 0
    assert found.record.tokens == found.tokens
    assert found.record.runs < found.tokens
    assert found.weight_bytes_relative == pytest.approx(found.record.runs / found.tokens)
    assert found.nats is None
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_tolerance_costs_likelihood(network: sangbo.Network) -> None:
    engine = Native(network.graph, threads=1)
    everything = Doubt(fallback=1e-9, tolerance=float("inf"))
    found = compare(network, "lookup", ASKED, max_tokens=40, doubt=everything, engine=engine)
    assert found.nats is not None
    plain, guessed = found.nats
    assert 0 < plain < guessed
    assert found.different >= found.record.lossy > 0


def test_it_refuses_what_it_cannot_do(network: sangbo.Network) -> None:
    with pytest.raises(SangboError, match="expected prompts"):
        compare(network, "lookup", [])
    with pytest.raises(SangboError, match="guesses by lookup, little or both"):
        compare(network, "nobody", ["A"])


@pytest.fixture(scope="module")
def taught_network(network: sangbo.Network) -> sangbo.Network:
    heard = listen(network, 1500, 0, silent)
    return replace(network, taught=taught(replace(network, folder=None), heard))


def test_a_little_network_is_right_about_what_it_has_seen(network: sangbo.Network) -> None:
    heard = listen(network, 1500, 0, silent)
    assert all(len(h.tokens) == len(h.hidden) == len(h.next) for h in heard)
    vocabulary = vocabulary_of(heard, 40)
    graph = little_graph(network.graph, vocabulary, *fitted(network.graph, heard))
    zero = [np.zeros_like(m) for m in fitted(network.graph, heard)]
    found = right(Reference(graph), heard, vocabulary)
    nothing = right(Reference(little_graph(network.graph, vocabulary, *zero)), heard, vocabulary)
    assert found > nothing


@pytest.mark.parametrize("guesses", ["little", "both"])
def test_a_little_network_changes_no_token(taught_network: sangbo.Network, guesses: str) -> None:
    found = compare(taught_network, guesses, ASKED, max_tokens=40)
    assert found.different == 0
    assert found.tokens > 60
    assert found.record.guesses > 0
    assert found.weight_bytes_relative > found.record.runs / found.record.tokens


def test_it_is_kept_with_the_network(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "tiny"
    shutil.copytree(folder, kept)
    with pytest.raises(SangboError, match="to have a little network"):
        sangbo.load(kept).drafter("little")
    made = distil(sangbo.load(kept), tokens=1000)
    loaded = sangbo.load(kept)
    assert loaded.little is not None
    assert loaded.little.graph.sha256() == made.graph.sha256()
    assert set(loaded.heard_graph.outputs) > set(loaded.graph.outputs)
    assert 0 < loaded.little.guess_bytes < loaded.graph.weight_bytes


def test_there_are_twenty_prompts() -> None:
    assert len(set(prompts())) == len([p for p in prompts() if p.strip()]) == 20


def test_commands_guess(folder: Path, tmp_path: Path) -> None:
    def printed(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments))
        assert done.exit_code == 0, done.output
        return done.stdout

    asked = ["run", str(folder), "--prompt", "ABAB", "--max-tokens", "20", "--json"]
    plain, guessed = (json.loads(printed(*asked, *more)) for more in ([], ["--guesses", "lookup"]))
    assert guessed["text"] == plain["text"]
    assert guessed["guesses"]["by"] == "lookup"
    assert "guesses" not in plain
    (tmp_path / "prompts.txt").write_text("\n".join(ASKED) + "\n", encoding="utf-8")
    timed = printed(
        "bench", str(folder), "--prompt", "4", "--decode", "8", "--repetitions", "1",
        "--guesses", "lookup", "--prompts", str(tmp_path / "prompts.txt"), "--json",
    )  # fmt: skip
    assert json.loads(timed)["guesses"]["different"] == 0
    assert json.loads(timed)["guesses"]["prompts"] == 3


def test_tolerances_are_swept_by_a_command(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("\n".join(ASKED) + "\n", encoding="utf-8")
    asked = [
        "bench", str(folder), "--prompt", "4", "--decode", "20", "--repetitions", "1",
        "--guesses", "lookup", "--prompts", str(tmp_path / "prompts.txt"),
    ]  # fmt: skip
    lossy = ["--tolerance", "0,50", "--fallback", "0"]
    done = CliRunner().invoke(app, [*asked, *lossy, "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["lossy"]
    assert [row["tolerance"] for row in rows] == [0, 50]
    assert rows[0]["different"] == 0 == rows[0]["lossy"]
    assert rows[1]["lossy"] > 0
    assert rows[1]["nats"]["guessed"] > rows[1]["nats"]["plain"]
    shown = CliRunner().invoke(app, [*asked, *lossy])
    assert shown.exit_code == 0, shown.output
    assert "tolerance" in shown.stdout
    for wrong in (["--tolerance", "x"], ["--tolerance", "-1"], ["--fallback", "2"]):
        assert CliRunner().invoke(app, [*asked, *wrong]).exit_code != 0
    assert CliRunner().invoke(app, [*asked[:-4], "--tolerance", "1"]).exit_code != 0


def test_no_token_is_drawn_because_its_noise_is_zero() -> None:
    generator = np.random.default_rng(0)
    logits = np.zeros(49_152, np.float32)
    with np.errstate(divide="raise"):
        found = [drawn(logits, generator) for _ in range(500)]
    assert len(set(found)) > 490
    assert drawn(np.array([0, 60, 0], np.float32), generator) == 1
