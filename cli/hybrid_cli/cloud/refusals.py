"""What a server says when it refuses a request: the field it does not take, the time to wait, the credit left.

A body may repeat the prompt and the key, so hybrid shows only names it knows, and numbers; for --verbose see `egress.server_message`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from hybrid_cli.cloud.dialects import REMEDIES
from hybrid_cli.system.retry_after import seconds_until

_ALIASES = {
    "json_schema": "response_format",
    "json_object": "response_format",
    "structured output": "response_format",
    "structured_outputs": "response_format",
    "guided_json": "response_format",
    "text.format": "response_format",
    "reasoning.effort": "reasoning_effort",
    "reasoning": "reasoning_effort",
    "verified to stream": "stream",
    "streaming is not supported": "stream",
    "does not support streaming": "stream",
    "stop sequences": "stop",
    "include_usage": "stream_options",
    "response_schema": "response_format",
    "response_json_schema": "response_format",
    "responseschema": "response_format",
    "responsejsonschema": "response_format",
    "output_config": "response_format",
    "json schema": "response_format",
}
"""Other names that servers give to a field, and phrases that name one."""
_FIRST_WORD = re.compile(r"\W.*", re.DOTALL)
"""What follows the first word of a path such as `messages[0].content`."""
_TOO_MUCH = re.compile(r"too (?:large|high|many|big)|at most|less than|exceed|maximum|context|<=|upper bound")
_BOUND = re.compile(
    r"(?:at most|less than or equal to|<=|up to|no more than|maximum(?: allowed)?(?: value)?(?: is| of|:)?"
    r"|cannot be (?:larger|greater) than|must be below|range of \[?\d+,)\D{0,12}?(\d{2,7})(?!\d)"
)
_ABOUT_A_FIELD = re.compile(
    r"unsupported[_ ](?:parameter|value)|extra inputs|unknown (?:name|parameter)|unrecognized request argument"
    r"|\d validation errors?\b"
)
_ABOUT_THE_KEY = re.compile(
    r"api[ _]key (?:is )?(?:not valid|invalid|expired)|api_key_invalid|(?:invalid|incorrect)[_ ]api[_ ]?key"
    r"|authentication_error|auth_error|no_db_connection"
)
"""The last one is what LiteLLM's proxy says of an unknown key, if it has no database of keys."""
_ABOUT_THE_SYSTEM_ROLE = re.compile(
    r"(?:system|developer)[\W_]*(?:role|message|prompt|instruction)s?\b.{0,80}"
    r"(?:not (?:supported|allowed|enabled|permitted)|unsupported)"
    r"|(?:not support|unsupported|invalid|unknown|unexpected)\w*.{0,60}\W(?:system|developer)[\W_]*(?:role|message|prompt|instruction)"
    r"|(?:not support|unsupported|invalid|unknown|unexpected)\w* role\W*(?:system|developer)"
    r"|roles must alternate user/assistant",
    re.DOTALL,
)
"""The last one is what chat templates say that have no place for a system message."""
_CONTEXT = re.compile(
    r"context[_ ](?:length|size|window)[_ ]exceeded|exceed(?:s|ed|_|ing)?\b.{0,60}context|maximum context length"
    r"|context (?:length|size|window|limit)\b.{0,60}exceed|prompt is too long|input is too long|exceed_context_size"
    r"|input token count.{0,60}exceeds|too many (?:input|prompt) tokens",
    re.DOTALL,
)
_CONTEXT_TOKENS = re.compile(
    r"(?:maximum context length|maximum number of tokens allowed|context (?:length|size|window|limit)|n_ctx)\D{0,24}?(\d{3,8})(?!\d)"
    r"|> (\d{3,8}) maximum"
)
_CAUSES = (
    (r"model\b.{0,80}\bnot (?:loaded|ready)|loading model|model is (?:still )?loading|no models? (?:is |are )?loaded", "the server has not loaded the model"),
    (r"model\b.{0,80}\b(?:not found|does not exist|not available)|(?:unknown|no such) model", "the server does not have the model"),
    (r"out of memory|insufficient memory|not enough memory", "the server has too little memory"),
    (r"overloaded|(?:at|over|no) capacity", "the server is overloaded"),
)  # fmt: skip
"""Causes that servers name in words of their own, and how hybrid names them."""
_AFFORDABLE = re.compile(r"can only afford (\d{1,9})")
_DELAY = re.compile(
    r"\"retryDelay\":\s*\"(?P<google>\d{1,6}(?:\.\d+)?s)\""
    r"|(?:retry|again) (?:in|after) (?P<words>(?:\d{1,6}(?:\.\d+)? ?(?:ms|h|m(?!illi)|s)[a-z]*)+)"
    r"|\"x-ratelimit-reset\":\s*\"?(?P<reset>\d{1,14})\b",
    re.IGNORECASE,
)
"""A time to wait in Google's field, in a sentence, and in the headers that OpenRouter passes on."""
_NO_CREDIT = re.compile(
    r"insufficient[_ ](?:quota|balance|credits?|funds)|billing_hard_limit"
    r"|credit balance is too low|payment required|not enough credits|requires more credits"
)


def text_of(body: Any) -> str:
    """The body of a refusal as text, to search in."""
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)


def message_in(body: Any) -> str:
    """The message in an error's body, as the server wrote it: it may repeat the prompt or the key."""
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return next((found for one in body if (found := message_in(one))), "")
    if isinstance(body, Mapping):
        names = ("message", "error", "detail", "msg", "title")
        return next((found for name in names if (found := message_in(body.get(name)))), "")
    return ""


def refused_field(body: Any, sent: Collection[str]) -> str | None:
    """The field among `sent` that the server does not take; None if its body names none.

    A server that takes a field, but not so large a value, has its own answer: see `largest`.
    """
    text = text_of(body).lower()
    named = _named(body)
    if named is None:
        found = [
            (place.start(), field)
            for name, field in [*((field, field) for field in REMEDIES), *_ALIASES.items()]
            if (place := re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)) and _is_sent(field, sent)
        ]
        named = min(found)[1] if found else None
    if named is None or not _is_sent(named, sent):
        return None
    return None if named.startswith("max_") and _TOO_MUCH.search(text) else named


def names_a_field(body: Any) -> bool:
    """Whether the body is about a field. Some gateways pass such a refusal on as a fault of their own, with 500."""
    return _ABOUT_A_FIELD.search(text_of(body).lower()) is not None or is_about_the_system_role(body)


def is_about_the_key(body: Any) -> bool:
    """Whether the server refuses the key. Some say so with 400, as Gemini does."""
    return _ABOUT_THE_KEY.search(text_of(body).lower()) is not None


def is_about_the_system_role(body: Any) -> bool:
    """Whether the server takes no system message."""
    return _ABOUT_THE_SYSTEM_ROLE.search(text_of(body).lower()) is not None


def context_limit(body: Any) -> int | None:
    """The tokens of the context window that the prompt exceeds; 0 if the body names no number, None if it fits."""
    text = text_of(body).lower()
    if _CONTEXT.search(text) is None:
        return None
    size = _CONTEXT_TOKENS.search(text)
    return int(size[1] or size[2]) if size else 0


def known_cause(body: Any) -> str:
    """The cause of a failure in hybrid's words; "" if the body names none that hybrid knows."""
    text = text_of(body).lower()
    return next((cause for pattern, cause in _CAUSES if re.search(pattern, text, re.DOTALL)), "")


def _named(body: Any) -> str | None:
    """The field that OpenAI's `param`, or the `loc` of FastAPI's validation, names."""
    if not isinstance(body, Mapping):
        return None
    names: list[Any] = [body.get("param")]
    details = body.get("detail")
    for one in details if isinstance(details, list) else ():
        place = one.get("loc") if isinstance(one, Mapping) else None
        names += place[1:2] if isinstance(place, list) else ()
    for name in names:
        if isinstance(name, str) and name:
            return _ALIASES.get(name) or _FIRST_WORD.sub("", name)
    return None


def _is_sent(field: str, sent: Collection[str]) -> bool:
    """Whether the request has `field`; the Responses API has two of them under other names."""
    other = {"response_format": "text", "reasoning_effort": "reasoning"}.get(field)
    return field in sent or other in sent


def largest(body: Any) -> int | None:
    """The most tokens that the server gives for one answer, if it refused more."""
    text = text_of(body).lower()
    if "context" in text or not re.search(r"max_\w*tokens|completion tokens|output tokens", text):
        return None
    bound = _BOUND.search(text)
    return int(bound[1]) if bound else None


def affordable(body: Any) -> int | None:
    """The tokens that the account's credit still pays for, if the server says."""
    found = _AFFORDABLE.search(text_of(body))
    return int(found[1]) if found else None


def wait_in(body: Any) -> float | None:
    """The seconds to wait that the body names; None if it names none, or a time that has passed."""
    found = _DELAY.search(text_of(body))
    if found is None:
        return None
    named = found["google"] or found["words"] or found["reset"]
    return seconds_until(re.sub(r" ?(ms|h|m|s)[a-z]*", r"\1", named.lower())) or None


def is_out_of_credit(body: Any, code: Any) -> bool:
    """Whether the server refuses because the account has no credit, which no retry mends.

    A server that names a time to wait has a rate limit, which it may call a quota, too.
    """
    return wait_in(body) is None and _NO_CREDIT.search(f"{code} {text_of(body)}".lower()) is not None
