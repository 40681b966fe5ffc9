"""How long a server asks to wait before the next request, from the headers of its response."""

from __future__ import annotations

import re
import time
from typing import Protocol

_FOREVER = 1e9
"""Seconds. A server may ask for more than a clock can count."""
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_DURATIONS = re.compile(rf"(?:{_DURATION.pattern})+")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_FIRST_EPOCH_SECOND = 1e8
_FIRST_EPOCH_MILLISECOND = 1e11
"""A number from here on is a time since 1970: no server asks to wait for years."""
_LIMITS = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("ratelimit-remaining", "ratelimit-reset"),
)
"""The headers in which servers say how much is left of a rate limit, and when it resets."""


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
    wait = seconds_until(headers.get("retry-after", ""))
    return None if wait is None else _bounded(wait, longest)


def rate_limit_pause(headers: Headers, *, refused: bool = False) -> float | None:
    """Seconds until a used-up rate limit resets; None unless the server says that one is used up.

    If the server `refused` a request, a limit counts as used up unless the server says what is left of it.
    """
    used_up = ("0", "") if refused else ("0",)
    resets = [headers.get(reset, "") for left, reset in _LIMITS if headers.get(left, "").strip() in used_up]
    waits = [wait for wait in map(seconds_until, resets) if wait is not None and wait > 0]
    return max(waits, default=None)


def seconds_until(text: str) -> float | None:
    """Seconds until the moment that `text` names, or None if it names none.

    It may be a number of seconds, a duration such as `1m30.5s`, a date, or a time since 1970.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number < _FIRST_EPOCH_SECOND or number > _FIRST_EPOCH_MILLISECOND * 1000:
            return _bounded(number, _FOREVER)
        since_1970 = number / 1000 if number >= _FIRST_EPOCH_MILLISECOND else number
        return _bounded(since_1970 - time.time(), _FOREVER)
    if _DURATIONS.fullmatch(text):
        return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))
    moment = _date(text)
    return None if moment is None else _bounded(moment - time.time(), _FOREVER)


def _date(text: str) -> float | None:
    """The time since 1970 of a date in HTTP's or ISO's form."""
    from datetime import datetime, timezone
    from email.utils import parsedate_to_datetime

    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text.replace("Z", "+00:00") if parse is datetime.fromisoformat else text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def _bounded(seconds: float, longest: float) -> float:
    return min(max(0.0, seconds), longest)
