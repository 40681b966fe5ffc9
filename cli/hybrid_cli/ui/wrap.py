"""Help and its topics on a terminal of any width: lines end between words, and commands can still be copied."""

from __future__ import annotations

import re
import shlex
import shutil
import textwrap
from collections.abc import Iterable

_WIDEST = 100
_NARROWEST = 20
_GOES_ON = " \\"


def page_width() -> int:
    """Columns of what is read: the terminal's, and 80 where there is none, but no line of print is too long."""
    return max(min(shutil.get_terminal_size().columns, _WIDEST), _NARROWEST)


def filled(text: str, width: int, indent: str = "", first: str | None = None) -> str:
    """`text` as lines of `width`; `first` stands before the first in the place of `indent`."""
    return textwrap.fill(
        " ".join(text.split()),
        width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def folded_choices(spelled: str, width: int) -> str:
    """An option as the help spells it, broken behind its choices' bars where it is longer than `width`."""
    return "\n      ".join(_packed(re.findall(r"[^|]+\|?", spelled), "", width))


def folded_command(line: str, width: int) -> list[str]:
    """A shell's command over lines that end with a backslash; a quoted text stays in one piece."""
    lines = _packed(shlex.split(line, posix=False), " ", width - len(_GOES_ON))
    return [f"{one}{_GOES_ON}" for one in lines[:-1]] + lines[-1:] if len(line) > width else [line]


def _packed(pieces: Iterable[str], between: str, width: int) -> list[str]:
    """As many of `pieces` a line as fit."""
    lines: list[str] = []
    for piece in pieces:
        longer = f"{lines[-1]}{between}{piece}" if lines else piece
        if lines and len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(piece)
    return lines
