"""Regular expressions in RE2's syntax, which take time linear in the text: no prompt can make a rule hang."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from hybrid_cli.profile.empty_patterns import matches_nothing

_MAX_MEMORY = 1_000_000
"""Bytes of a compiled pattern. Rules have small patterns; large ones take long to compile."""


@cache
def compiled(pattern: str) -> Any:
    """`pattern` as RE2's object with a `search` method. Raises ValueError for what RE2 cannot read."""
    import re2

    options = re2.Options()
    options.log_errors = False  # RE2 would write its own lines to stderr
    options.max_mem = _MAX_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        raise ValueError(reason.decode() if isinstance(reason, bytes) else reason) from None


_PROGRAM_OF_NOTHING = 1
"""The size of RE2's program for a pattern that no text matches, such as `[^\\s\\S]`."""
_BOUNDARY_OF_OTHER_LETTER = re.compile(r"(?<!\\)(?:\\\\)*\\[bB][^\W\x00-\x7f]|[^\W\x00-\x7f]\\[bB]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def check_pattern(pattern: str) -> None:
    """Raise ValueError for a pattern that RE2 cannot read, or that no prompt can match."""
    control = _CONTROL.search(pattern)
    if control is not None and control[0] == "\b":  # a pattern in double quotes: YAML reads the escapes first
        raise ValueError("the pattern contains a backspace, not `\\b`; write it in single quotes")
    if control is not None:
        raise ValueError(
            f"the pattern contains the control character U+{ord(control[0]):04X}, which no prompt contains;"
            " write it in single quotes"
        )
    try:
        program = compiled(pattern)
    except ValueError as error:
        raise ValueError(f"RE2 cannot read this pattern ({error})") from None
    if program.programsize == _PROGRAM_OF_NOTHING or matches_nothing(pattern):
        raise ValueError("no text can match this pattern")
    boundary = _BOUNDARY_OF_OTHER_LETTER.search(pattern)
    if boundary is not None:
        raise ValueError(
            f"`{boundary[0]}`: RE2's `\\b` knows ASCII letters only;"
            r" write `(?:^|\PL)` before a word and `(?:\PL|$)` after it"
        )
