"""All that a request holds was scanned, in the form in which it is sent, for the keys of all clouds, too."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.checks.json_schema import AnswerSchema
from hybrid_cli.cloud.dialects import Dialect
from hybrid_cli.egress.request import scanned_call
from hybrid_cli.exit_status import Failure
from hybrid_cli.privacy import screen
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.prompt import Question, Request
from hybrid_cli.ui.environment import Environment
from hybrid_process import Hybrid
from scripted_cloud import Reply, ScriptedCloud

Profile = Callable[..., Path]
SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "title": "naïve — パス", "properties": {"a/b": {"const": 'x"y'}}},
    {"type": "array", "$id": "urn:mine", "items": {"enum": ["ß", "a\nb"]}},
    {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
]  # fmt: skip
FORMS = ("json_schema", "json_object", "prompt")


def call_of(home: Path, request: Request, api: str = "chat") -> Any:
    path = home / "p.yaml"
    path.write_text(f"version: 1\ncloud: {{base_url: 'http://127.0.0.1:9/v1', model: m, api: {api}}}\n")
    environment = Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(home)})
    policy = merge_policy(Flags(profile=str(path)), environment)
    assert policy.cloud is not None
    return scanned_call(policy.cloud, request, policy, environment, None)[0]


def parts(body: dict[str, Any]) -> list[str]:
    """What the user has a part in, in the request's body: messages, stop strings and the schema."""
    formats = [body.get("response_format", {}).get("json_schema"), body.get("text", {}).get("format")]
    schemas = [one["schema"] for one in formats if one and "schema" in one]
    texts = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in schemas]
    for message in body.get("messages") or body["input"]:
        texts += message["content"].split("\nAnswer only with JSON that matches this JSON Schema: ")
    return [*texts, *body.get("stop", [])]


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_what_is_scanned_is_what_is_sent(api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned: list[str] = []
    found = screen.find
    monkeypatch.setattr(screen, "find", lambda text, *rest: scanned.append(text) or found(text, *rest))
    question, form = Question("What?", "a file"), "Answer with one of: yes, nö."
    tool = Request(question, "Be brief.", tools=("web_search",), tool_argument="the news")
    requests = [
        Request(question, "Sei kurz.", ("Ende", "\t"), AnswerSchema(one), form=form) for one in SCHEMAS
    ]
    for request, schema_form in itertools.product([*requests, tool], FORMS):
        scanned.clear()
        call = call_of(tmp_path, request, api)
        body = replace(call, dialect=Dialect(schema_form=schema_form)).body()  # type: ignore[arg-type]
        sent = parts(body)
        assert len(sent) >= (1 if request is tool else 3)
        for text in sent:
            assert text in scanned, (schema_form, request.schema)


@pytest.mark.parametrize("kind", ["object", "array"])
@pytest.mark.parametrize("secret", ["пароль: Xk92mQ7pLz4t", "the pässword is hunter", "ghp_" + "c4N4rY" * 6])
def test_a_secret_in_a_schema_is_found_as_it_is_sent(kind: str, secret: str, tmp_path: Path) -> None:
    schema = AnswerSchema({"type": kind, "description": secret})
    request = Request(Question("hi", ""), None, schema=schema)
    if "hunter" in secret:
        assert call_of(tmp_path, request).schema == schema.data
        return
    with pytest.raises(Failure, match="line 1 of --schema looks like") as raised:
        call_of(tmp_path, request)
    assert str(raised.value).count("--schema") == 1


def test_no_cloud_sees_the_key_of_another(hybrid: Hybrid, profile: Profile, tmp_path: Path) -> None:
    """By a variable, a file (also one that others can read), or a command that has run."""
    keys = {name: f"{name}-plain-words" for name in ("variable", "private", "public", "command")}
    for name, mode in (("private", 0o600), ("public", 0o644)):
        (tmp_path / name).write_text(f'"{keys[name]}"\n')
        (tmp_path / name).chmod(mode)
    sources = {
        "command": f"{{command: [echo, {keys['command']}]}}",
        "variable": "{env: CANARY}",
        "private": f"{{file: {tmp_path / 'private'}}}",
        "public": f"{{file: {tmp_path / 'public'}}}",
    }
    prompt = " and ".join(keys.values())
    with ScriptedCloud() as first, ScriptedCloud() as last:
        first.replies = [Reply(status=503)]
        others = ", ".join(
            f"{{base_url: '{last.origin}/v1', model: {name}, key: {sources[name]}}}"
            for name in ("public", "private", "variable")
        )
        path = profile(
            first.section(f", retries: 0, key: {sources['command']}, fallbacks: [{others}]")
            + "escalation: {mode: force}\nprivacy: {on_secret: redact}\n"
        )
        consent = f"{first.origin},{last.origin}"
        done = hybrid("run", "-p", path, prompt, HYBRID_CONSENT=consent, CANARY=keys["variable"])
        contents = [one.content.decode() for one in [*first.received, *last.received]]
    assert len(contents) >= 1, done.stderr
    for content in contents:
        assert not [key for key in keys.values() if key in content]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("name,password", "ann,%s"),
        ("name;api_token", "ann;%s"),
        ("| name | password |", "| ann | %s |"),
        ("user\tsecret", "ann\t%s"),
    ],
)
def test_a_line_below_a_header_is_scanned_as_its_row(
    header: str, row: str, hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    """`hybrid pipe` sends lines one by one, and only the first one says which column holds secrets."""
    secrets = ["Xk92mQ7pLz4t", "b7Tq1ZxW83nd"]
    text = "\n".join([header, *(row % secret for secret in secrets), "no row"]).encode()
    for policy, sent, code in (("forbid", 2, 3), ("redact", 4, 0)):
        cloud.received.clear()
        path = profile(f"{cloud.section()}escalation: {{mode: force}}\nprivacy: {{on_secret: {policy}}}\n")
        done = hybrid("pipe", "-p", path, "--each", "line", "Who?", stdin=text, HYBRID_CONSENT=cloud.origin)
        assert done.returncode == code, done.stderr
        contents = [request.body["messages"][-1]["content"] for request in cloud.received]
        assert len(contents) == sent
        assert not any(secret in content for secret in secrets for content in contents), contents
        assert not any(header in content and "ann" in content for content in contents)


def test_a_secret_of_one_record_does_not_leave_with_a_later_one(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    plain = ["plain"] * 60  # more than are handed off side by side
    lines = ["db_password=Xk92mQ7pLz4t", *plain, "retrying with Xk92mQ7pLz4t", "base64 WGs5Mm1RN3BMejR0"]
    for policy, sent in (("forbid", 60), ("redact", 63)):
        cloud.received.clear()
        path = profile(f"{cloud.section()}escalation: {{mode: force}}\nprivacy: {{on_secret: {policy}}}\n")
        arguments = ("pipe", "-p", path, "--each", "line", "Why?")
        done = hybrid(*arguments, stdin="\n".join(lines).encode(), HYBRID_CONSENT=cloud.origin)
        contents = [request.body["messages"][-1]["content"] for request in cloud.received]
        assert not any(one in content for one in ("Xk92", "WGs5") for content in contents), (done, contents)
        assert len(contents) == sent
