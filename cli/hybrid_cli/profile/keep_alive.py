"""How long a model stays loaded without a caller: `local.keep_alive`."""

from __future__ import annotations

import re

PATTERN = r"^(0|forever|[1-9][0-9]{0,5}[smh])$"
"""What `local.keep_alive` and --keep-alive allow."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def keep_seconds(value: str | int) -> float | None:
    """Return the seconds that a valid `value` names; None for `forever`."""
    if value == "forever":
        return None
    text = str(value)
    return 0.0 if text == "0" else float(text[:-1]) * _UNITS[text[-1]]


def is_keep_alive(text: str) -> bool:
    """Whether `text` is a valid value."""
    return re.match(PATTERN, text) is not None
