"""Answers that fit a JSON Schema: the real model under its grammar, the cloud validated, bad schemas refused."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.checks.json_schema import checked_schema, read_schema
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.grammar import grammar_of
from hybrid_process import Hybrid
from scripted_cloud import Reply, ScriptedCloud

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "maximum": 120}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ASK = "Describe a person called Ann who is 30 years old, as JSON."


def test_a_local_answer_fits_the_schema(hybrid: Hybrid, tmp_path: Path) -> None:
    file = tmp_path / "person.json"
    file.write_text(json.dumps(PERSON))
    done = hybrid("run", "-p", "offline", "--schema", file, "--stream", ASK)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout).keys() == {"name", "age"}


def test_a_profiles_schema_holds_too(hybrid: Hybrid, profile: Any, tmp_path: Path) -> None:
    (tmp_path / "colour.json").write_text('{"enum": ["red", "blue"]}')
    path = profile("escalation: {mode: forbid}\nchecks: {schema: colour.json}\n")
    assert json.loads(hybrid("run", "-p", path, "Name a colour.").stdout) in ("red", "blue")


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"enum": ["a\nb"]}, r'"a\nb"', '"ab"'),
        ({"const": "a\\b"}, r'"a\\b"', r'"a\b"'),
        ({"type": "object", "properties": {'a"b': {"const": 1}}, "required": ['a"b']}, r'{"a\"b": 1}', "{}"),
        ({"type": "string", "pattern": r"^[0-9]+\.[0-9]+$"}, '"12.5"', '"12x5"'),
        ({"type": "string", "pattern": r"^\d{3}-[\w.-]+$"}, '"555-a.b"', '"555-!"'),
        ({"type": "string", "pattern": "^a.c$"}, '"abc"', '"a"c"'),
        ({"type": "string", "pattern": "^[^x]{2}$"}, '"ab"', '"xb"'),
        ({"type": "string", "pattern": r'^a\\b"c$'}, r'"a\\b\"c"', '"ab"'),
        ({"type": "string", "minLength": 3, "maxLength": 1_000_000}, '"abc"', '"ab"'),
        ({"type": "array", "items": {"const": 1}, "maxItems": 100_000}, "[1, 1]", "[2]"),
        ({"type": "string"}, r'"a\nb"', '"a\nb"'),
        ({"type": "string", "minLength": 2}, r'"a\tb"', '"a\tb"'),
        ({"enum": ["日本語", "😀\n", "\ud800"]}, '"日本語"', '"日本"'),
        ({"enum": ["日本語", "😀\n", "\ud800"]}, r'"😀\n"', r'"\ud83d\ude00\n"'),
        ({"enum": ["日本語", "😀\n", "\ud800"]}, r'"\ud800"', '"\ufffd"'),
        ({"const": "\\u00e9"}, r'"\\u00e9"', '"é"'),
        (
            {"type": "object", "properties": {"größe": {"const": 1}}, "required": ["größe"]},
            '{"größe": 1}',
            "{}",
        ),
    ],
)
def test_a_grammar_takes_what_the_schema_means(
    model_file: Path, schema: dict[str, Any], right: str, wrong: str
) -> None:
    """By llama.cpp's own sampler, token after token."""
    assert accepts(model_file, schema, right)
    assert not accepts(model_file, schema, wrong)


def accepts(model_file: Path, schema: dict[str, Any], text: str) -> bool:
    import ctypes

    from hybrid_cli.local.bindings import llama_cpp
    from hybrid_cli.local.grammar import grammar_of

    model = loaded(model_file)
    grammar = llama_cpp.llama_sampler_init_grammar(
        model.vocab, grammar_of(json.dumps(schema)).encode(), b"root"
    )
    assert grammar, "llama.cpp cannot read it"
    try:
        for token in [*model._encode(text, add_special=False, parse_special=False), model.ends_of_answer[0]]:
            candidate = (llama_cpp.llama_token_data * 1)(llama_cpp.llama_token_data(token, 1.0, 0.0))
            array = llama_cpp.llama_token_data_array(candidate, 1, -1, False)
            llama_cpp.llama_sampler_apply(grammar, ctypes.byref(array))
            if candidate[0].logit == -float("inf"):
                return False
            llama_cpp.llama_sampler_accept(grammar, token)
    finally:
        llama_cpp.llama_sampler_free(grammar)
    return True


@cache
def loaded(model_file: Path) -> Any:
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.model import Model

    loader = Loader()
    loader.load(str(model_file))
    model = Model(loader.handle)
    model.loader = loader  # type: ignore[attr-defined]  # kept, as llama.cpp's log calls into it
    return model


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "object",
            "properties": {"value": {"enum": [1, 2]}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
            "required": ["value", "next"],
        },
        {
            "$defs": {
                "node": {
                    "type": "object",
                    "properties": {
                        "value": {"enum": [1, 2]},
                        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                    },
                    "required": ["value", "next"],
                }
            },
            "$ref": "#/$defs/node",
        },
    ],
    ids=["to the whole", "to a definition"],
)
def test_a_schema_may_refer_to_itself(hybrid: Hybrid, schema: dict[str, Any]) -> None:
    done = hybrid(
        "run", "-p", "offline", "--schema", json.dumps(schema), "--max-tokens", "48", "A list of one number."
    )
    assert done.returncode in (0, 7), done.stderr
    if done.returncode == 7:  # a small model may never come to the end of its list
        assert b"length" in done.stderr or b"truncated" in done.stderr or b"repeats itself" in done.stderr, (
            done.stderr
        )
    else:
        assert json.loads(done.stdout)["value"] in (1, 2)


def test_what_no_grammar_can_say_is_validated_afterwards(hybrid: Hybrid) -> None:
    schema = '{"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 2, "uniqueItems": true}'
    done = hybrid("run", "-p", "offline", "--schema", schema, "Count.")
    assert (done.returncode, done.stdout) == (7, b"")
    assert b"does not match the schema: `uniqueItems` at $" in done.stderr


def test_a_failing_answer_is_handed_off_and_the_clouds_is_validated(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Any
) -> None:
    path = profile(f"{cloud.section()}escalation: {{mode: auto}}\n")
    schema = '{"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 2, "uniqueItems": true}'
    arguments = ("run", "-p", path, "--schema", schema, "--json", "Count.")
    forced = (*arguments, "--escalation", "force")
    cloud.replies = [Reply(pieces=("[1, ", "true]")), Reply(pieces=("[1,", " 1]")), Reply(pieces=("no",))]
    done = hybrid(*arguments, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, b"the cloud's answer does not match" in done.stderr) == (7, True)
    done = hybrid(*forced, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, b"`uniqueItems`" in done.stderr) == (7, True)
    done = hybrid(*forced, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (7, b"")
    assert b"the cloud's answer is not JSON" in done.stderr
    cloud.replies = [Reply(pieces=('{"name": "Ann", ', '"age": 3}'))]
    done = hybrid(
        "run",
        "-p",
        path,
        "--escalation",
        "force",
        "--schema",
        json.dumps(PERSON),
        "--stream",
        ASK,
        HYBRID_CONSENT=cloud.origin,
    )
    assert json.loads(done.stdout) == {"name": "Ann", "age": 3}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (
            '{"type": "object", "properties": {"a": {"pattern": "(?=x)", "type": "string"}}}',
            "cannot become a grammar",
        ),
        ('{"$ref": "#/$defs/none"}', "refers to #/$defs/none, which it does not contain"),
        ('{"$ref": "#"}', "cannot read"),
        ('{"const": NaN}', "is not JSON"),
        ('{"const": 1e400}', "too large"),
        ("", "must not be empty"),
        ('{"type": "objec"}', "is not a JSON Schema"),
        ('{"$ref": "https://example.com/s.json"}', "refers to https://example.com/s.json"),
        ('{"type": ', "is not JSON"),
        ("none.json", "cannot be read"),
        ("/dev/zero", "over 256 kB"),
    ],
)
def test_a_bad_schema_is_refused_clearly(hybrid: Hybrid, schema: str, told: str) -> None:
    done = hybrid("run", "-p", "offline", "--schema", schema, "hi")
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert told in line


def test_schemas_and_problems_in_words(tmp_path: Path) -> None:
    schema = read_schema(json.dumps(PERSON))
    assert schema.problem('{"name": "Ann", "age": 30}') is None
    assert schema.problem('{"name": "Ann"}') == "does not match the schema: `required` at $"
    assert (
        schema.problem('{"name": "secret words", "age": 999}')
        == "does not match the schema: `maximum` at $.age"
    )
    assert schema.problem("secret words") == "is not JSON"
    assert schema.problem("[" * 100_000) == "is not JSON"
    deep = tmp_path / "deep.json"
    deep.write_text('{"not": ' * 20_000 + "{}" + "}" * 20_000)
    marked = tmp_path / "marked.json"
    marked.write_bytes(b"\xef\xbb\xbf" + json.dumps(PERSON).encode())
    assert read_schema(str(marked)).data == PERSON
    with pytest.raises(Failure, match="refers to itself endlessly"):
        read_schema('{"$ref": "#/$defs/n", "$defs": {"n": {"allOf": [{"$ref": "#/$defs/n"}]}}}').problem("1")
    for bad in (str(deep), str(tmp_path), "[1]"):
        with pytest.raises(Failure) as raised:
            read_schema(bad)
        assert raised.value.status is ExitStatus.USAGE


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "integer", "minimum": 5, "maximum": 3}, "`minimum` is above `maximum`"),
        ({"type": "string", "minLength": 9, "maxLength": 2}, "`minLength` is above `maxLength`"),
        ({"type": "string", "enum": [1, 2]}, "no value of `enum`"),
        ({"enum": []}, "no value of `enum`"),
        ({"const": "a", "type": "integer"}, "no value of `const`"),
        ({"type": "object", "required": ["z"], "additionalProperties": False}, "it requires `z`"),
        (
            {"type": "object", "required": ["a"], "properties": {"a": {"type": "array", "minItems": 2, "maxItems": 1}}},
            "`minItems` is above `maxItems`",
        ),
        (True, "it must be an object"),
    ],
)  # fmt: skip
def test_a_schema_that_nothing_fits_is_refused_before_it_is_paid_for(
    hybrid: Hybrid, schema: Any, told: str
) -> None:
    done = hybrid("run", "-p", "offline", "--schema", json.dumps(schema), "hi")
    assert (done.returncode, done.stdout) == (2, b"")
    assert told in done.stderr.decode()


def test_bounds_of_other_types_and_references_are_no_contradiction() -> None:
    for schema in (
        {"minimum": 5, "maximum": 3},  # a text fits
        {"enum": ["a" * 40 + "!"], "pattern": "^(a+)+$"},  # trying it would take years
        {"enum": [1], "$ref": "#/$defs/n", "$defs": {"n": {"type": "string"}}},  # not seen at a glance
        {"type": "object", "properties": {"a": {"type": "string", "enum": [1]}}},  # it may be left out
        {"type": "object", "required": ["a"], "additionalProperties": False, "patternProperties": {"a": {}}},
    ):
        assert read_schema(json.dumps(schema)).data == schema


@pytest.mark.parametrize(
    ("schema", "answer"),
    [({}, "1e999"), ({"type": "array"}, "[1, -2e999]"), ({"multipleOf": 0.5}, str(10**400))],
)
def test_a_number_beyond_all_others_is_a_problem_and_no_crash(schema: Any, answer: str) -> None:
    assert checked_schema(schema, "").problem(answer) == "contains a number that is too large"


def test_a_schema_may_hold_numbers_beyond_all_others() -> None:
    schema = checked_schema({"enum": [10**400], "multipleOf": 0.5}, "the schema")
    assert schema.problem("1") == "does not match the schema: `enum` at $"


def test_messages_of_what_is_no_schema_are_short() -> None:
    for given, told in (
        ("[" * 100_000, "deep"),
        ("x" * 10_000, "cannot be read"),
        ('{"const": ' + "9" * 5000 + "}", "too large"),
    ):
        with pytest.raises(Failure, match=told) as raised:
            read_schema(given)
        assert len(str(raised.value)) < 200
    with pytest.raises(Failure, match="enum has 6000 values"):
        grammar_of(json.dumps({"enum": list(range(6000))}))


def test_a_handoff_takes_schema_and_stop_along(hybrid: Hybrid, cloud: ScriptedCloud, profile: Any) -> None:
    cloud.replies = [Reply(pieces=('{"name": "Ann", "age": 3}',))]
    force = "escalation: {mode: force}\n"
    chat = profile(cloud.section() + force)
    options = ("--schema", json.dumps(PERSON), "--stop", "\n\n")
    consent = {"HYBRID_CONSENT": cloud.origin}
    assert hybrid("run", "-p", chat, *options, ASK, **consent).returncode == 0
    sent = cloud.received[-1].body
    named = {"name": "answer", "schema": PERSON}
    assert sent["response_format"] == {"type": "json_schema", "json_schema": named}
    assert sent["stop"] == ["\n\n"]
    plan = hybrid("run", "-p", chat, "--dry-run", "--json", *options, ASK, **consent)
    assert json.loads(json.loads(plan.stdout)["payload"]) == sent
    hybrid("run", "-p", chat, "--schema", '{"enum": [1]}', ASK, **consent)  # clouds take objects only
    wrapped = cloud.received[-1].body["response_format"]["json_schema"]["schema"]
    assert wrapped["properties"] == {"answer": {"enum": [1]}}
    responses = profile(cloud.section(", api: responses") + force, "responses.yaml")
    hybrid("run", "-p", responses, *options, ASK, **consent)
    sent = cloud.received[-1].body
    assert sent["text"]["format"] == {"type": "json_schema", **named}
    assert "stop" not in sent


def test_schema_and_stop_are_scanned_before_they_leave(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Any
) -> None:
    cloud.replies = [Reply(pieces=('{"name": "Ann", "age": 3}',))]
    path = profile(cloud.section() + "escalation: {mode: force}\nprivacy: {redact: [email]}\n")
    consent = {"HYBRID_CONSENT": cloud.origin}
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    for option, text in (("--stop", token), ("--schema", json.dumps({**PERSON, "title": token}))):
        done = hybrid("run", "-p", path, option, text, ASK, **consent)
        assert (done.returncode, option in done.stderr.decode()) == (3, True), done.stderr
    assert cloud.received == []
    private = json.dumps({**PERSON, "title": "of ann@example.com"})
    assert hybrid("run", "-p", path, "--schema", private, ASK, **consent).returncode == 0
    hybrid("run", "-p", path, "--schema", json.dumps(PERSON), f"{ASK} ann@example.com", **consent)
    assert len(cloud.received) == 2
    assert all("response_format" not in received.body for received in cloud.received)


def test_a_cloud_that_refuses_the_schema_says_so_clearly(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Any
) -> None:
    cloud.replies = [Reply(status=400)]
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    done = hybrid("run", "-p", path, "--schema", json.dumps(PERSON), ASK, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (1, b"")
    assert (
        b"400 (scripted); is `scripted` one of its models, and does it take this JSON Schema?" in done.stderr
    )
