"""Wrap help to the width of the terminal; words stay whole and commands stay copyable."""

from __future__ import annotations

import re
import shlex
import shutil
import textwrap
from collections.abc import Iterable

_MAX_COLUMNS = 100
_MIN_COLUMNS = 20
_CONTINUATION = " \\"
"""The end of a command line that continues on the next one."""


def page_width() -> int:
    """Return the columns of help: those of the terminal (80 without one), from 20 to 100."""
    return max(min(shutil.get_terminal_size().columns, _MAX_COLUMNS), _MIN_COLUMNS)


def fill(text: str, width: int, indent: str = "", first: str | None = None) -> str:
    """Return `text` wrapped to `width`; the first line starts with `first` instead of `indent`."""
    return textwrap.fill(
        " ".join(text.split()),
        width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def wrap_choices(option: str, width: int) -> str:
    """Return an option with its choices, such as `--by <day|model>`, wrapped after a bar."""
    return "\n      ".join(_pack(re.findall(r"[^|]+\|?", option), "", width))


def wrap_command(command: str, width: int) -> list[str]:
    """Return the lines of a shell command that continues with backslashes; quoted text stays whole."""
    lines = _pack(shlex.split(command, posix=False), " ", width - len(_CONTINUATION))
    return (
        [f"{line}{_CONTINUATION}" for line in lines[:-1]] + lines[-1:] if len(command) > width else [command]
    )


def _pack(pieces: Iterable[str], separator: str, width: int) -> list[str]:
    """Join as many pieces per line as fit `width`."""
    lines: list[str] = []
    for piece in pieces:
        longer = f"{lines[-1]}{separator}{piece}" if lines else piece
        if lines and len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(piece)
    return lines
