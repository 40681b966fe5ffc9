"""OpenAI's request bodies: what hybrid takes from them, and what it must refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union

import msgspec

from hybrid_cli.checks.json_schema import AnswerSchema, checked_schema
from hybrid_cli.exit_status import Failure
from hybrid_cli.prompt import NamedText, Question, Turn
from hybrid_cli.serve.asked import Asked, RequestFlags
from hybrid_cli.serve.faults import HttpFault, invalid

Tokens = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
Temperature = Annotated[float, msgspec.Meta(ge=0, le=5)]
TopLogprobs = Annotated[int, msgspec.Meta(ge=0, le=20)]
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class Part(msgspec.Struct):
    """A part of a message's content. Only text can be answered."""

    type: str
    text: str = ""


Content = Union[str, list[Part], None]  # noqa: UP007  no | before 3.11


class Message(msgspec.Struct):
    """A message of Chat Completions, or an input item of Responses."""

    role: Role = "user"
    content: Content = None
    type: str = "message"
    tool_calls: Any = None


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class Own(msgspec.Struct, forbid_unknown_fields=True):
    """The field `hybrid` of a request, which may only tighten."""

    escalation: Literal["forbid", "ask"] | None = None
    tags: list[str] = []


class _Body(msgspec.Struct, kw_only=True):
    """The fields of both endpoints. Unknown ones are ignored."""

    model: str
    stream: bool = False
    temperature: Temperature | None = None
    hybrid: Own | None = None
    tools: Any = None
    store: Any = None


class ChatBody(_Body, kw_only=True):
    messages: list[Message]
    stream_options: StreamOptions | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stop: Union[str, list[str], None] = None  # noqa: UP007
    seed: int | None = None
    response_format: dict[str, Any] | None = None
    n: int | None = None
    functions: Any = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    logit_bias: Any = None
    audio: Any = None


class ResponsesBody(_Body, kw_only=True):
    input: Union[str, list[Message]]  # noqa: UP007
    instructions: str | None = None
    max_output_tokens: Tokens | None = None
    text: dict[str, Any] | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    background: Any = None
    include: list[str] | None = None
    top_logprobs: TopLogprobs | None = None


_LOGPROBS = "message.output_text.logprobs"
"""How `include` of Responses asks for log-probabilities."""
_REFUSED = {
    "tools": "hybrid serve calls no tools of a client",
    "functions": "hybrid serve calls no tools of a client",
    "logit_bias": "hybrid serve does not change the logits",
    "audio": "hybrid serve answers with text only",
    "store": "hybrid serve stores no responses; leave it out",
    "previous_response_id": "hybrid serve stores no responses; send the earlier turns as `input`",
    "conversation": "hybrid serve stores no conversations; send the earlier turns as `input`",
    "background": "hybrid serve answers at once",
}
"""Fields that change what an answer is, so that ignoring them would mislead."""


def read_chat(data: bytes, profiles: dict[str, str | None]) -> tuple[Asked, ChatBody]:
    """Return the request in a body of Chat Completions. Raises HttpFault."""
    body = _decoded(data, ChatBody)
    if body.n not in (None, 1):
        raise invalid("n must be 1: hybrid gives one answer", "n")
    system, history, prompt = _conversation(body.messages, "messages")
    limit = body.max_completion_tokens or body.max_tokens
    stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
    if not all(stop):
        raise invalid("stop must not be empty", "stop")
    if body.top_logprobs is not None and not body.logprobs:
        raise invalid("top_logprobs needs logprobs: true", "top_logprobs")
    return Asked(
        _flags(body, profiles, limit, None if body.seed is None else body.seed & 0xFFFFFFFF),
        prompt,
        _joined(system),
        system,
        history,
        tuple(stop),
        _schema(body.response_format, "response_format", nested="json_schema"),
        checks_cut=False,
        top_logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        tags=tuple(body.hybrid.tags) if body.hybrid else (),
        streams=body.stream,
    ), body


def read_responses(data: bytes, profiles: dict[str, str | None]) -> tuple[Asked, ResponsesBody]:
    """Return the request in a body of Responses. Raises HttpFault."""
    body = _decoded(data, ResponsesBody)
    messages = [Message("user", body.input)] if isinstance(body.input, str) else body.input
    system, history, prompt = _conversation(messages, "input", body.instructions)
    return Asked(
        _flags(body, profiles, body.max_output_tokens, None),
        prompt,
        _joined(system),
        system,
        history,
        schema=_schema((body.text or {}).get("format"), "text.format", nested=None),
        checks_cut=False,
        top_logprobs=(body.top_logprobs or 0) if _LOGPROBS in (body.include or ()) else None,
        tags=tuple(body.hybrid.tags) if body.hybrid else (),
        streams=body.stream,
    ), body


def _decoded(data: bytes, kind: type[Any]) -> Any:
    try:
        body = msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        param = place.rstrip("`") or None
        raise invalid(f"{param}: {message}" if param else message, param) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"the body is not JSON: {error}") from None
    for name, why in _REFUSED.items():
        if getattr(body, name, None):
            raise invalid(f"{name}: {why}", name)
    return body


def _flags(
    body: _Body, profiles: dict[str, str | None], max_tokens: int | None, seed: int | None
) -> RequestFlags:
    """Return the policy options. Raises HttpFault if no profile has the model's name."""
    if body.model not in profiles:
        raise HttpFault(
            404,
            "invalid_request_error",
            "model_not_found",
            f"no model `{body.model[:80]}`; each profile is a model: {', '.join(profiles)}",
            "model",
            {"x-should-retry": "false"},
        )
    return RequestFlags(
        profile=profiles[body.model],
        escalation=body.hybrid.escalation if body.hybrid else None,
        max_tokens=max_tokens,
        temperature=body.temperature,
        seed=seed,
    )


def _conversation(
    messages: Sequence[Message], name: str, instructions: str | None = None
) -> tuple[tuple[NamedText, ...], tuple[Turn, ...], Question]:
    """Return the parts of the system message, which begins with `instructions`, the earlier turns and the prompt.

    Raises HttpFault.
    """
    system: list[NamedText] = [("the instructions", instructions)] if instructions else []
    turns: list[Turn] = []
    for number, message in enumerate(messages, 1):
        where = f"{name}[{number - 1}]"
        if message.type != "message" or message.role in ("tool", "function") or message.tool_calls:
            raise invalid(f"{where}: hybrid serve takes no tool calls and no other items than messages", name)
        text = _text(message.content, where, name)
        if message.role in ("system", "developer"):
            system.append((f"message {number} (a system message)", text))
        elif turns and turns[-1].role == message.role:  # chat templates want the roles in turn
            before = turns[-1]
            numbers, texts = (*before.numbers, number), (*before.texts, text)
            turns[-1] = Turn(before.role, "\n\n".join(texts), numbers=numbers, texts=texts)
        else:
            role: Literal["user", "assistant"] = "user" if message.role == "user" else "assistant"
            turns.append(Turn(role, text, numbers=(number,), texts=(text,)))
    if not turns or turns[-1].role != "user" or not turns[-1].content.strip():
        raise invalid(f"{name}: the last message must be the user's, with text", name)
    last = turns[-1]
    joined = last.parts_as("a part of the prompt") if len(last.texts) > 1 else []
    return tuple(system), tuple(turns[:-1]), Question(last.content, "", joined=tuple(joined))


def _joined(parts: Sequence[NamedText]) -> str | None:
    return "\n\n".join(text for _name, text in parts) or None


_TEXT_PARTS = ("text", "input_text", "output_text")


def _text(content: Content, where: str, name: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    for part in content:
        if part.type not in _TEXT_PARTS:
            raise invalid(
                f"{where}: a part of type `{part.type[:40]}`, but hybrid serve takes text only", name
            )
    return "".join(part.text for part in content)


def _schema(form: Any, name: str, nested: str | None) -> AnswerSchema | None:
    """Return the schema of a `response_format`. Raises HttpFault."""
    if form is None:
        return None
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return AnswerSchema({"type": "object"})
    if kind != "json_schema":
        raise invalid(f"{name}.type must be text, json_object or json_schema", name)
    holder = form if nested is None else form.get(nested)
    try:
        return checked_schema(holder.get("schema") if isinstance(holder, dict) else None, name)
    except Failure as failure:
        raise invalid(str(failure), name) from None
