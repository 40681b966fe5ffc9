"""Every server's answer arrives whole: a matrix of recorded shapes, each asked by the real client over loopback."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.cascade.answer import without_blank_lines
from hybrid_cli.checks.json_schema import AnswerSchema
from hybrid_cli.egress.backpressure import Backpressure
from hybrid_cli.egress.request import scanned_call
from hybrid_cli.egress.send import Handoff, Sent, send
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ledger.database import Ledger
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.prompt import Question, Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
from server_shapes import (
    ANSWER,
    SHAPES,
    Shape,
    ShapedServers,
    delta,
    message,
    openai_error,
    response,
    serving,
    sse,
    usage,
)


@pytest.fixture(scope="module")
def servers() -> Iterator[ShapedServers]:
    with serving(SHAPES) as found:
        yield found


def asked(
    home: Path,
    base_url: str,
    api: str = "chat",
    more: str = "",
    *,
    rest: str = "",
    prompt: str = "hi",
    schema: Any = None,
    stop: tuple[str, ...] = (),
    temperature: float | None = None,
    system: str | None = None,
    retries: int = 0,
) -> tuple[Sent, Environment]:
    """Send one prompt to the server at `base_url`, and return what came of it."""
    origin = "/".join(base_url.split("/")[:3])
    profile = home / "p.yaml"
    home.mkdir(exist_ok=True)
    cloud = (
        f'cloud: {{base_url: "{base_url}", model: m, api: {api}, retries: {retries}, max_tokens: 512{more}}}'
    )
    profile.write_text(f"version: 1\n{cloud}\nescalation: {{mode: force}}\n{rest}", encoding="utf-8")
    environment = Environment(
        None, None, io.StringIO(), {"HYBRID_HOME": str(home), "HYBRID_CONSENT": origin}, verbosity=1
    )
    policy = merge_policy(Flags(profile=str(profile), temperature=temperature), environment)
    request = Request(Question(prompt, ""), system, stop, None if schema is None else AnswerSchema(schema))
    try:
        sent = send(
            Handoff(request, policy, "forced", "forced"),
            environment,
            lambda _text: None,
            is_shown=False,
            stopwatch=Stopwatch(environment.clock),
            backpressure=Backpressure(),
        )
    except Failure as failure:
        failure.args = (f"{failure}\n{said(environment)}",)
        raise
    return sent, environment


def said(environment: Environment) -> str:
    return environment.stderr.getvalue()  # type: ignore[union-attr,no-any-return]


def planned(home: Path, api: str) -> dict[str, Any]:
    """The payload that `--dry-run` shows for the request of `test_every_servers_answer_arrives_whole`."""
    environment = Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(home)})
    policy = merge_policy(Flags(profile=str(home / "p.yaml"), temperature=0.5), environment)
    request = Request(Question("hi", ""), None, ("END",))
    assert policy.cloud is not None
    call, _ = scanned_call(policy.cloud, request, policy, environment, None)
    return json.loads(call.content())


@pytest.mark.parametrize("name", SHAPES)
def test_every_servers_answer_arrives_whole(servers: ShapedServers, tmp_path: Path, name: str) -> None:
    number, shape = list(SHAPES).index(name), SHAPES[name]
    url = servers.base_url(number)
    servers.received.pop(number, None)
    sent, environment = asked(tmp_path, url, shape.api, stop=("END",), temperature=0.5)
    assert without_blank_lines(sent.reply.text) == shape.text, name
    assert sent.reply.finish_reason == "stop"
    requests = servers.received[number]
    assert len(requests) == shape.requests
    assert shape.last.items() <= requests[-1].items()
    assert not set(shape.lacks) & requests[-1].keys()
    rows = [row["outcome"] for row in Ledger(tmp_path / "state").rows()]
    assert sorted(rows) == sorted(
        ["refused"] * (shape.requests - 1) + ["answered"]
    )  # a refusal costs nothing
    assert said(environment).count("; asking ") == shape.requests - 1
    # What was learnt holds for the next run, and for its plan.
    assert planned(tmp_path, shape.api) == requests[-1]
    asked(tmp_path, url, shape.api, stop=("END",), temperature=0.5)
    assert len(requests) == shape.requests + 1
    assert requests[-1] == requests[-2]


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def by_format(*refused: str, status: int, message: str) -> Shape:
    """A server that refuses these kinds of response_format."""

    def refuses(body: dict[str, Any]) -> tuple[int, Any] | None:
        kind = body.get("response_format", {}).get("type")
        return (status, {"error": {"message": message.format(kind)}}) if kind in refused else None

    return Shape(refuses, sse(delta('{"a": 1}', "stop"), {"choices": [], "usage": usage()}))


@pytest.mark.parametrize(
    ("refused", "kind"),
    [((), "json_schema"), (("json_schema",), "json_object"), (("json_schema", "json_object"), None)],
)
@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "'response_format.type' must be 'text', not '{}'"),
        (500, "1 validation error:\n  {{'loc': ('body', 'response_format', 'type'), 'input': '{}'}}"),  # llama_cpp.server
    ],
)  # fmt: skip
def test_a_schema_is_sent_as_the_server_takes_it(
    tmp_path: Path, refused: tuple[str, ...], kind: str | None, status: int, message: str
) -> None:
    with serving({"it": by_format(*refused, status=status, message=message)}) as servers:
        sent, _ = asked(tmp_path, servers.base_url(0), schema=SCHEMA)
        assert json.loads(sent.reply.text) == {"a": 1}
        *_, last = servers.received[0]
    assert last.get("response_format", {}).get("type") == kind
    told = json.dumps(SCHEMA, separators=(",", ":")) in last["messages"][-1]["content"]
    assert told == (kind != "json_schema")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "items": {"type": "integer"}}, [1, 2]),
        ({"enum": ["a", "b"]}, "a"),
        ({"type": "string"}, "text"),
        ({"anyOf": [{"type": "object"}, {"type": "null"}]}, None),
        ({"$defs": {"n": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/n"}}, [3]),
        ({"type": "array", "items": {"$ref": "#"}}, [[], [[]]]),
    ],
)
@pytest.mark.parametrize("is_wrapped", [True, False])
def test_a_schema_of_no_object_is_wrapped_for_the_wire(
    tmp_path: Path, schema: Any, value: Any, is_wrapped: bool
) -> None:
    text = json.dumps({"answer": value} if is_wrapped else value)
    with serving({"it": Shape(answers=sse(delta(text, "stop")))}) as servers:
        sent, _ = asked(tmp_path, servers.base_url(0), schema=schema)
        (request,) = servers.received[0]
    assert AnswerSchema(schema).problem(sent.reply.text) is None
    assert json.loads(sent.reply.text) == value
    on_the_wire = request["response_format"]["json_schema"]["schema"]
    assert on_the_wire["type"] == "object"
    assert AnswerSchema(on_the_wire).problem(json.dumps({"answer": value})) is None  # its references hold


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "system role not supported"),
        (400, "System role is not supported by this model"),
        (422, "'messages[0].role': developer messages are not supported"),
        (400, "Developer instruction is not enabled for models/gemma-3-4b-it"),
        (400, "This model does not support system messages."),
        (400, "Invalid role: system"),
        (500, "Value is not callable: Conversation roles must alternate user/assistant/user/assistant/..."),
    ],
)
def test_a_server_without_system_messages_gets_their_text_in_the_first_prompt(
    tmp_path: Path, status: int, message: str
) -> None:
    def refuses(body: dict[str, Any]) -> tuple[int, Any] | None:
        has_system = any(one["role"] == "system" for one in body["messages"])
        return (status, {"error": {"message": message}}) if has_system else None

    with serving({"it": Shape(refuses)}) as servers:
        for requests in (2, 3):  # the second run has learnt it
            sent, _ = asked(tmp_path, servers.base_url(0), system="Be brief.")
            assert without_blank_lines(sent.reply.text) == ANSWER
            assert len(servers.received[0]) == requests
            assert servers.received[0][-1]["messages"] == [{"role": "user", "content": "Be brief.\n\nhi"}]


def test_a_redacted_prompt_keeps_its_notice_without_system_messages(tmp_path: Path) -> None:
    def refuses(body: dict[str, Any]) -> tuple[int, Any] | None:
        has_system = any(one["role"] == "system" for one in body["messages"])
        return (400, {"error": {"message": "system role not supported"}}) if has_system else None

    with serving({"it": Shape(refuses)}) as servers:
        asked(
            tmp_path,
            servers.base_url(0),
            prompt="Write to a@example.org.",
            rest="privacy: {redact: [email]}\n",
        )
        (message,) = servers.received[0][-1]["messages"]
    assert re.fullmatch(
        r"Tokens of the form .*\n\nWrite to \[\[EMAIL_1_\w+\]\]\.", message["content"], re.DOTALL
    )


LEAKED = "sk-proj-0a1B2c3D4e5F6g7H8i9J"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("The flux capacitor is offline.", "The flux capacitor is offline."),
        ("\x1b[31mno\n::error::x", "[31mno ::error::x"),
        ("Invalid prompt: the horse hunter2, ok", "Invalid prompt: the \u2026 \u2026, ok"),
        ("bad input xHUNTER2x", "bad input \u2026"),
        ("pin 42", "pin \u2026"),
        ("key ending 4e5F6g7H is wrong", "key ending \u2026 is wrong"),
        (f"bad key {LEAKED}", None),
        ("bad " + "bXkgcGFzc3dvcmQgaXMgaHVudGVyMg" * 2, "bad \u2026"),
        ("you said h u n t e r 2", None),
        ("word and " * 90, "word and " * 22 + "w\u2026"),
    ],
)
def test_verbose_shows_the_servers_message_without_the_prompt_and_keys(
    tmp_path: Path, message: str, shown: str | None
) -> None:
    prompt = "Say: the horse hunter2 has number 42"
    for body in ({"error": {"message": message}}, {"error": message}, {"detail": [{"msg": message}]}):
        shape = Shape(lambda _body, body=body: (418, body))
        with serving({"it": shape}) as servers, pytest.raises(Failure) as failure:
            key = tmp_path / "key"
            key.write_text(LEAKED)
            key.chmod(0o600)
            asked(tmp_path, servers.base_url(0), more=f", key: {{file: {key}}}", prompt=prompt)
        told = str(failure.value)
        if shown is None:
            assert "\nhybrid: the server's message may hold a secret; it is not shown\n" in told
        else:
            assert f"\nhybrid: the server says: {shown.strip()}\n" in told
        for part in ("hunter2", LEAKED, "4e5F", "\x1b"):
            assert part.lower() not in told.lower().replace("h u n t e r 2", "hunter2")


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, openai_error("This model's maximum context length is 8192 tokens. However you requested 9000 tokens", None, "context_length_exceeded"), "400 (context_length_exceeded); the prompt does not fit the context window of 8192 tokens of `m`; shorten it, or lower cloud.max_tokens"),
        (400, {"error": {"code": 400, "message": "the request exceeds the available context size. try increasing the context size", "type": "exceed_context_size_error"}}, "does not fit the context window of `m`"),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}}, "does not fit the context window of 200000 tokens"),
        (400, [{"error": {"message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}}], "does not fit the context window of 1048576 tokens"),
        (200, {"error": "model not loaded"}, "reported an error in its stream; the server has not loaded the model"),
        (200, {"error": {"message": "model `m` not found, try pulling it first"}}, "the server does not have the model"),
        (503, {"error": {"message": "Loading model", "code": 503}}, "is failing: 503; the server has not loaded the model"),
        (500, {"error": "CUDA error: out of memory"}, "is failing: 500; the server has too little memory"),
    ],
)  # fmt: skip
def test_a_cause_that_a_body_names_is_told_in_plain_words(
    tmp_path: Path, status: int, body: Any, told: str
) -> None:
    shape = Shape(lambda _body: (status, body))
    with serving({"it": shape}) as servers, pytest.raises(Failure, match=re.escape(told)):
        asked(tmp_path, servers.base_url(0))


WHOLE = sse(delta("half of"), end=False)


@pytest.mark.parametrize(
    ("shape", "status", "told", "text"),
    [
        pytest.param(Shape(answers=WHOLE), ExitStatus.CLOUD, "the stream was cut", "half of", id="no end"),
        pytest.param(Shape(answers=sse(delta("half of"))), ExitStatus.CLOUD, "the stream was cut", "half of", id="an end without usage"),
        pytest.param(Shape(answers=WHOLE + sse({"choices": [], "usage": usage()}, end=False)), ExitStatus.CLOUD, "the stream was cut", "half of", id="usage without an end"),
        pytest.param(Shape(answers=WHOLE + b"data: {broken\n\n"), ExitStatus.CLOUD, "cannot be read", "half of", id="a broken chunk"),
        pytest.param(Shape(answers=WHOLE + sse({"error": {"message": "no", "code": "overloaded"}})), ExitStatus.CLOUD, "reported an error in its stream (overloaded)", "half of", id="an error"),
        pytest.param(Shape(answers=json.dumps({"error": {"message": "no", "code": "busy"}}).encode(), content_type="application/json"), ExitStatus.CLOUD, "reported an error in its stream (busy)", "", id="an error in a whole body"),
        pytest.param(Shape(answers=sse(delta("half of", "MAX_TOKENS"))), ExitStatus.CHECK, "was cut", "half of", id="Gemini's limit"),
        pytest.param(Shape(answers=sse(delta("half of", "model_length"))), ExitStatus.CHECK, "was cut", "half of", id="Mistral's limit"),
        pytest.param(Shape(answers=sse(delta("half of", "SAFETY"))), ExitStatus.CHECK, "content filter", "half of", id="Gemini's filter"),
        pytest.param(Shape(answers=sse(delta("half of", "model_context_window_exceeded"))), ExitStatus.CHECK, "was cut", "half of", id="Z.AI's limit"),
        pytest.param(Shape(answers=sse(delta("half of", "sensitive"))), ExitStatus.CHECK, "content filter", "half of", id="Z.AI's filter"),
        pytest.param(Shape(answers=sse(delta("half of"), {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "no"}}]})), ExitStatus.CLOUD, "reported an error in its stream (502)", "half of", id="OpenRouter's failing model"),
        pytest.param(Shape(answers=json.dumps(message("half of", "error")).encode(), content_type="application/json"), ExitStatus.CLOUD, "reported an error in its stream (error)", "half of", id="a failing model behind a gateway"),
        pytest.param(Shape(answers=sse(delta("half of", "insufficient_system_resource"))), ExitStatus.CLOUD, "(insufficient_system_resource)", "half of", id="DeepSeek without resources"),
        pytest.param(Shape(answers=sse(delta("half of", "tool_calls"))), ExitStatus.CHECK, "it ended with `tool_calls`", "half of", id="a tool call"),
        pytest.param(Shape(answers=sse(delta(None, refusal="I cannot "), delta(None, "stop", refusal="help."))), ExitStatus.CHECK, "the cloud model refused: I cannot help.", "", id="a refusal"),
        pytest.param(Shape(answers=json.dumps(message(None, refusal="No.")).encode(), content_type="application/json"), ExitStatus.CHECK, "the cloud model refused: No.", "", id="a refusal sent whole"),
        pytest.param(Shape(answers=sse({"type": "response.refusal.delta", "delta": "No."}, {"type": "response.completed", "response": {"usage": {}}}), api="responses"), ExitStatus.CHECK, "the cloud model refused: No.", "", id="a refusal of Responses"),
        pytest.param(Shape(answers=sse({"type": "response.incomplete", "response": {**response("half of"), "incomplete_details": {"reason": "max_output_tokens"}}}), api="responses"), ExitStatus.CHECK, "was cut", "half of", id="a limit of Responses"),
        pytest.param(Shape(answers=sse({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "no"}}}), api="responses"), ExitStatus.CLOUD, "reported an error in its stream (server_error)", "", id="a failure of Responses"),
        pytest.param(Shape(answers=sse(delta("<think>never ends", "stop"))), ExitStatus.CHECK, "is empty", "", id="only thinking"),
        pytest.param(Shape(answers=b"<html>Sign in</html>", content_type="text/html"), ExitStatus.CLOUD, "answered with text/html", "", id="a login page"),
        pytest.param(Shape(answers=b"", content_type="application/json"), ExitStatus.CLOUD, "sent no answer", "", id="nothing"),
        pytest.param(Shape(answers=b"", content_type="text/event-stream"), ExitStatus.CLOUD, "sent no answer", "", id="a stream of nothing"),
        pytest.param(Shape(answers=sse()), ExitStatus.CLOUD, "sent no answer", "", id="only an end"),
        pytest.param(Shape(answers=json.dumps({"choices": [], "usage": usage()}).encode(), content_type="application/json"), ExitStatus.CLOUD, "sent no answer", "", id="no choice"),
        pytest.param(Shape(answers=gzip.compress(sse(delta("whole", "stop")))), ExitStatus.CLOUD, "answered with compressed data that is not named so", "", id="unnamed compression"),
        pytest.param(Shape(answers=sse(delta("half of"), {**delta(), "x_groq": {"error": "over capacity"}})), ExitStatus.CLOUD, "an error in its stream; the server is overloaded", "half of", id="Groq's error"),
        pytest.param(Shape(answers=sse(delta("", reasoning="Rain."), delta("", "stop"))), ExitStatus.CHECK, "is empty: it sent only its thinking", "", id="only thinking, in a field of its own"),
    ],
)  # fmt: skip
def test_text_that_may_be_cut_is_named_and_kept(
    tmp_path: Path, shape: Shape, status: ExitStatus, told: str, text: str
) -> None:
    with serving({"it": shape}) as servers, pytest.raises(Failure) as failure:
        asked(tmp_path, servers.base_url(0), shape.api)
    assert failure.value.status is status
    assert told in str(failure.value)
    assert (f"\nhybrid:   {text}\n" in str(failure.value)) == bool(text)


@pytest.mark.parametrize(
    ("events", "tokens"),
    [
        ([delta("x", "stop"), {"choices": [], "usage": {"prompt_tokens": 9.0, "completion_tokens": 7.2}}], (9, 8)),
        ([delta("x", "stop"), {"choices": [], "usage": {"prompt_tokens": "9", "completion_tokens": "8"}}], (9, 8)),
        ([{"choices": [{**delta("x", "stop")["choices"][0], "usage": usage()}]}], (9, 8)),
        ([{**delta("x"), "usage": {"total_tokens": 0}}, {**delta(finish="stop"), "usage": usage()}], (9, 8)),
        ([{**delta("x"), "usage": usage()}, {**delta(finish="stop"), "usage": usage(0, 0)}], (9, 8)),
        ([{**delta("x", "stop"), "usage": usage()}, {"choices": [], "usage": {"prompt_tokens": None}}], (9, 8)),
        ([{**delta("x"), "usage": usage(9, 1)}, {**delta("y", "stop"), "usage": usage()}], (9, 8)),
        ([{**delta("x", "stop"), "usage": {"prompt_tokens": True, "completion_tokens": "-8"}}], (None, None)),
        ([{**delta("x", "stop"), "usage": {"prompt_tokens": float("nan"), "completion_tokens": 1e300}}], (None, None)),
    ],
)  # fmt: skip
def test_tokens_are_counted_however_a_server_writes_them(
    tmp_path: Path, events: list[Any], tokens: tuple[int | None, int | None]
) -> None:
    with serving({"it": Shape(answers=sse(*events))}) as servers:
        sent, _ = asked(tmp_path, servers.base_url(0))
    assert (sent.reply.tokens_in, sent.reply.tokens_out) == tokens


@pytest.mark.parametrize(
    ("code", "begins", "requests"),
    [(429, False, 2), (502, False, 2), (529, False, 2), (502, True, 1), (400, False, 1), ("429", False, 1)],
)
def test_an_error_before_the_answer_is_passing_if_its_code_is(
    tmp_path: Path, code: int | str, begins: bool, requests: int
) -> None:
    error = {
        "error": {"message": "Provider returned error", "code": code, "metadata": {"retryDelay": "0.1s"}}
    }
    events = [delta("half of"), error] if begins else [error]
    with (
        serving({"it": Shape(answers=sse(*events))}) as servers,
        pytest.raises(Failure, match=f"\\({code}\\)"),
    ):
        asked(tmp_path, servers.base_url(0), retries=2)
    assert len(servers.received[0]) == requests  # an answer that was begun is asked for once more at most


@pytest.mark.parametrize(
    ("status", "body", "code", "told"),
    [
        (402, {"error": {"message": "You requested up to 8192 tokens, but can only afford 321."}}, ExitStatus.LIMIT, "it pays for 321 tokens; use --max-tokens 321, or add credit"),
        (402, {"error": {"message": "Insufficient Balance"}}, ExitStatus.LIMIT, "add credit there"),
        (429, {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}}, ExitStatus.LIMIT, "(insufficient_quota); add credit there"),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."}}, ExitStatus.LIMIT, "add credit there"),
        (429, {"error": {"code": 429, "message": "You exceeded your current quota. Please retry in 90.5s.", "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "90s"}]}}, ExitStatus.CLOUD, "limits the rate: 429; it asks to wait 90 s"),
        (500, {"detail": "boom: temperature of the core"}, ExitStatus.CLOUD, "is failing: 500"),
        (404, {"detail": "Not Found"}, ExitStatus.FAILURE, "is `m` one of its models?"),
        (400, openai_error("max_tokens: the context length is 4096 tokens, exceeded by 20", "max_tokens"), ExitStatus.FAILURE, "refused the request: 400"),
        (400, openai_error("Invalid value for messages", "messages"), ExitStatus.FAILURE, "refused the request: 400"),
        (401, {"error": {"message": "no stream for you"}}, ExitStatus.KEY, "refused the key"),
        (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}}], ExitStatus.KEY, "refused the key: 400; set cloud.key"),
        (400, [{"error": {"code": 400, "message": "API key expired. Please renew the API key.", "status": "INVALID_ARGUMENT"}}], ExitStatus.KEY, "refused the key: 400"),
        (400, {"error": {"message": "No connected db.", "type": "no_db_connection", "param": None, "code": "400"}}, ExitStatus.KEY, "refused the key: 400"),
        (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: x***y."}, ExitStatus.KEY, "refused the key: 400"),
        (400, openai_error("Invalid value for the property `invalid_key`", "messages"), ExitStatus.FAILURE, "refused the request: 400"),
    ],
)  # fmt: skip
def test_a_refusal_that_no_other_request_mends_is_sent_once(
    tmp_path: Path, status: int, body: Any, code: ExitStatus, told: str
) -> None:
    with serving({"it": Shape(lambda _body: (status, body))}) as servers:
        with pytest.raises(Failure) as failure:
            asked(tmp_path, servers.base_url(0))
        assert len(servers.received[0]) == 1
    assert failure.value.status is code
    assert told in str(failure.value)


def test_a_server_without_the_responses_api_is_told_from_a_wrong_model(tmp_path: Path) -> None:
    with serving({"it": Shape(lambda _body: (404, {"detail": "Not Found"}))}) as servers:
        for api, told in (
            ("responses", "is `m` one of its models, and does it have the Responses API (cloud.api)?"),
            ("chat", "is `m` one of its models?"),
        ):
            with pytest.raises(Failure, match=re.escape(told)):
                asked(tmp_path, servers.base_url(0), api)
