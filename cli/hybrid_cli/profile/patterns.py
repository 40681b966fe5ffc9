"""Regular expressions in RE2's syntax, which take time linear in the text: no prompt can make a rule hang."""

from __future__ import annotations

from functools import cache
from typing import Any

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
