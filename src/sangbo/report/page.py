"""A self-contained HTML page: text, tables and figures in one file, nothing fetched."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Literal

from sangbo.errors import DataError

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #888; --note: #d98e00; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; }
th.number, td.number { text-align: right; white-space: nowrap; }
caption { text-align: left; color: var(--dim); padding-bottom: .3rem; }
tr.marked { font-weight: 600; background: #2a9d8f22; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; background: #fff; }
figcaption { color: var(--dim); font-size: .9rem; }
.lead { font-size: 1.15rem; } .warning { border-left: 4px solid var(--note); padding-left: .8rem; }
"""


class Page:
    """An HTML page, built from top to bottom. Every text is escaped.

    Example:
        >>> page = Page("Costs")
        >>> page.text("What it took.")
        >>> page.table(["run", "kWh"], [["first", "0.1"]])
        >>> "<h1>Costs</h1>" in page.html()
        True
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = []

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def text(self, text: str, kind: Literal["", "lead", "warning"] = "") -> None:
        """Add a paragraph: plain, the answer in larger type, or a warning."""
        attribute = f' class="{kind}"' if kind else ""
        self._parts.append(f"<p{attribute}>{escape(text)}</p>")

    def table(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        caption: str = "",
        marked: int | None = None,
    ) -> None:
        """Add a table; columns whose every cell starts with a digit, sign or dash align right.

        Raises:
            DataError: a row has not as many cells as the header.
        """
        for row in rows:
            if len(row) != len(header):
                raise DataError(f"expected {len(header)} cells in a row, found {len(row)}")
        kinds = [
            ' class="number"' if rows and all(_numeric(row[i]) for row in rows) else ""
            for i in range(len(header))
        ]
        body = "".join(
            ('<tr class="marked">' if index == marked else "<tr>")
            + "".join(f"<td{k}>{escape(c)}</td>" for k, c in zip(kinds, row, strict=True))
            + "</tr>\n"
            for index, row in enumerate(rows)
        )
        head = "".join(f"<th{k}>{escape(c)}</th>" for k, c in zip(kinds, header, strict=True))
        title = f"<caption>{escape(caption)}</caption>" if caption else ""
        self._parts.append(
            f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead>\n'
            f"<tbody>{body}</tbody></table></div>"
        )

    def figure(self, svg: str, caption: str) -> None:
        """Add a drawing.

        Args:
            svg: an SVG element, trusted: it is put in as it stands.
            caption: what it shows, also read out to who cannot see it.
        """
        start = svg.index("<svg")
        self._parts.append(
            f'<figure role="img" aria-label="{escape(caption)}">{svg[start:]}'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )

    def html(self) -> str:
        """The whole page."""
        body = "\n".join(self._parts)
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
            f"<body>\n<h1>{escape(self.title)}</h1>\n{body}\n</body>\n</html>\n"
        )

    def write(self, path: str | Path) -> None:
        """Write the page; what stood at ``path`` stays unless all of it was written.

        Raises:
            DataError: it cannot be written there.
        """
        target = Path(path)
        try:
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as stream:
                    stream.write(self.html())
                Path(temporary).chmod(0o644)
                Path(temporary).replace(target)
            except OSError:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise DataError(
                f"expected a place to write a report at {path}, found: {error.strerror}"
            ) from None


def _numeric(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in "+-−–<>≈×" or not cell
