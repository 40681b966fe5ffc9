"""The body of a request, and how long its server may be silent."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_cli.cloud.dialects import REMEDIES, Dialect, after_refusal, first_dialect
from hybrid_cli.cloud.faults import of_setup
from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.refusals import refused_field, wait_in
from hybrid_cli.profile.cloud_section import Extra, Server, Timeouts


@pytest.mark.parametrize(
    ("base_url", "fields"),
    [
        ("https://api.openai.com/v1", {"max_completion_tokens": 9, "store": False}),
        ("https://API.openai.com:443/v1", {"max_completion_tokens": 9, "store": False}),
        ("https://eu.api.openai.com/v1", {"max_completion_tokens": 9, "store": False}),
        ("https://us.api.openai.com/v1", {"max_completion_tokens": 9, "store": False}),
        ("https://api.openai.com.evil.example/v1", {"max_tokens": 9, "stop": ["a", "b", "c", "d"]}),
        ("https://notapi.openai.com.example/v1", {"max_tokens": 9, "stop": ["a", "b", "c", "d"]}),
        ("https://api.deepseek.com/v1", {"max_tokens": 9, "stop": ["a", "b", "c", "d"]}),
    ],
)
def test_each_cloud_gets_its_dialect(base_url: str, fields: dict[str, Any]) -> None:
    call = Call(Server(base_url=base_url, model="m"), [], 9, stop=("a", "b", "c", "d", "e"))
    common = {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
    assert call.body() == {**common, **fields}


def test_no_refusal_makes_hybrid_let_openai_keep_a_prompt() -> None:
    openai = first_dialect("https://eu.api.openai.com/v1")
    assert after_refusal(openai, "store") == openai
    for field in REMEDIES:
        assert after_refusal(openai, field).keeps_nothing
    responses = Server(base_url="https://api.openai.com/v1", model="m", api="responses")
    assert Call(responses, [], 9).body()["store"] is False
    assert after_refusal(Dialect(), "provider") == Dialect()  # a wish for privacy is never dropped


@pytest.mark.parametrize(
    ("server", "seconds"),
    [
        ({"model": "gpt-4o-mini"}, 60),
        ({"model": "deepseek-chat"}, 60),
        ({"model": "gpt-5-mini"}, 300),
        ({"model": "o3"}, 300),
        ({"model": "deepseek-reasoner"}, 300),
        ({"model": "deepseek/deepseek-r1:free"}, 300),
        ({"model": "m", "extra": Extra(reasoning_effort="high")}, 300),
        ({"model": "m", "extra": Extra(reasoning_effort="none")}, 60),
        ({"model": "gpt-5-mini", "timeouts": Timeouts(silent=5)}, 5),
    ],
)
def test_a_reasoning_model_may_be_silent_for_minutes(server: dict[str, Any], seconds: float) -> None:
    assert Call(Server(base_url="https://a.example/v1", **server), [], 9).silence == seconds


SENT = ("model", "messages", "stream", "stream_options", "max_tokens", "temperature", "text", "reasoning")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}, "max_tokens"),
        ({"param": "max_tokens", "message": "max_tokens is too large: 9. At most 4 are supported."}, None),
        ({"param": "text.format", "message": "Invalid"}, "response_format"),
        ({"param": "reasoning.effort", "message": "Unsupported value"}, "reasoning_effort"),
        ({"detail": [{"loc": ["body", "stream_options", "include_usage"]}]}, "stream_options"),
        ("extra inputs: `stream_options`", "stream_options"),
        ({"message": "the prompt says stop"}, None),
        ({"message": "unknown field upstream_tokens"}, None),
        ({"param": "messages[0].content"}, "messages"),
        ([{"error": {"message": 'Unknown name "foo": no.\nUnknown name "stream_options": no.'}}], "stream_options"),
        ({"param": "temperature", "message": "Unsupported value: 'temperature' does not support 0.0"}, "temperature"),
        ({"message": "Invalid input: response_format"}, "response_format"),
        ({"message": "Unknown name \"const\" at 'generation_config.response_schema.any_of[0]'"}, "response_format"),
        ({"message": "This response_format type is unavailable now", "param": None}, "response_format"),
        ({"message": "output_config.format.schema: minimum is not supported"}, "response_format"),
        ({"message": "stream_options can only be set if stream is true"}, "stream_options"),
        (None, None),
        ([1], None),
        ({"param": 3, "detail": [{"loc": 7}, 5]}, None),
    ],
)  # fmt: skip
def test_the_field_that_a_refusal_names(body: Any, field: str | None) -> None:
    assert refused_field(body, SENT) == field


def test_a_package_that_cannot_be_used_is_no_missing_proxy() -> None:
    server = Server(base_url="https://x.example/v1", model="m")
    for error in (ImportError("polluted"), AttributeError("polluted")):
        assert "a package of Python cannot be used (polluted); is PYTHONPATH set?" in str(
            of_setup(error, server)
        )
    assert "socksio" in str(of_setup(ImportError("Using SOCKS proxy, but 'socksio' is missing"), server))


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]}, 34),
        ({"details": [{"retryDelay": "1.5s"}]}, 1.5),
        ({"message": "Please retry in 12.07s."}, 12.07),
        ({"message": "Please try again in 20s"}, 20),
        ({"message": "Please try again in 1m2.5s. Visit"}, 62.5),
        ({"message": "Please try again in 850ms."}, 0.85),
        ({"message": "Please retry after 45 seconds."}, 45),
        ({"message": "Please retry after 2 minutes."}, 120),
        ({"message": "retry after 3 milliseconds"}, None),
        ({"metadata": {"headers": {"X-RateLimit-Reset": "7"}}}, 7),
        ({"metadata": {"headers": {"X-RateLimit-Reset": "1700000000000"}}}, None),
        ({"message": "no"}, None),
    ],
)
def test_the_wait_that_a_body_names(body: Any, seconds: float | None) -> None:
    assert wait_in(body) == seconds
