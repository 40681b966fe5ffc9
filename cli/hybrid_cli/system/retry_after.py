"""How long a server asks to wait before the next request, from the headers of its response."""

from __future__ import annotations

import re
import time
from typing import Protocol

_FOREVER = 1e9
"""Seconds. A server may ask for more than a clock can count."""
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class Headers(Protocol):
    """Response headers; `get` ignores the case of names."""

    def get(self, name: str, default: str, /) -> str: ...


def retry_after(headers: Headers, longest: float = _FOREVER) -> float | None:
    """Seconds in `Retry-After` (a number or an HTTP date), or in OpenAI's `Retry-After-Ms`.

    None if neither header has a valid value; never more than `longest`.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        return _bounded(float(milliseconds) / 1000, longest)
    value = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(value):
        return _bounded(float(value), longest)
    from email.utils import parsedate_to_datetime

    try:
        return _bounded(parsedate_to_datetime(value).timestamp() - time.time(), longest)
    except (ValueError, TypeError, OverflowError):
        return None


def rate_limit_pause(headers: Headers) -> float | None:
    """Seconds until a used-up rate limit resets; None unless the server says that one is used up.

    Reads OpenAI's `x-ratelimit-remaining-requests` with `x-ratelimit-reset-requests` (`6m0s`, `20ms`), and the
    same pair for tokens; other servers copy them.
    """
    waits = [
        _duration(headers.get(name.replace("remaining", "reset"), ""))
        for name in ("x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens")
        if headers.get(name, "").strip() == "0"
    ]
    return max(waits, default=None)


def _duration(text: str) -> float:
    """Seconds in a duration such as `1m30.5s`, or in plain seconds; 0 for anything else."""
    if _NUMBER.fullmatch(text.strip()):
        return _bounded(float(text), _FOREVER)
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))


def _bounded(seconds: float, longest: float) -> float:
    return min(max(0.0, seconds), longest)
