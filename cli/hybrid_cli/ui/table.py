"""Tables and words for people on stdout: as wide as the terminal shows them, and safe to show."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

from hybrid_cli.ui.environment import Environment, one_line

_GAP = "  "
_INDENT = 4
"""Columns, where there is no room below the last cell."""


def width(text: str) -> int:
    """The columns that `text` takes on a terminal: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def padded(text: str, columns: int, *, right: bool = False) -> str:
    """`text` with spaces up to `columns`: behind it, or with `right` before it."""
    space = " " * (columns - width(text))
    return space + text if right else text + space


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """`rows` as lines with columns of one width each; those numbered in `right` end on the same column."""
    widths = [max(width(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        _GAP.join(
            padded(cell, widths[number], right=number in right) for number, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]


def listed(rows: Sequence[Sequence[str]], environment: Environment, right: Sequence[int] = ()) -> list[str]:
    """`rows` as lines: on a terminal aligned, folded and safe to show; else exact, with tabs between."""
    if not environment.stdout_is_terminal():
        return ["\t".join(row) for row in rows]
    columns = shutil.get_terminal_size().columns
    lines = aligned([[one_line(cell) for cell in row] for row in rows], right)
    return [
        folded for row, line in zip(rows, lines, strict=True) for folded in _folded(line, row[-1], columns)
    ]


def _folded(line: str, last: str, columns: int) -> list[str]:
    """`line` over several of `columns` that end between words; a `last` cell of one word stays whole."""
    if width(line) <= columns or " " not in last:
        return [line]
    start = width(line) - width(one_line(last))
    indent = " " * (start if start <= columns // 2 else _INDENT)
    return textwrap.wrap(
        line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
