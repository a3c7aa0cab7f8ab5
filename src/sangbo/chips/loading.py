"""Chip files: TOML in which every number states its unit, source and provenance; read strictly."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias, get_args

from sangbo.chips.chip import (
    FIELDS,
    MEMORY_FIELDS,
    PROVENANCES,
    Accounting,
    Chip,
    Execution,
    Field,
    MemoryKind,
    MemoryLevel,
    Quantity,
)
from sangbo.chips.nests import DIMENSIONS, OPERANDS
from sangbo.chips.search import COLUMN_DIMENSIONS, ROW_DIMENSIONS
from sangbo.errors import ChipError

LARGEST_FILE = 2**20
LARGEST_VALUE = 1e18
_TEXTS = ("name", "title", "execution")
_CHOICES = ("row_dimensions", "column_dimensions")
_SWITCHES = ("dense", "spiking", "memory_included")

Place: TypeAlias = tuple[str | int, ...]
"""Where in the file something stands: ``("energy", "mac", "unit")``, ``("memory", 0, "read")``."""


def names() -> list[str]:
    """Names of the chips that come with Sangbo."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in resources.files("sangbo.chips").joinpath("data").iterdir()
        if entry.name.endswith(".toml")
    )


def load(name_or_path: str | Path) -> Chip:
    """The chip called ``name_or_path``, or the one in that ``.toml`` file.

    Raises:
        ChipError: where there is no such chip or file, or the file does not check; the message
            names file, line, key, what was expected and what was found.
    """
    text = str(name_or_path)
    if text in names():
        file = resources.files("sangbo.chips").joinpath("data", f"{text}.toml")
        return parse(file.read_bytes(), f"{text}.toml")
    if not text.endswith(".toml"):
        raise ChipError(
            f"expected a .toml file or one of the chips {', '.join(names())}, found {text!r}"
        )
    try:
        with Path(name_or_path).open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        raise ChipError(f"expected a chip in {text}: {error}") from None
    return parse(content, text)


def parse(content: bytes, file: str) -> Chip:
    """The chip in the TOML text ``content``; ``file`` is what messages call it."""
    if len(content) > LARGEST_FILE:
        raise ChipError(f"expected {file} to be at most {LARGEST_FILE} bytes")
    try:
        text = content.decode("utf-8")
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ChipError(f"expected {file} to be TOML: {error}") from None
    return _Reader(file, _lines(text)).chip(document)


def _lines(text: str) -> dict[Place, int]:
    """Line on which each table and key begins."""
    found: dict[Place, int] = {}
    table: Place = ()
    arrays: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.-]+)", line):
            parts: Place = tuple(header[2].split("."))
            if header[1] == "[[":
                arrays[header[2]] = arrays.get(header[2], -1) + 1
                found.setdefault(parts, number)
                parts = (*parts, arrays[header[2]])
            table = parts
            found.setdefault(table, number)
        elif key := re.match(r"\s*\"?([\w-]+)\"?\s*=", line):
            found.setdefault((*table, key[1]), number)
    return found


class _Reader:
    """Turns a parsed document into a `Chip`, or says what is wrong and where."""

    def __init__(self, file: str, lines: Mapping[Place, int]) -> None:
        self.file = file
        self.lines = lines

    def error(self, where: Place, message: str) -> ChipError:
        key = ".".join(map(str, where))
        known = (self.lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in self.lines)
        line = next(known, None)
        return ChipError(f"{self.file}{f':{line}' if line else ''}: {key}: {message}")

    def chip(self, document: Mapping[str, Any]) -> Chip:
        known = {*_TEXTS, *_SWITCHES, *_CHOICES, *FIELDS, "memory", "notes", "accounting"}
        self.keys((), document, known)
        texts = {key: self.text((key,), document.get(key)) for key in _TEXTS}
        switches = {key: self.switch((key,), document.get(key)) for key in _SWITCHES}
        execution = self.one_of(("execution",), texts["execution"], get_args(Execution))
        by_power = document.get("accounting") == "power"
        bare = switches["memory_included"] or by_power or "energy" not in document
        needed = () if bare else ("read", "write")
        chip = Chip(
            name=texts["name"],
            title=texts["title"],
            execution=execution,
            accounting=self.one_of(
                ("accounting",), document.get("accounting", "events"), get_args(Accounting)
            ),
            row_dimensions=self.axis("row_dimensions", document, ROW_DIMENSIONS),
            column_dimensions=self.axis("column_dimensions", document, COLUMN_DIMENSIONS),
            **switches,
            tables={t: self.table((t,), document[t], FIELDS[t]) for t in FIELDS if t in document},
            memory=tuple(
                self.level(("memory", index), entry, needed)
                for index, entry in enumerate(self.array(("memory",), document.get("memory", [])))
            ),
            notes=tuple(
                self.text(("notes",), note)
                for note in self.array(("notes",), document.get("notes", []))
            ),
        )
        self.complete(chip)
        return chip

    def complete(self, chip: Chip) -> None:
        """Refuse a chip that could not be priced."""
        if not (chip.dense or chip.spiking):
            raise self.error(("dense",), "expected a dense or a spiking unit, found neither")
        needed = {"mac": chip.dense, "accumulate": chip.spiking}
        for key, need in needed.items():
            if chip.priced and need and chip.energy(key) is None:
                raise self.error(("energy", key), "expected this energy, found none")
        if chip.energy("mac") is not None and not chip.dense:
            raise self.error(("energy", "mac"), "expected none without a dense unit, found one")
        found = [level.name for level in chip.memory]
        if len(set(found)) < len(found):
            raise self.error(("memory",), f"expected memories of different names, found {found}")
        if chip.accounting == "power":
            for key in ("power", "peak"):
                if chip.limit(key) is None:
                    raise self.error(("limits", key), "expected this limit, found none")
        elif not chip.memory_included and chip.priced:
            self.memories(chip)

    def memories(self, chip: Chip) -> None:
        """Refuse memories through which some operand could not reach the units."""
        kinds = [level.kind for level in chip.memory]
        if "on-chip" not in kinds:
            raise self.error(("memory",), "expected an on-chip memory, found none")
        ranked = [get_args(MemoryKind).index(kind) for kind in kinds]
        if ranked != sorted(ranked) or kinds.count("external") > 1:
            raise self.error(
                ("memory",),
                "expected those of units first, then on-chip ones, then at most one external one, "
                f"found {', '.join(kinds)}",
            )
        outermost = chip.memory[-1]
        if set(outermost.holds) != set(OPERANDS):
            raise self.error(("memory", len(kinds) - 1, "holds"), "expected all operands here")
        taken = [o for level in chip.memory if level.kind == "unit" for o in level.holds]
        if len(set(taken)) < len(taken):
            raise self.error(("memory",), "expected each operand in one memory of the units")

    def level(self, where: Place, entry: Any, needed: tuple[str, ...]) -> MemoryLevel:
        self.mapping(where, entry)
        self.keys(where, entry, {"name", "kind", "holds", *MEMORY_FIELDS})
        name = self.text((*where, "name"), entry.get("name"))
        kind: MemoryKind = self.one_of((*where, "kind"), entry.get("kind"), get_args(MemoryKind))
        numbers = {k: entry[k] for k in MEMORY_FIELDS if k in entry}
        for key in (*needed, *(("capacity",) if kind != "external" else ())):
            if key not in numbers:
                raise self.error((*where, key), "expected this number, found none")
        holds = self.some_of((*where, "holds"), entry.get("holds", list(OPERANDS)), OPERANDS)
        return MemoryLevel(name, kind, holds=holds, **self.table(where, numbers, MEMORY_FIELDS))

    def table(self, where: Place, entry: Any, fields: Mapping[str, Field]) -> dict[str, Quantity]:
        self.mapping(where, entry)
        self.keys(where, entry, set(fields))
        return {k: self.quantity((*where, k), q, fields[k]) for k, q in entry.items()}

    def quantity(self, where: Place, entry: Any, field: Field) -> Quantity:
        self.mapping(where, entry)
        self.keys(where, entry, {"value", "unit", "source", "provenance"})
        value = entry.get("value")
        if type(value) not in (int, float) or not 0 < value <= LARGEST_VALUE:
            message = f"expected a finite number above 0, at most {LARGEST_VALUE:g}, found"
            raise self.error((*where, "value"), f"{message} {str(value)[:40]}")
        if entry.get("unit") != field.unit:
            raise self.error(
                (*where, "unit"), f"expected unit {field.unit!r}, found {entry.get('unit')!r}"
            )
        return Quantity(
            value=value,
            unit=field.unit,
            source=self.text((*where, "source"), entry.get("source")),
            provenance=self.one_of((*where, "provenance"), entry.get("provenance"), PROVENANCES),
        )

    def keys(self, where: Place, entry: Mapping[str, Any], known: set[str]) -> None:
        for key in entry:
            if key not in known:
                message = f"expected one of {', '.join(sorted(known))}, found an unknown key"
                raise self.error((*where, key), message)

    def mapping(self, where: Place, value: Any) -> None:
        if not isinstance(value, dict):
            raise self.error(where, f"expected a table, found {value!r}")

    def array(self, where: Place, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.error(where, f"expected an array, found {value!r}")
        return value

    def text(self, where: Place, value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self.error(where, f"expected a text, found {value!r}")
        return value

    def switch(self, where: Place, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.error(where, f"expected true or false, found {value!r}")
        return value

    def axis(
        self, key: str, document: Mapping[str, Any], default: tuple[str, ...]
    ) -> tuple[str, ...]:
        return self.some_of((key,), document.get(key, list(default)), DIMENSIONS)

    def some_of(self, where: Place, value: Any, choices: tuple[Any, ...]) -> tuple[Any, ...]:
        found = tuple(self.one_of(where, item, choices) for item in self.array(where, value))
        if not found or len(set(found)) < len(found):
            raise self.error(where, f"expected each of {', '.join(choices)} at most once")
        return found

    def one_of(self, where: Place, value: Any, choices: tuple[Any, ...]) -> Any:
        if value not in choices:
            raise self.error(where, f"expected one of {', '.join(choices)}, found {value!r}")
        return value
