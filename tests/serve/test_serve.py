"""`hybrid serve` and real clients: the openai SDK, curl, and raw sockets."""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
import socket
import statistics
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import openai
import pydantic
import pytest

from hybrid_cli.serve.faults import HTTP
from hybrid_process import environment
from scripted_cloud import Reply
from secret_samples import mixed
from served_hybrid import Served

TOKEN = f"ghp_{mixed(random.Random(1), 36)}"
COLOUR = [{"role": "user", "content": "Name a colour."}]
STORY = [{"role": "user", "content": "Tell a long story about a fox."}]


def own(answer: Any) -> dict[str, Any]:
    """hybrid's own answer object in an answer of the SDK."""
    found: dict[str, Any] = answer.model_extra["hybrid"]
    return found


# ---- answers ------------------------------------------------------------------------------------------------


def test_the_answer_is_the_one_that_run_gives(served: Served, command: str) -> None:
    raw = served.client().chat.completions.with_raw_response.create(
        model="hybrid/offline", messages=COLOUR, max_tokens=12
    )
    answer = raw.parse()
    run = [
        command,
        "run",
        "-p",
        "offline",
        "--max-tokens",
        "12",
        "--allow-truncated",
        "--json",
        "Name a colour.",
    ]
    done = subprocess.run(run, env=environment(served.home), capture_output=True, check=True, timeout=60)
    expected = json.loads(done.stdout)
    assert answer.choices[0].message.content == expected["answer"] == own(answer)["answer"]
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == expected["usage"]["local"]["in"]
    assert answer.usage.completion_tokens == expected["usage"]["local"]["out"]
    assert expected["timings"]["load"] == 0, "run uses the server's model"
    assert own(answer).keys() == expected.keys()
    assert raw.headers["x-hybrid-answered-by"] == "local"
    assert raw.headers["x-hybrid-reason"] == "forbidden"
    assert raw.headers["x-hybrid-cost-usd"] == "0"


def test_an_unsure_answer_is_handed_off(served: Served) -> None:
    raw = served.client().chat.completions.with_raw_response.create(model="hybrid/unsure", messages=COLOUR)
    answer = raw.parse()
    assert answer.choices[0].message.content == "The cloud says hello."
    assert own(answer)["handoff"]["decision"] == "escalated"
    assert own(answer)["handoff"]["reason"] == "unsure"
    assert answer.model == "scripted"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 10
    assert raw.headers["x-hybrid-answered-by"] == "cloud"
    assert float(raw.headers["x-hybrid-cost-usd"]) == own(answer)["cost_usd"] > 0
    assert [one.body["messages"][-1]["content"] for one in served.cloud.received] == ["Name a colour."]


@pytest.mark.parametrize("model", ["hybrid/guarded", "hybrid/offline"])
def test_a_profile_that_forbids_sends_nothing(served: Served, model: str) -> None:
    assert (
        own(served.client().chat.completions.create(model=model, messages=COLOUR))["answered_by"] == "local"
    )
    assert served.cloud.received == []


def test_a_request_may_tighten_and_never_loosen(served: Served) -> None:
    client = served.client()
    kept = client.chat.completions.create(
        model="hybrid/unsure", messages=COLOUR, max_tokens=12, extra_body={"hybrid": {"escalation": "forbid"}}
    )
    assert own(kept)["policy"]["decided_by"] == "the request's hybrid.escalation"
    with pytest.raises(openai.PermissionDeniedError, match="rule 1 of profile `tagged`"):
        client.chat.completions.create(
            model="hybrid/tagged", messages=COLOUR, extra_body={"hybrid": {"tags": ["private"]}}
        )
    for loose in ("auto", "force"):
        for model in ("hybrid/offline", "hybrid/unsure"):
            with pytest.raises(openai.BadRequestError, match=r"hybrid\.escalation"):
                client.chat.completions.create(
                    model=model, messages=COLOUR, extra_body={"hybrid": {"escalation": loose}}
                )
    assert served.cloud.received == []


def test_asking_denies_because_nobody_is_there(served: Served) -> None:
    with pytest.raises(openai.PermissionDeniedError):
        served.client().chat.completions.create(model="hybrid/asks", messages=COLOUR)
    with pytest.raises(openai.PermissionDeniedError):
        served.client().chat.completions.create(
            model="hybrid/always", messages=COLOUR, extra_body={"hybrid": {"escalation": "ask"}}
        )
    assert served.cloud.received == []


def test_earlier_turns_reach_the_model_and_the_rules(served: Served) -> None:
    conversation = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "My key is sk-proj-Zx81Lq0vTn5Rk2Yw7Bd4Hc9Mf3Ja6Ps1Ue8Gi5"},
        {"role": "assistant", "content": [{"type": "text", "text": "Noted."}]},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "now?"}]},
    ]
    client = served.client()
    with pytest.raises(
        openai.PermissionDeniedError, match=r"line 1 of message 2 \(an earlier prompt\) looks like"
    ):
        client.chat.completions.create(model="hybrid/always", messages=conversation)
    joined = [conversation[0], {"role": "user", "content": "Hi,\n\nyou."}, *conversation[1:]]
    with pytest.raises(
        openai.PermissionDeniedError, match=r"line 1 of message 3 \(an earlier prompt\) looks"
    ):
        client.chat.completions.create(model="hybrid/always", messages=joined)
    parts = [
        {"role": "system", "content": "Be brief.\nAnd kind."},
        {"role": "developer", "content": f"It is\n{TOKEN}"},
        {"role": "user", "content": "Look at this:\n"},
        {"role": "user", "content": f"a\nb\nThe key is {TOKEN}, is it?"},
        {"role": "user", "content": "Well?"},
    ]
    places = r"line 2 of message 2 \(a system message\) looks .* line 3 of message 4 \(a part of the prompt\) looks"
    with pytest.raises(openai.PermissionDeniedError, match=places):
        client.chat.completions.create(model="hybrid/always", messages=parts)
    with pytest.raises(openai.PermissionDeniedError, match=r"line 1 of the instructions looks"):
        client.responses.create(model="hybrid/always", instructions=TOKEN, input="Hi")
    with pytest.raises(
        openai.PermissionDeniedError, match=r"line 1 of message 1 \(an earlier prompt\) looks like"
    ):
        client.responses.create(model="hybrid/always", instructions="Be brief.", input=conversation[1:])
    with pytest.raises(openai.BadRequestError, match=r"input\[0\]: a part of type `input_image`"):
        image = {"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}
        client.responses.create(model="hybrid/always", instructions="Be brief.", input=[image])
    assert served.cloud.received == []
    conversation[1]["content"] = "My name is Ada."
    served.client().chat.completions.create(model="hybrid/always", messages=conversation)
    assert served.cloud.received[0].body["messages"] == [
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Noted."},
        {"role": "user", "content": "And now?"},
    ]


def test_a_schema_holds(served: Served) -> None:
    schema = {"type": "object", "properties": {"cold": {"type": "boolean"}}, "required": ["cold"]}
    form = {"type": "json_schema", "json_schema": {"name": "ice", "schema": schema}}
    question = [{"role": "user", "content": "Is ice cold?"}]
    answer = served.client().chat.completions.create(
        model="hybrid/offline", messages=question, response_format=form
    )
    assert isinstance(json.loads(answer.choices[0].message.content or "")["cold"], bool)
    answer = served.client().responses.create(
        model="hybrid/offline",
        input="Is ice cold?",
        text={"format": {"type": "json_schema", "name": "ice", "schema": schema}},
    )
    assert isinstance(json.loads(answer.output_text)["cold"], bool)


class Animals(pydantic.BaseModel):
    names: list[str]


def test_an_answer_cut_by_the_clients_limit_is_delivered_as_cut(served: Served) -> None:
    """The SDK's own parser expects that, and raises an error of its own."""
    asked = {"messages": STORY, "max_tokens": 5, "response_format": Animals}
    with pytest.raises(openai.LengthFinishReasonError) as caught:
        served.client().chat.completions.parse(model="hybrid/offline", **asked)
    assert caught.value.completion.choices[0].message.content
    served.cloud.replies = [Reply(pieces=('{"names": [',), finish_reason="length")]
    with pytest.raises(openai.LengthFinishReasonError) as caught:
        served.client().chat.completions.parse(model="hybrid/always", **asked)
    assert caught.value.completion.choices[0].message.content == '{"names": ['
    # The schema of a profile is its owner's condition, which a client cannot lift.
    served.cloud.replies = [Reply(pieces=('{"names": [',), finish_reason="length")]
    with pytest.raises(openai.UnprocessableEntityError):
        served.client().chat.completions.create(model="hybrid/shaped", messages=STORY, max_tokens=5)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("schema", [None, {"type": "object", "properties": {"a": {"type": "string"}}}])
def test_the_tokens_of_a_local_answer_have_logprobs(
    served: Served, schema: dict[str, Any] | None, *, stream: bool
) -> None:
    client = served.client().chat.completions
    asked: dict[str, Any] = {"messages": COLOUR, "max_tokens": 12, "logprobs": True, "top_logprobs": 3}
    if schema is not None:
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        asked["response_format"] = form
    if stream:
        chunks = list(client.create(model="hybrid/offline", **asked, stream=True))
        (choice,) = [chunk.choices[0] for chunk in chunks if chunk.choices[0].delta.content]
        text, logprobs = choice.delta.content, choice.logprobs
    else:
        choice = client.create(model="hybrid/offline", **asked).choices[0]
        text, logprobs = choice.message.content, choice.logprobs
    assert logprobs is not None
    tokens = logprobs.content
    assert b"".join(bytes(one.bytes) for one in tokens).decode() == text != ""
    assert len(tokens) > 3
    for one in tokens:
        assert -200 < one.logprob <= 0
        likeliest = [other.logprob for other in one.top_logprobs]
        assert len(likeliest) == 3
        assert likeliest == sorted(likeliest, reverse=True)
        assert sum(map(math.exp, likeliest)) <= 1 + 1e-6
        if schema is None:  # greedily the likeliest token is taken
            assert one.logprob == likeliest[0]


def test_logprobs_are_those_that_the_gate_sees_and_only_a_local_answers(served: Served) -> None:
    client = served.client()
    answer = client.chat.completions.create(
        model="hybrid/sure", messages=COLOUR, max_tokens=12, logprobs=True
    )
    choice = answer.choices[0]
    assert choice.logprobs is not None
    logprobs = [one.logprob for one in choice.logprobs.content]
    assert own(answer)["handoff"]["signals"]["mean_logprob"] == pytest.approx(statistics.fmean(logprobs))
    assert [one.top_logprobs for one in choice.logprobs.content] == [[]] * len(logprobs)
    plain = client.chat.completions.create(model="hybrid/sure", messages=COLOUR, max_tokens=12)
    assert plain.choices[0].logprobs is None
    assert plain.choices[0].message.content == choice.message.content
    cloud = client.chat.completions.create(model="hybrid/always", messages=COLOUR, logprobs=True)
    assert cloud.choices[0].logprobs is None
    response = client.responses.create(
        model="hybrid/sure",
        input="Name a colour.",
        max_output_tokens=12,
        include=["message.output_text.logprobs"],
    )
    (part,) = response.output[0].content
    assert [one.logprob for one in part.logprobs] == logprobs


def test_sampling_is_the_clients(served: Served) -> None:
    def answer(**settings: Any) -> str:
        done = served.client().chat.completions.create(
            model="hybrid/offline", messages=STORY, max_completion_tokens=24, **settings
        )
        return str(done.choices[0].message.content)

    assert answer(temperature=1.5, seed=3) == answer(temperature=1.5, seed=3)
    assert answer(temperature=1.5, seed=3) != answer(temperature=1.5, seed=4)
    whole = answer()
    word = whole.split()[3]
    assert word not in answer(stop=[word])


def test_responses_answer_whole(served: Served) -> None:
    client = served.client()
    answer = client.responses.create(model="hybrid/always", instructions="Be brief.", input=COLOUR)  # type: ignore[arg-type]
    assert answer.output_text == "The cloud says hello."
    assert own(answer)["answered_by"] == "cloud"
    assert [message["role"] for message in served.cloud.received[0].body["messages"]] == ["system", "user"]
    cut = client.responses.create(model="hybrid/offline", input="Tell a story.", max_output_tokens=16)
    assert cut.status == "incomplete"
    assert cut.usage is not None
    assert cut.usage.output_tokens == 16


def test_each_profile_is_a_model(served: Served) -> None:
    client = served.client()
    names = [model.id for model in client.models.list()]
    assert {"hybrid", "hybrid/offline", "hybrid/default", "hybrid/unsure"} <= set(names)
    assert client.models.retrieve("hybrid/offline").id == "hybrid/offline"
    for name in ("gpt-4o", "hybrid/none", "hybrid/../../x", "hybrid/./offline.yaml", "", "hybrid/\0"):
        with pytest.raises(openai.NotFoundError, match="each profile is a model: hybrid, "):
            client.chat.completions.create(model=name, messages=COLOUR)


def test_a_profile_is_read_again_when_it_changes(served: Served) -> None:
    path = served.home / "config" / "profiles" / "changing.yaml"
    text = (path.parent / "always.yaml").read_text("utf-8")
    path.write_text(text, "utf-8")
    client = served.client()
    assert (
        own(client.chat.completions.create(model="hybrid/changing", messages=COLOUR))["answered_by"]
        == "cloud"
    )
    path.write_text(text.replace("force", "forbid"), "utf-8")
    answer = client.chat.completions.create(model="hybrid/changing", messages=COLOUR, max_tokens=4)
    assert own(answer)["answered_by"] == "local"
    path.write_text("version: 1\nno: sense\n", "utf-8")
    with pytest.raises(openai.BadRequestError, match="no: unknown key"):
        client.chat.completions.create(model="hybrid/changing", messages=COLOUR)
    path.unlink()


# ---- faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"n": 2}, "n"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}, *COLOUR]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"logprobs": 3}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"store": True}, "store"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"stop": [""]}, "stop"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": 3}}}, "response_format"),
        ({"hybrid": {"escalation": "never"}}, "hybrid.escalation"),
        ({"hybrid": {"profile": "cloud"}}, "hybrid"),
    ],
)  # fmt: skip
def test_a_request_that_is_not_understood_is_named(
    served: Served, change: dict[str, Any], param: str
) -> None:
    body = {"model": "hybrid/always", "messages": COLOUR, **change}
    with pytest.raises(openai.BadRequestError) as caught:
        served.client().post("/chat/completions", body=body, cast_to=object)
    assert caught.value.param == param
    assert served.cloud.received == []


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"\xff\xfe", b'{"model": "\\ud800"}', b"[" * 100_000])
def test_a_body_that_is_no_request_is_refused(served: Served, body: bytes) -> None:
    headers = {"authorization": f"Bearer {served.token}"}
    done = httpx2.post(f"{served.origin}/v1/chat/completions", content=body, headers=headers)
    assert done.status_code == 400
    assert done.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("model", "reply", "kind", "code", "status"),
    [
        ("stranger", Reply(), openai.PermissionDeniedError, "denied", 403),
        ("always", Reply(status=401), openai.InternalServerError, "key", 502),
        ("always", Reply(status=500), openai.InternalServerError, "cloud", 502),
        ("always", Reply(fault="cut"), openai.InternalServerError, "cloud", 502),
        ("always", Reply(finish_reason="length"), openai.UnprocessableEntityError, "check", 422),
        ("checked", Reply(), openai.UnprocessableEntityError, "check", 422),
        ("short", Reply(fault="hang"), openai.InternalServerError, "deadline", 504),
    ],
)
def test_each_failure_has_its_status(
    served: Served, model: str, reply: Reply, kind: type[openai.APIStatusError], code: str, status: int
) -> None:
    served.cloud.replies = [reply]
    with pytest.raises(kind) as caught:
        served.client(max_retries=2).chat.completions.create(model=f"hybrid/{model}", messages=COLOUR)
    assert caught.value.code == code
    assert caught.value.status_code == status
    has_begun = reply.fault == "cut" or reply.finish_reason == "length"  # then the status was sent already
    with pytest.raises(openai.APIError if has_begun else kind) as caught_in_stream:
        list(
            served.client(max_retries=2).chat.completions.create(
                model=f"hybrid/{model}", messages=COLOUR, stream=True
            )
        )
    assert caught_in_stream.value.code == code
    expected = 3 if reply.finish_reason == "length" else 2  # hybrid itself asks once for a longer answer
    assert len(served.cloud.received) <= expected, "a client that tries again would pay again"
    served.cloud.released.set()
    served.until_idle()
    served.cloud.released.clear()


def test_a_spent_budget_says_when_to_come_back(served: Served) -> None:
    client = served.client()
    client.chat.completions.create(model="hybrid/poor", messages=COLOUR)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="hybrid/poor", messages=COLOUR)
    assert caught.value.type == "insufficient_quota"
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 86_400
    assert len(served.cloud.received) == 1


def test_missing_weights_are_unavailable(served: Served) -> None:
    path = served.home / "config" / "profiles" / "empty.yaml"
    path.write_text("version: 1\nlocal: {model: qwen2.5-coder-1.5b}\nescalation: {mode: forbid}\n", "utf-8")
    with pytest.raises(openai.InternalServerError) as caught:
        served.client().chat.completions.create(model="hybrid/empty", messages=COLOUR)
    path.unlink()
    assert (caught.value.status_code, caught.value.code) == (503, "weights")


def test_the_table_of_statuses_is_the_codes() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "serve.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*) \| ([\d, ]+) \|$", page, re.MULTILINE)
    documented = {
        (int(exit_code), int(status), code)
        for status, codes, exit_codes in rows
        for exit_code, code in zip(exit_codes.split(", "), re.findall(r"`(\w+)`", codes), strict=False)
    }
    assert documented == {
        *((status.value, http, status.name.lower()) for status, (http, _) in HTTP.items()),
        (1, 500, "failure"),
    }


def test_metrics_count_what_was_decided(served: Served) -> None:
    def page() -> dict[str, float]:
        text = httpx2.get(
            f"{served.origin}/metrics", headers={"authorization": f"Bearer {served.token}"}
        ).text
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    before = page()
    served.client().chat.completions.create(model="hybrid/always", messages=COLOUR)
    with pytest.raises(openai.PermissionDeniedError):
        served.client().chat.completions.create(model="hybrid/asks", messages=COLOUR)
    with pytest.raises(
        openai.UnprocessableEntityError
    ):  # the cloud's answer fails its check, and was paid for
        served.client().chat.completions.create(model="hybrid/checked", messages=COLOUR)
    after = page()
    grown = {
        name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)
    }
    assert grown.pop('hybrid_requests_total{decision="escalated",reason="forced"}') == 1
    assert grown.pop('hybrid_failures_total{code="denied"}') == 1
    assert grown.pop('hybrid_failures_total{code="check"}') == 1
    assert grown.pop('hybrid_tokens_total{side="cloud",direction="in"}') == 7
    assert grown.pop('hybrid_tokens_total{side="cloud",direction="out"}') == 3
    assert grown.pop("hybrid_cost_usd_total") == pytest.approx(20e-6)
    assert grown.pop("hybrid_first_token_seconds_count") == 1
    assert all(name.startswith("hybrid_first_token_seconds") for name in grown)


# ---- access -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/chat/completions", "/v1/responses", "/metrics", "/nothing"]
)
@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer x", "Bearer é", "Bearer {token}x", "Basic {token}", "{token}"]
)
def test_only_the_token_opens(served: Served, path: str, given: str) -> None:
    headers = [(b"authorization", given.format(token=served.token).encode())]
    for method in ("GET", "POST"):
        done = httpx2.request(method, f"{served.origin}{path}", headers=headers)
        assert done.status_code == 401
        assert done.json()["error"]["code"] == "invalid_api_key"
    assert httpx2.get(f"{served.origin}{path}").status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8484", "localhost.evil.example", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_was_bound_again_is_refused(served: Served, host: str) -> None:
    for path in ("/v1/models", "/health"):
        headers = {"authorization": f"Bearer {served.token}", "host": host}
        assert httpx2.get(f"{served.origin}{path}", headers=headers).status_code == 403


def test_health_needs_no_token_and_tells_nothing(served: Served) -> None:
    assert httpx2.get(f"{served.origin}/health").json() == {"status": "ok"}


def test_browsers_are_refused_unless_their_origin_is_allowed(served: Served) -> None:
    headers = {"origin": "https://app.example", "access-control-request-method": "POST"}
    done = httpx2.options(f"{served.origin}/v1/chat/completions", headers=headers)
    assert done.status_code == 401
    assert not [name for name in done.headers if name.startswith("access-control")]


def test_a_body_that_is_too_long_is_refused(served: Served) -> None:
    headers = {"authorization": f"Bearer {served.token}"}
    try:
        done = httpx2.post(
            f"{served.origin}/v1/responses", content=b" " * 33_000_000, headers=headers, timeout=30
        )
    except httpx2.TransportError:
        return  # refused before all of it was sent
    assert done.status_code == 413


def test_a_body_that_is_announced_as_too_long_is_not_read(served: Served) -> None:
    """The client waits for `100 Continue`, as curl does, and sends nothing of it."""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {served.token}\r\n"
        "Content-Length: 32000001\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as door:
        door.sendall(head.encode())
        reply = b"".join(iter(lambda: door.recv(65536), b"")).decode()
    assert reply.startswith("HTTP/1.1 413 ")
    assert json.loads(reply.partition("\r\n\r\n")[2])["error"]["code"] == "too_large"


def test_curl_is_a_client(served: Served) -> None:
    body = json.dumps({"model": "hybrid/always", "messages": COLOUR, "stream": True})
    done = subprocess.run(
        ["curl", "-sSN", "-H", f"Authorization: Bearer {served.token}", "-d", body, f"{served.origin}/v1/chat/completions"],
        capture_output=True,
        check=True,
        timeout=30,
    )  # fmt: skip
    events = done.stdout.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert json.loads(events[-3].removeprefix("data: "))["hybrid"]["answer"] == "The cloud says hello."


# ---- streams ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["offline", "sure", "unsure", "always"])
def test_a_stream_gives_the_same_answer(served: Served, model: str) -> None:
    stream = served.client().chat.completions.create(
        model=f"hybrid/{model}",
        messages=COLOUR,
        max_tokens=24,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    last = chunks[-1]
    assert text == own(last)["answer"] != ""
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens > 0
    assert chunks[-2].choices[0].finish_reason in ("stop", "length")
    assert bool(served.cloud.received) == (model in ("unsure", "always"))


def test_a_stream_has_no_tag_of_thinking_that_began_without_one(served: Served) -> None:
    served.cloud.replies = [Reply(pieces=("It rains", ".\n</th", "ink>\n\nTake an", " umbrella", " <"))]
    stream = served.client().chat.completions.create(model="hybrid/always", messages=COLOUR, stream=True)
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "It rains.\n\nTake an umbrella <"
    assert own(chunks[-1])["answer"] == "Take an umbrella <"


def test_a_decided_answer_comes_in_pieces_and_a_doubtful_one_at_once(served: Served) -> None:
    def pieces(model: str) -> int:
        stream = served.client().chat.completions.create(
            model=model, messages=STORY, max_tokens=60, stream=True
        )
        return sum(bool(chunk.choices[0].delta.content) for chunk in stream)

    assert pieces("hybrid/offline") > 3
    assert pieces("hybrid/sure") == 1  # until it is decided, the cloud's answer could take its place
    assert pieces("hybrid/always") == 3


def test_responses_stream(served: Served) -> None:
    with served.client().responses.stream(
        model="hybrid/offline", input="Name a colour.", max_output_tokens=24
    ) as stream:
        kinds = [event.type for event in stream]
        whole = stream.get_final_response() if "response.completed" in kinds else None
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert "response.output_text.delta" in kinds
    assert kinds[-1] in ("response.completed", "response.incomplete")
    assert whole is None or whole.output_text


def test_the_async_client_answers_side_by_side(served: Served) -> None:
    async def ask(client: openai.AsyncOpenAI, word: str) -> str:
        done = await client.chat.completions.create(
            model="hybrid/offline",
            messages=[{"role": "user", "content": "Which?"}],
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": [word]}}},
        )
        return str(done.choices[0].message.content)

    async def main() -> list[str]:
        async with openai.AsyncOpenAI(**served.settings()) as client:
            return list(await asyncio.gather(*(ask(client, f"word{number}") for number in range(12))))

    assert asyncio.run(main()) == [f'"word{number}"' for number in range(12)]


def test_a_client_that_leaves_frees_its_place(served: Served) -> None:
    endless = {"model": "hybrid/offline", "messages": STORY, "max_tokens": 4000, "temperature": 2.0}
    stream = served.client().chat.completions.create(**endless, stream=True)
    next(iter(stream))
    assert served.metric("hybrid_requests_in_flight") == 1
    stream.close()
    served.until_idle(5)
    with pytest.raises(openai.APITimeoutError):
        served.client(timeout=0.7).chat.completions.create(**endless)
    served.until_idle(5)


def test_a_client_that_leaves_ends_the_clouds_stream(served: Served) -> None:
    served.cloud.replies = [Reply(pieces=tuple(f" {number}" for number in range(50_000)))]
    stream = served.client().chat.completions.create(model="hybrid/always", messages=COLOUR, stream=True)
    next(iter(stream))
    stream.close()
    served.until_idle(10)


# ---- many, slow and broken connections ----------------------------------------------------------------------


def test_two_hundred_connections(served: Served) -> None:
    async def main() -> list[int]:
        headers = {"authorization": f"Bearer {served.token}"}
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(limits=limits, timeout=150, headers=headers) as http:
            body = {"model": "hybrid/offline", "messages": COLOUR, "max_tokens": 1}
            asked = [http.post(f"{served.origin}/v1/chat/completions", json=body) for _ in range(200)]
            return [one.status_code for one in await asyncio.gather(*asked)]

    assert asyncio.run(main()) == [200] * 200


def test_a_full_queue_is_told(command: str, served: Served) -> None:
    """With one place, its queue holds sixteen; whoever comes later is sent away, and the others are answered."""
    from served_hybrid import serving

    with serving(command, served.home, served.cloud, "--parallel", "1") as narrow:

        async def main() -> list[int]:
            headers = {"authorization": f"Bearer {narrow.token}"}
            limits = httpx2.Limits(max_connections=None)
            async with httpx2.AsyncClient(limits=limits, timeout=60, headers=headers) as http:
                body = {"model": "hybrid/offline", "messages": COLOUR, "max_tokens": 2}
                asked = [http.post(f"{narrow.origin}/v1/chat/completions", json=body) for _ in range(30)]
                return [one.status_code for one in await asyncio.gather(*asked)]

        found = asyncio.run(main())
    assert set(found) == {200, 429}
    assert found.count(200) >= 17


def test_slow_readers_and_half_open_sockets_stop_nobody(served: Served) -> None:
    body = json.dumps({"model": "hybrid/offline", "messages": STORY, "max_tokens": 200, "stream": True})
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {served.token}\r\n"
    )
    whole = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    doors = []
    for sent in [whole] * 10 + [whole[:40]] * 10 + [whole[:-5]] * 5 + [b""] * 10 + [b"\0\xff\r\n\r\n"] * 5:
        door = socket.create_connection(("127.0.0.1", served.port))
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        door.sendall(sent)
        doors.append(door)
    answer = served.client().chat.completions.create(model="hybrid/offline", messages=COLOUR, max_tokens=4)
    assert answer.choices
    for door in doors:
        door.close()
    served.until_idle(40)
