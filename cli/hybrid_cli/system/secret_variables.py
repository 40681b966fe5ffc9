"""Environment variables that probably hold a secret. The guard, verify commands and scanners do not get them."""

from __future__ import annotations

import re

_SECRET_NAME = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Return whether a variable of this name probably holds a secret."""
    return _SECRET_NAME.search(name) is not None
