"""How long servers ask to wait, in each form that they use."""

from __future__ import annotations

import time
from email.message import Message
from email.utils import formatdate

import pytest

from hybrid_cli.system.retry_after import rate_limit_pause, retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "9" * 400}, 60.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 60.0),
        ({"retry-after-ms": "20"}, 0.02),
        ({"retry-after-ms": "20", "retry-after": "7"}, 0.02),
        ({"retry-after-ms": "x", "retry-after": "7"}, 7.0),
    ],
)
def test_numbers_dates_and_milliseconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, longest=60) == seconds


NOW = 1_800_000_000


@pytest.mark.parametrize(
    ("headers", "pause", "after_a_refusal"),
    [
        ({}, None, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30.5s"}, 90.5, 90.5),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "6m0s"}, None, None),
        ({"x-ratelimit-reset-requests": "20ms", "x-ratelimit-reset-tokens": "6m0s"}, None, 360),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-remaining-tokens": "50",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            2,
            2,
        ),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW + 30)}, 30, 30),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str((NOW + 30) * 1000)}, 30, 30),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW - 30)}, None, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "12"}, 12, 12),
        ({"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2027-01-15T08:01:00Z"}, 60, 60),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, None, None),
    ],
)  # fmt: skip
def test_the_reset_of_a_rate_limit_counts_if_it_is_used_up(
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    pause: float | None,
    after_a_refusal: float | None,
) -> None:
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    assert rate_limit_pause(headers) == pause
    assert rate_limit_pause(headers, refused=True) == after_a_refusal


def test_a_time_since_1970_is_no_number_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    assert retry_after({"retry-after": str(NOW + 7)}) == 7
    assert retry_after({"retry-after": str(NOW - 7)}) == 0


def test_a_date_counts_from_now() -> None:
    message = Message()
    message["Retry-After"] = formatdate(time.time() + 30, usegmt=True)
    assert retry_after(message) == pytest.approx(30, abs=2)
    assert retry_after(message, longest=10) == 10
