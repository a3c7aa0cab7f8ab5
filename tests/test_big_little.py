from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import networks
import sangbo
from sangbo.big_little import compare, prompts
from sangbo.cli import app
from sangbo.engines import Native
from sangbo.errors import SangboError
from sangbo.sources import Source
from sangbo.tasks.speculate import Doubt

ASKED = ["ABC", "ABABAB", "Q"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    settings = sangbo.Settings(sequences=2, length=16)
    sangbo.convert(Source(networks.llama(), networks.letters()), folder, settings)
    return folder


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
    with pytest.raises(SangboError, match="guesses by lookup"):
        compare(network, "nobody", ["A"])


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
