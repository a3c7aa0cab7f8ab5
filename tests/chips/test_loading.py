"""Chip files: those that come with Sangbo, and every way in which one can be wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sangbo import chips
from sangbo.chips.chip import FIELDS, MEMORY_FIELDS, PROVENANCES
from sangbo.chips.loading import LARGEST_FILE, parse
from sangbo.errors import ChipError

GOOD = """\
name = "test"
title = "a chip to break"
dense = true
spiking = true
execution = "folded"
memory_included = false

[energy]
mac = { value = 0.3, unit = "pJ", source = "a paper", provenance = "claim" }
accumulate = { value = 0.1, unit = "pJ", source = "a paper", provenance = "simulation" }
neuron_update = { value = 2, unit = "pJ", source = "a paper", provenance = "estimate" }

[limits]
cores = { value = 4, unit = "1", source = "a paper", provenance = "silicon" }

[[memory]]
name = "sram"
kind = "on-chip"
capacity = { value = 1024, unit = "byte", source = "a paper", provenance = "silicon" }
read = { value = 1.5, unit = "pJ/byte", source = "a paper", provenance = "silicon" }
write = { value = 2.5, unit = "pJ/byte", source = "a paper", provenance = "silicon" }
"""


def test_the_chips_that_come_with_it() -> None:
    expected = {
        "c-transformer-28nm", "horowitz-45nm", "jouppi-7nm", "loihi-1", "loihi-1-silicon",
    }  # fmt: skip
    assert set(chips.names()) >= expected
    for name in chips.names():
        chip = chips.load(name)
        assert chip.name == name
        document = json.loads(json.dumps(chip.to_dict(), allow_nan=False))
        for place, _, quantity in chip.quantities():
            table, key = place.split(".")[0], place.split(".")[-1]
            fields = MEMORY_FIELDS if table == "memory" else FIELDS[table]
            assert quantity.unit == fields[key].unit
            assert quantity.provenance in PROVENANCES
            assert f"| {place} |" in chip.to_markdown()
            assert place in str(chip)
            if table != "memory":
                assert document[table][key] == quantity.to_dict()


def test_published_numbers() -> None:
    # Horowitz, ISSCC 2014; Jouppi et al., ISCA 2021; Davies et al. 2018, table 2.
    horowitz, jouppi = chips.load("horowitz-45nm"), chips.load("jouppi-7nm")
    for chip, multiply, add in ((horowitz, 0.2, 0.1), (jouppi, 0.07, 0.03)):
        assert (chip.arithmetic("multiply_int8"), chip.arithmetic("add_int32")) == (multiply, add)
        assert chip.energy("mac") == pytest.approx(multiply + add)
        assert chip.energy("accumulate") == add
    assert horowitz.arithmetic("multiply_float32") + horowitz.arithmetic("add_float32") == (
        pytest.approx(4.6)
    )
    loihi, silicon = chips.load("loihi-1"), chips.load("loihi-1-silicon")
    assert (loihi.energy("accumulate"), loihi.energy("neuron_update")) == (23.6, 81)
    assert (silicon.energy("accumulate"), silicon.energy("transport")) == (35.5, 111)
    for chip in (loihi, silicon):
        assert not chip.dense
        assert chip.energy("mac") is None
        assert chip.memory_included
    assert chips.load("c-transformer-28nm").provenances == ("estimate",)
    with pytest.raises(ChipError, match=r"expected chip loihi-1 to state arithmetic\.add_int8"):
        loihi.arithmetic("add_int8")
    with pytest.raises(ChipError, match=r"found energy\.joy"):
        loihi.energy("joy")


def test_a_file_loads_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, encoding="utf-8")
    chip = chips.load(path)
    assert chips.load(str(path)) == chip
    assert (chip.name, chip.energy("mac"), chip.memory[0].kind) == ("test", 0.3, "on-chip")
    assert chip.energy("rescale") is None


MAC = 'mac = { value = 0.3, unit = "pJ", source = "a paper", provenance = "claim" }'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("value = 0.3, ", "", r"^t:9: energy.mac.value: expected a finite number .* None"),
        ("value = 0.3", "value = -0.3", "^t:9: energy.mac.value: .* found -0.3"),
        ("value = 0.3", "value = 0", "^t:9: energy.mac.value: "),
        ("value = 0.3", "value = nan", "^t:9: energy.mac.value: .* found nan"),
        ("value = 0.3", "value = inf", "^t:9: energy.mac.value: .* found inf"),
        ("value = 0.3", "value = 1e19", "^t:9: energy.mac.value: .* found 1e"),
        ("value = 0.3", f"value = 1{'0' * 400}", "^t:9: energy.mac.value: .* found 10*$"),
        ("value = 0.3", 'value = "0.3"', "^t:9: energy.mac.value: "),
        ("value = 0.3", "value = true", "^t:9: energy.mac.value: .* found True"),
        ('0.3, unit = "pJ"', '0.3, unit = "nJ"', "^t:9: energy.mac.unit: .*'pJ', found 'nJ'"),
        ('0.3, unit = "pJ", ', "0.3, ", "^t:9: energy.mac.unit: .*'pJ', found None"),
        ('source = "a paper", provenance = "claim"', 'provenance = "claim"', "^t:9: .*source"),
        ('"claim"', '"rumour"', "^t:9: energy.mac.provenance: .*silicon.*found 'rumour'"),
        (', provenance = "claim"', ', provenance = "claim", year = 1', "^t:9: .*mac.year: .*unk"),
        (MAC, "mac = 0.3", "^t:9: energy.mac: expected a table, found 0.3"),
        (MAC, "", "^t:8: energy.mac: expected this energy, found none"),
        ("mac =", "macs =", "^t:9: energy.macs: expected one of .*mac,.* found an unknown key"),
        ("dense = true", "dense = false", "^t:9: energy.mac: expected none without a dense unit"),
        ("dense = true", "dense = 1", "^t:3: dense: expected true or false, found 1"),
        ("dense = true\n", "", "^t: dense: expected true or false, found None"),
        ("true\nspiking = true", "false\nspiking = false", "^t:3: dense: .* found neither"),
        ('"folded"', '"sometimes"', "^t:5: execution: expected one of folded, stepped, found"),
        ('name = "test"', 'name = ""', "^t:1: name: expected a text, found ''"),
        ('name = "test"', 'name = "test"\ncolour = "red"', "^t:2: colour: .* unknown key"),
        ("[limits]", "[limit]", "^t:13: limit: .* unknown key"),
        ("cores = { value = 4, unit", "cores = { value = 4, u", "^t:14: limits.cores.u: "),
        ('"on-chip"', '"remote"', "^t:18: memory.0.kind: expected one of unit, on-chip, external"),
        ("\nread", "\nreading", "^t:20: memory.0.reading: .* unknown key"),
        ('1.5, unit = "pJ/byte"', '1.5, unit = "pJ"', "^t:20: memory.0.read.unit: .*'pJ/byte'"),
        ("capacity =", "# capacity =", "^t:16: memory.0.capacity: expected this number"),
        ("write =", "# write =", "^t:16: memory.0.write: expected this number, found none"),
        ("[[memory]]", "[memory]", "^t:16: memory: expected an array"),
        ('kind = "on-chip"', 'kind = "external"', "^t:16: memory: expected an on-chip memory"),
        ('memory_included = false', 'memory_included = false\nnotes = [3]', "^t:7: notes: .* 3"),
        ("[energy]", "[energy", "expected t to be TOML: .*line 8"),
        ("[limits]", "[energy]", "expected t to be TOML: .*line 13"),
    ],
)  # fmt: skip
def test_broken_files_name_line_and_key(old: str, new: str, message: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(ChipError, match=message):
        parse(GOOD.replace(old, new, 1).encode(), "t")


def test_memories_have_different_names() -> None:
    level = GOOD[GOOD.index("[[memory]]") :]
    with pytest.raises(ChipError, match=r"different names, found \['sram', 'sram'\]"):
        parse(f"{GOOD}\n{level}".encode(), "t")


def test_hostile_files(tmp_path: Path) -> None:
    for content in (b"\xff\xfe", b"a = " + b"[" * 100_000, b"#" * (LARGEST_FILE + 1)):
        with pytest.raises(ChipError, match="expected t to be"):
            parse(content, "t")
    with pytest.raises(ChipError, match="expected a chip in"):
        chips.load(tmp_path / "missing.toml")
    with pytest.raises(ChipError, match="expected a chip in"):
        chips.load("\0.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(ChipError, match="expected a chip in"):
        chips.load(tmp_path / "folder.toml")
    with pytest.raises(ChipError, match=re.escape("horowitz-45nm, jouppi-7nm")):
        chips.load("abacus")


@given(st.integers(0, len(GOOD)), st.text(max_size=3), st.integers(0, 12))
def test_any_edit_gives_a_chip_or_a_clear_error(place: int, text: str, removed: int) -> None:
    edited = GOOD[:place] + text + GOOD[place + removed :]
    try:
        found = parse(edited.encode("utf-8", "surrogatepass"), "t").to_markdown()
    except ChipError as error:
        found = str(error)
    assert found.startswith("## ") or "expected" in found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('memory_included = false', 'memory_included = false\naccounting = "guess"',
         "^t:7: accounting: expected one of events, power, found 'guess'"),
        ('memory_included = false', 'memory_included = false\naccounting = "power"',
         "^t:14: limits.power: expected this limit, found none"),
        ('memory_included = false', 'memory_included = false\nrow_dimensions = ["depth"]',
         "^t:7: row_dimensions: expected one of batch, outputs, inputs.* found 'depth'"),
        ('memory_included = false', 'memory_included = false\nrow_dimensions = []',
         "^t:7: row_dimensions: expected each of .* at most once"),
        ('kind = "on-chip"', 'kind = "on-chip"\nholds = ["weights"]',
         "^t:19: memory.0.holds: expected all operands here"),
        ('kind = "on-chip"', 'kind = "on-chip"\nholds = ["weights", "weights"]',
         "^t:19: memory.0.holds: expected each of weights, inputs, sums at most once"),
        ('kind = "on-chip"', 'kind = "unit"', "^t:16: memory: expected an on-chip memory"),
    ],
)  # fmt: skip
def test_memories_units_and_accounting_are_checked(old: str, new: str, message: str) -> None:
    with pytest.raises(ChipError, match=message):
        parse(GOOD.replace(old, new, 1).encode(), "t")


def test_the_order_of_memories_is_checked() -> None:
    level = GOOD[GOOD.index("[[memory]]") :]
    unit = level.replace("sram", "spad").replace("on-chip", "unit")
    with pytest.raises(ChipError, match=r"expected those of units first.* found on-chip, unit"):
        parse(f"{GOOD}\n{unit}".encode(), "t")
    twice = unit.replace("spad", "other")
    with pytest.raises(ChipError, match="each operand in one memory of the units"):
        parse(f"{GOOD[: GOOD.index('[[memory]]')]}{unit}\n{twice}\n{level}".encode(), "t")


def test_a_chip_may_state_limits_alone() -> None:
    bare = re.sub(r"\[energy\]\n(.+\n)+", "", GOOD)
    chip = parse(bare.encode(), "t")
    assert not chip.priced
    assert chip.limit("cores") == 4
    assert chip.provenances == ("silicon",)
