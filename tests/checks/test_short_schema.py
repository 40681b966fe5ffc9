"""The short form of `--schema`, and what it is told apart from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hybrid_cli.checks.json_schema import read_schema
from hybrid_cli.checks.short_schema import EXAMPLE
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_process import Hybrid


def test_fields_become_a_schema() -> None:
    schema = read_schema("name, age int , tags [str], grid [[number]], wet bool, note?, größe int?").data
    text, number = {"type": "string"}, {"type": "integer"}
    assert schema["properties"] == {
        "name": text,
        "age": number,
        "tags": {"type": "array", "items": text},
        "grid": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "wet": {"type": "boolean"},
        "note": text,
        "größe": number,
    }
    assert schema["required"] == ["name", "age", "tags", "grid", "wet"]
    assert schema["additionalProperties"] is False
    assert read_schema("name str").data["required"] == ["name"]
    assert read_schema("name?").data["required"] == []


def test_answers_are_checked_by_it() -> None:
    schema = read_schema(EXAMPLE)
    assert schema.problem('{"name": "Anna", "age": 41, "tags": []}') is None
    assert schema.problem('{"name": "Anna", "age": 41, "tags": ["a"], "note": "b"}') is None
    for wrong in ('{"name": "Anna", "tags": []}', '{"name": "Anna", "age": "41", "tags": []}', "[]"):
        assert schema.problem(wrong) is not None
    assert schema.problem('{"name": "Anna", "age": 41, "tags": [], "more": 1}') is not None


@pytest.mark.parametrize(
    "given",
    ["name,", ", name", "name, age integer", "name, name", "name, 2nd", "tags [str", "tags []", "a str int",
     "a [str]]", "name: str, age: int", "name str = 4, b", "a ?? b, c", f"deep {'[' * 9}str{']' * 9}, b"],
)  # fmt: skip
def test_a_mistake_shows_the_right_form(given: str) -> None:
    with pytest.raises(Failure) as failure:
        read_schema(given)
    assert failure.value.status is ExitStatus.USAGE
    assert str(failure.value).endswith(f"; the form is: {EXAMPLE}")


def test_a_files_name_is_a_files_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my schema.json", "my schema, old", "word"):
        Path(name).write_text('{"type": "integer"}')
        if name != "my schema, old":
            assert read_schema(name).data == {"type": "integer"}
    assert read_schema("./my schema, old").data == {"type": "integer"}
    Path("name, age").write_text("{}")
    with pytest.raises(Failure, match=r"is a file, and a schema; for the file write \./name, age"):
        read_schema("name, age")
    for given, hint in (
        ("name", "; for a field of that name, write: --schema 'name str'"),
        ("größe", "; for a field of that name, write: --schema 'größe str'"),
        ("name:str", f"; to name fields, write: {EXAMPLE}"),
        ("./name", ""),
        ("name.json", ""),
    ):
        with pytest.raises(Failure) as failure:
            read_schema(given)
        assert str(failure.value) == f"the schema {given} cannot be read: No such file or directory{hint}"


def test_the_local_model_fills_the_fields(hybrid: Hybrid) -> None:
    done = hybrid(
        "run", "-p", "offline", "--schema", "name, age int", "Who is it?", stdin=b"Anna is 41 years old.\n"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"name": "Anna", "age": 41}
