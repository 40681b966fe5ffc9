"""The body of a request in each dialect of Chat Completions."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_cli.cloud.payload import DIALECTS, Call
from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.profile.origin import origin_of


@pytest.mark.parametrize(
    ("base_url", "fields"),
    [
        ("https://api.openai.com/v1", {"max_completion_tokens": 9, "store": False}),
        ("https://API.openai.com:443/v1", {"max_completion_tokens": 9, "store": False}),
        ("https://api.deepseek.com/v1", {"max_tokens": 9, "stop": ["a", "b", "c", "d"]}),
    ],
)
def test_each_cloud_gets_its_dialect(base_url: str, fields: dict[str, Any]) -> None:
    call = Call(Server(base_url=base_url, model="m"), [], 9, stop=("a", "b", "c", "d", "e"))
    common = {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
    assert call.body() == {**common, **fields}


def test_dialects_are_listed_by_origin() -> None:
    assert all(origin_of(origin) == origin for origin in DIALECTS)
