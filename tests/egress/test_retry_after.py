"""How long servers ask to wait, in each form that they use."""

from __future__ import annotations

import time
from email.message import Message
from email.utils import formatdate

import pytest

from hybrid_cli.system.retry_after import retry_after


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


def test_a_date_counts_from_now() -> None:
    message = Message()
    message["Retry-After"] = formatdate(time.time() + 30, usegmt=True)
    assert retry_after(message) == pytest.approx(30, abs=2)
    assert retry_after(message, longest=10) == 10
