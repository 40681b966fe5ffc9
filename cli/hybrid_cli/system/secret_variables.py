"""Environment variables that probably hold a secret. The guard removes them."""

from __future__ import annotations

import re

_SECRET_NAME = re.compile(
    r"key|token|secret|pass|pwd|credential|cookie|jwt|auth|session|dsn|(?:^|_)pat(?:_|$)|(?:^|_)(?:pw|pin|otp)(?:_|$)"
    r"|(?:database|db|redis|mongo\w*|amqp|broker|postgres\w*|mysql|sentry|webhook)_?(?:url|uri)|connection_?string",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"(?:old|init_)?pwd|xdg_session_\w+|desktop_session|session_manager", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Return whether a variable of this name probably holds a secret."""
    return _SECRET_NAME.search(name) is not None and _HARMLESS.fullmatch(name) is None
