"""Whole commands, run as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import networks
import sangbo


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return networks.written(tmp_path_factory.mktemp("models") / "tiny")


def sangbo_command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sangbo", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "COLUMNS": "200", **environment},
    )  # fmt: skip


def answer(*arguments: object) -> Any:
    done = sangbo_command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def error(*arguments: object, **environment: str) -> str:
    done = sangbo_command(*arguments, **environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("sangbo: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_run_answers_and_prices(model: Path) -> None:
    found = answer("run", model, "--prompt", "ABC", "--max-tokens", 5)
    assert set(found) >= {"text", "tokens", "tokens_per_second", "energy"}
    assert 0 < found["tokens"] <= 5
    schemes = {(e["chip"], e["scheme"]) for e in found["energy"]}
    assert len({chip for chip, _ in schemes}) >= 4
    assert {scheme for _, scheme in schemes} == {"dense", "spiking", "complementary"}
    keys = {"chip", "scheme", "compute_pj", "memory_pj", "total_pj", "per", "basis"}
    for entry in found["energy"]:
        assert set(entry) >= keys
        assert entry["per"] == "token"
        assert entry["total_pj"] == pytest.approx(entry["compute_pj"] + entry["memory_pj"])


def test_run_streams_the_text_it_reports(model: Path) -> None:
    quiet = answer("run", model, "--prompt", "ABC", "--max-tokens", 8, "--chip", "jouppi-7nm")
    shown = sangbo_command(
        "run", model, "--prompt", "ABC", "--max-tokens", 8, "--chip", "jouppi-7nm"
    )
    assert shown.stdout.startswith(quiet["text"])
    assert "tokens/s" in shown.stdout
    assert "jouppi-7nm" in shown.stdout


def test_the_same_seed_gives_the_same_answer(model: Path) -> None:
    hot = ("run", model, "--prompt", "A", "--temperature", 3, "--max-tokens", 12, "--seed")
    assert answer(*hot, 1)["text"] == answer(*hot, 1)["text"]


def test_price_needs_no_run(model: Path) -> None:
    entries = answer("price", model, "--chip", "horowitz-45nm", "--chip", "loihi-1")["entries"]
    assert {e["chip"] for e in entries} == {"horowitz-45nm", "loihi-1"}
    for entry in entries:
        assert set(entry) >= {
            "chip", "scheme", "code", "split", "dense_fraction", "events", "energy_pj",
            "relative_to_dense",
        }  # fmt: skip
        assert set(entry["events"]) >= {
            "macs", "synaptic_operations", "neuron_updates", "spikes",
        }  # fmt: skip
        assert set(entry["energy_pj"]) >= {"compute", "memory", "total"}
    both = {e["scheme"]: e for e in entries if e["chip"] == "horowitz-45nm"}
    compute = {scheme: e["energy_pj"]["compute"] for scheme, e in both.items()}
    assert compute["complementary"] <= min(compute["dense"], compute["spiking"])


def test_price_compares_splits(model: Path, tmp_path: Path) -> None:
    prose = tmp_path / "prose.txt"
    prose.write_text("ABCDEFGH" * 12)
    common = ("price", model, "--chip", "horowitz-45nm", "--tile", "4x8", "--tokens", 40)
    found = answer(*common, "--split", "all", "--code", "rate", "--text", prose)
    splits = ["value", "token", "channel", "tile", "layer"]
    assert [s["split"] for s in found["splits"]] == splits
    assert [e["split"] for e in found["entries"]] == ["none", "none", *splits]
    compute = {s["split"]: s["energy_pj"]["compute"] for s in found["splits"]}
    assert all(compute["value"] <= e <= compute["layer"] * (1 + 1e-9) for e in compute.values())
    assert len({s["energy_pj"]["memory"] for s in found["splits"]}) == 1
    named = answer(*common, "--split", "tile", "--split", "layer")
    assert [s["split"] for s in named["splits"]] == ["value", "tile", "layer"]
    shown = sangbo_command(*common, "--split", "token").stdout
    assert "complementary by token" in shown
    assert "given up" in shown


def test_price_shows_batches_break_evens_and_fits(model: Path, tmp_path: Path) -> None:
    page = tmp_path / "price.html"
    common = ("price", model, "--chip", "horowitz-45nm", "--chip", "loihi-1")
    options = ("--batch", 8, "--break-even", "--report", page)
    found = answer(*common, *options)
    dense = {
        b["batch"]: b["energy_pj"]["total"]
        for b in found["batches"]
        if b["chip"] == "horowitz-45nm" and b["scheme"] == "dense"
    }
    assert list(dense) == [1, 4, 8]
    assert dense[1] >= dense[4] >= dense[8]
    entry = found["entries"][0]
    assert entry["batch"] == 8
    assert entry["energy_pj"]["total"] == dense[8]
    assert sum(entry["energy_pj"]["parts"].values()) == pytest.approx(entry["energy_pj"]["compute"])
    assert set(entry["baselines"]) == {"zero skipping", "quantised", "quantised, zero skipping"}
    layers = {b["operation"] for b in found["break_even"]}
    assert layers
    assert {b["chip"] for b in found["break_even"]} == {"horowitz-45nm"}
    assert len(found["published_break_even"]) == 8
    assert [f["chip"] for f in found["fits"]] == ["loihi-1"]
    assert "<svg" in page.read_text(encoding="utf-8")
    shown = sangbo_command(*common, *options).stdout
    for words in ("Where the energy goes", "break even", "by batch", "loihi-1: 1 chips"):
        assert words in shown


def test_chip_files_are_checked(model: Path, tmp_path: Path) -> None:
    good = Path(sangbo.__file__).parent / "chips" / "data" / "horowitz-45nm.toml"
    mine = tmp_path / "mine.toml"
    mine.write_bytes(good.read_bytes())
    assert "is sound" in sangbo_command("chips", "--check", mine).stdout
    assert answer("chips", "--check", mine)["chips"][0]["name"] == "horowitz-45nm"
    fits = answer("chips", "loihi-1", "--fit", model)["fits"]
    assert fits[0]["chips"] == 1
    assert "products of two activations" in fits[0]["breaches"][0]["limit"]
    assert "cores" in sangbo_command("chips", "loihi-1", "--fit", model).stdout
    for old, new, line in (
        ("value = 0.3", "value = -0.3", ":18: energy.mac.value"),
        (', unit = "pJ"', "", ":18: energy.mac.unit"),
        ("mac = {", "mack = {", ":18: energy.mack"),
    ):
        text = good.read_text(encoding="utf-8")
        mine.write_text(text.replace(old, new, 1), encoding="utf-8")
        assert line in error("chips", "--check", mine)
    assert "found both" in error("chips", "loihi-1", "--check", mine)
    assert ".toml file to check" in error("chips", "--check", tmp_path / "mine.txt")
    assert "by value with --batch" in error("price", model, "--batch", 2, "--split", "layer")


def test_models_and_chips_list_what_there_is() -> None:
    entry = answer("models")["models"][0]
    assert set(entry) >= {"name", "task", "family", "bytes", "licence", "source", "sha256"}
    chips = answer("chips")["chips"]
    assert len(chips) >= 5
    assert answer("chips", "loihi-1")["chips"][0]["name"] == "loihi-1"
    assert "loihi-1" in sangbo_command("chips").stdout
    assert "pJ" in sangbo_command("chips", "loihi-1").stdout
    listed = sangbo_command("models").stdout
    assert all(e["name"] in listed for e in answer("models")["models"])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder of a tiny network, as recorded for the tests of sources."""
    found = Path(__file__).parents[1] / "oracles" / "networks" / "llama-6-heads-2-key-tied"
    folder = tmp_path_factory.mktemp("original")
    for file in found.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    networks.letters().save(folder)
    return folder


def test_convert_says_how_spikes_are_counted(original: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("ABCDEFGH" * 12, encoding="utf-8")
    target = tmp_path / "model"
    budget = ("--budget", "spikes=1.4,dense=5%")
    shown = sangbo_command("convert", original, "-o", target, "--calibrate", text, *budget)
    assert shown.returncode == 0, shown.stderr
    record = json.loads((target / "conversion.json").read_text())
    summary = record["summary"]
    assert record["settings"]["budget"] == "spikes=1.4,dense=5%"
    assert summary["chosen"]["spikes_per_value"]["into_weights"] <= 1.4
    assert len(summary["frontier"]) > 5
    for counts in (summary["spikes_per_value"], summary["beside_dense"]):
        assert f"{counts['into_weights']:.2f} into weights" in shown.stdout
        assert f"{counts['by_targets']:.2f} by targets" in shown.stdout
    assert "Left beside 5% dense: " in shown.stdout


def test_convert_then_verify(original: Path, tmp_path: Path) -> None:
    target, text = tmp_path / "model", tmp_path / "text.txt"
    text.write_text("ABCDEFGH" * 12, encoding="utf-8")
    record = answer("convert", original, "-o", target, "--calibrate", text)
    assert record["folder"] == str(target)
    assert len(record["summary"]["hardest"]) == 5
    assert record["fit"]["chip"] == "horowitz-45nm"
    certificate = answer("verify", target, "--text", text, "--allowed", 10)
    assert certificate == json.loads((target / "certificate.json").read_text())
    assert certificate["passed"] is True
    assert set(certificate["perplexity"]) == {"original", "converted", "relative_change"}
    assert certificate["tokens"] == 12 * 8 - 1
    kept = tmp_path / "kept.json"
    strict = sangbo_command("verify", target, "--text", text, "--allowed", -1, "-o", kept)
    assert strict.returncode == 1
    assert "does not hold" in strict.stderr
    assert "layers that lose most" in strict.stderr
    assert json.loads(kept.read_text())["allowed_relative_change"] == -1
    held = target / "certificate.json"
    again = answer("verify", target, "--text", text, "--against", held)
    assert again["against"]["differences"] == []
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(certificate | {"tokens": 94}))
    differing = sangbo_command("verify", target, "--text", text, "--against", changed)
    assert differing.returncode == 1
    assert "lines differ" in differing.stdout
    assert "give it with --text" in error("verify", target, "--against", held)
    assert "settings" in error("verify", target, "--against", held, "--tokens", 5)
    other = tmp_path / "other.txt"
    other.write_text("other words")
    assert "SHA-256" in error("verify", target, "--text", other, "--against", held)
    kept.write_text("{}")
    assert "kept.json" in error("verify", target, "--against", kept)
    own = answer("verify", target, "--tokens", 20, "--allowed", 10)
    assert own["text"]["kind"] == "written by the original"
    assert own["tokens"] == 20


def test_a_source_is_converted_once_and_kept(original: Path, tmp_path: Path) -> None:
    for _ in range(2):
        done = sangbo_command(
            "run", original, "--prompt", "A", "--max-tokens", 2, SANGBO_CACHE=str(tmp_path)
        )
        assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "converted").iterdir())) == 1


def test_bad_input_is_one_line(model: Path, tmp_path: Path) -> None:
    assert "smollm2-135m-instruct" in error(
        "convert", "smollm2-135m-instrukt", "-o", tmp_path / "m"
    )
    assert "graph.json" in error("price", tmp_path)
    assert "prompt with some text" in error("run", model, "--prompt", "  ")
    assert "shorter than the context" in error("run", model, "--prompt", "A" * 64)
    assert "pentium" in error("price", model, "--chip", "pentium")
    assert "morse" in error("price", model, "--code", "morse")
    assert "pentium" in error("price", model, "--chip", "pentium", "--split", "all")
    assert "'row'" in error("price", model, "--split", "row")
    assert "ROWSxCHANNELS" in error("price", model, "--split", "tile", "--tile", "many")
    assert "divide 256" in error("price", model, "--split", "tile", "--tile", "3x4")
    assert "at least 4 tokens" in error("price", model, "--split", "tile", "--tokens", "1")
    assert "'row'" in error("convert", "x", "-o", "y", "--split", "row")
    assert "temperature" in error("run", model, "--temperature", -1)
    assert "--weight-bits" in error("convert", "x", "-o", "y", "--weight-bits", "many")
    assert "3" in error("convert", "x", "-o", "y", "--weight-bits", "3")
    assert "nonsense" in error("nonsense")
    (tmp_path / "empty.txt").write_text(" \n")
    assert "some text" in error("verify", model, "--text", tmp_path / "empty.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert "UTF-8" in error("verify", model, "--text", tmp_path / "latin.txt")
    assert "where its original is" in error("verify", model)


@pytest.mark.parametrize(
    ("name", "command"),
    [("ledger.json", "price"), ("conversion.json", "run"), ("tokenizer.json", "run")],
)
def test_damaged_models_are_one_line(name: str, command: str, model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "model"
    damaged.mkdir()
    for file in model.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    (damaged / name).write_text('{"format": [')
    assert name in error(command, damaged)


def test_an_interrupted_answer_ends_cleanly(model: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sangbo", "run", str(model), "--prompt", "A",
         "--max-tokens", "60", "--temperature", "5"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    begun = process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert begun
    assert "Traceback" not in output + errors


def test_a_killed_conversion_leaves_the_earlier_model(original: Path, tmp_path: Path) -> None:
    target, text = tmp_path / "model", tmp_path / "text.txt"
    text.write_text("ABCDEFGH" * 400, encoding="utf-8")
    answer("convert", original, "-o", target, "--calibrate", text)
    before = (target / "weights.safetensors").read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-m", "sangbo", "convert", str(original), "-o", str(target)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline().startswith("checking")
    process.kill()
    process.stderr.close()
    process.wait()
    assert (target / "weights.safetensors").read_bytes() == before
    assert sangbo.load(target).graph.complementary


def test_the_version_is_printed() -> None:
    assert sangbo_command("--version").stdout == f"sangbo {sangbo.__version__}\n"
