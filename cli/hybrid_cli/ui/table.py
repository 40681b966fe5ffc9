"""Tables on stdout: aligned, wrapped and sanitised on a terminal, exact and tab-separated elsewhere."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import one_line

_GAP = "  "
_NARROW_INDENT = 4
"""Indent of wrapped lines, in columns, if the last cell starts beyond half the terminal."""


def width(text: str) -> int:
    """Return the columns that `text` takes on a terminal: 2 for a wide character, 0 for a combining one."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Return `text` padded with spaces to `columns`; with `right`, aligned to the right."""
    spaces = " " * (columns - width(text))
    return spaces + text if right else text + spaces


def align_columns(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Return one line per row with aligned columns; columns whose number is in `right` align to the right."""
    widths = [max(width(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        _GAP.join(
            pad(cell, widths[number], right=number in right) for number, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]


def table_lines(
    rows: Sequence[Sequence[str]],
    environment: Environment,
    right: Sequence[int] = (),
    header: Sequence[str] = (),
) -> list[str]:
    """Return `rows` as lines for stdout: a sanitised table on a terminal, exact tab-separated cells elsewhere.

    Only the table has the `header`, if it fits the terminal: a script reads the cells by their position.
    """
    if not environment.stdout_is_terminal():
        return ["\t".join(row) for row in rows]
    columns = shutil.get_terminal_size().columns
    if header and rows:
        titled = align_columns([header, *([one_line(cell) for cell in row] for row in rows)], right)
        if width(titled[0]) <= columns:
            rows = [header, *rows]
    lines = align_columns([[one_line(cell) for cell in row] for row in rows], right)
    return [
        wrapped for row, line in zip(rows, lines, strict=True) for wrapped in _wrap(line, row[-1], columns)
    ]


def _wrap(line: str, last_cell: str, columns: int) -> list[str]:
    """Wrap `line` between words and indent below its last cell; a last cell of one word stays whole."""
    if width(line) <= columns or " " not in last_cell:
        return [line]
    start = width(line) - width(one_line(last_cell))
    indent = " " * (start if start <= columns // 2 else _NARROW_INDENT)
    return textwrap.wrap(
        line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
