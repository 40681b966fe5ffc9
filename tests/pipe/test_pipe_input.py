"""What `hybrid pipe` reads where --each does not say, and the options that it shares with `hybrid run`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from hybrid_cli.app import command_tree
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.help.command_tree import read_tree
from hybrid_cli.pipe.options import PipeOptions
from hybrid_cli.pipe.records import Source
from hybrid_cli.ui.environment import Environment
from hybrid_process import Hybrid

OBJECTS = b'\n{"a": 1}\n{"a": 2}\n'
LINES = b'plain\n{"a": 2}\n'


@pytest.mark.parametrize(
    ("name", "content", "options", "kind", "told"),
    [
        ("in.txt", OBJECTS, {}, "line", False),
        ("in.txt", LINES, {"jsonl": True}, "line", False),
        ("in.txt", b"[1]\n[2]\n", {"jsonl": True}, "line", False),
        ("in.txt", b"", {"jsonl": True}, "line", False),
        ("in.txt", OBJECTS, {"jsonl": True}, "jsonl", True),
        ("in.txt", OBJECTS, {"resume": Path("out")}, "jsonl", True),
        ("in.jsonl", OBJECTS, {}, "jsonl", True),
        ("in.NDJSON", LINES, {"jsonl": True}, "jsonl", True),
        ("in.jsonl", OBJECTS, {"each": "line"}, "line", False),
        ("in.txt", LINES, {"each": "jsonl"}, "jsonl", False),
        ("in.txt", OBJECTS, {"field": "a"}, "jsonl", False),
    ],
)
def test_the_form_of_the_output_does_not_change_that_of_the_input(
    name: str, content: bytes, options: dict[str, object], kind: str, told: bool, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    stderr = io.StringIO()
    pipe = PipeOptions("Is it?", (path,), **options)  # type: ignore[arg-type]
    records = list(Source(pipe.files, pipe.record_kind(), Environment(None, None, stderr, {})))
    assert b"\n".join(record.raw for record in records).strip() == content.replace(b"\n\n", b"\n").strip()
    assert {record.is_json or record.problem is not None for record in records} <= {kind == "jsonl", False}
    assert any(record.is_object for record in records) == (kind == "jsonl" and b"{" in content)
    note = f"hybrid: reading {path} as JSON Lines; to read plain lines: --each line\n"
    assert stderr.getvalue() == (note if told else "")


ROWS = [{"a": 1, "b": ["x", {"c": 1.50}]}, {"a": "two\nlines [", "b": []}]


@pytest.mark.parametrize("options", [{}, {"jsonl": True}, {"each": "jsonl"}, {"field": "a"}])
@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("in.json", json.dumps(ROWS, indent=2), [2, 11]),
        ("in.txt", json.dumps(ROWS, indent=1), [2, 11]),
        ("in.txt", "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n", [2, 3]),
        ("in.txt", "[" + ",\r\n".join(map(json.dumps, ROWS)) + "]\r\n", [1, 2]),
        ("in.txt", "\n\n".join(json.dumps(row, indent=2) for row in ROWS), [1, 11]),
        ("in.json", "\n".join(map(json.dumps, ROWS)), [1, 2]),
        ("in.JSON", json.dumps(ROWS), [1, 1]),
        ("in.txt", json.dumps(ROWS[:1], indent=2) + "\n" + json.dumps(ROWS[1:], indent="\t"), [2, 13]),
    ],
)
def test_json_over_several_lines_is_read_as_its_values(
    options: dict[str, object], name: str, content: str, lines: list[int], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode())
    pipe = PipeOptions("Is it?", (path,), **options)  # type: ignore[arg-type]
    records = list(Source(pipe.files, pipe.record_kind(), Environment(None, None, io.StringIO(), {})))
    assert [record.value for record in records] == ROWS
    assert [json.loads(record.raw) for record in records] == ROWS
    assert not any(b"\n" in record.raw for record in records)
    assert [record.line for record in records] == lines


@pytest.mark.parametrize(
    "content",
    [
        "[INFO] one\n[INFO] two",
        "[1] a note\n[2] another",
        "{name}: hello\n{",
        '{"a": 1} and more\n{"a"',
        "- a\n- b",
        "[x](y)\n",
    ],
)
def test_text_that_begins_like_json_is_read_as_lines(content: str, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text(content)
    pipe = PipeOptions("Is it?", (path,))
    records = list(Source(pipe.files, pipe.record_kind(), Environment(None, None, io.StringIO(), {})))
    assert [record.text for record in records] == content.splitlines()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('[\n {"a": 1},\n {"a": 2}\n', "line 4: the array is not closed"),
        ('[\n {"a": 1}\n {"a": 2}\n]', "line 3: expecting ',' delimiter"),
        ('{\n "a": 1,\n b: 2}', "line 3: expecting property name enclosed in double quotes"),
        ('{\n "a": NaN}', "NaN is not JSON"),
    ],
)
def test_broken_json_is_refused_before_anything_is_asked(content: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text(content)
    pipe = PipeOptions("Is it?", (path,))
    source = Source(pipe.files, pipe.record_kind(), Environment(None, None, io.StringIO(), {}))
    with pytest.raises(Failure) as failure:
        list(source)
    assert failure.value.status is ExitStatus.USAGE
    assert str(failure.value) == f"{path} cannot be read as JSON: {why}; to read plain lines: --each line"


@pytest.mark.parametrize("name", ["in.yaml", "in.YML"])
def test_yaml_is_refused_unless_its_lines_are_wanted(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("a: 1\n---\na: 2\n")
    for options, count in (({}, None), ({"jsonl": True}, None), ({"each": "line"}, 3)):
        pipe = PipeOptions("Is it?", (path,), **options)  # type: ignore[arg-type]
        environment = Environment(None, None, io.StringIO(), {})
        if count is None:
            with pytest.raises(Failure, match=r"in.* is YAML, which has no records; .* --each line"):
                Source(pipe.files, pipe.record_kind(), environment)
        else:
            assert len(list(Source(pipe.files, pipe.record_kind(), environment))) == count


@pytest.mark.parametrize(
    ("content", "form"),
    [
        ("- name: a\n  v: 1\n- name: b\n  v: 2\n", "YAML"),
        ("# shop\nitems:\n  - milk\n  - tea\n", "YAML"),
        ("---\nname: a\n---\nname: b\n", "YAML"),
        ('<?xml version="1.0"?>\n<a/>\n', "XML or HTML"),
        ("<!DOCTYPE html>\n<html>\n", "XML or HTML"),
        ("ERROR: disk\nWARN: fan\n", None),
        ("- buy milk: now\n- call Ann\n", None),
        ("Dear Ann:\n\nthanks\n", None),
        ("--- a/x\n+++ b/x\n", None),
        ("<b>bold</b> claim\n", None),
        ("", None),
    ],
)
def test_text_that_looks_like_another_format_is_told(content: str, form: str | None, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text(content)
    for options, is_told in (({}, form is not None), ({"each": "line"}, False)):
        stderr = io.StringIO()
        pipe = PipeOptions("Is it?", (path,), **options)  # type: ignore[arg-type]
        records = list(Source(pipe.files, pipe.record_kind(), Environment(None, None, stderr, {})))
        assert [record.raw.decode() for record in records] == content.splitlines()
        told = f"hybrid: {path} looks like {form}, but is read by lines; convert it to JSON, or confirm it: --each line\n"
        assert stderr.getvalue() == (told if is_told else "")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x1f\x8brest", "gzip; unpack it"),
        (b"PK\3\4rest", "a zip archive or a document of Office"),
        (b"PAR1rest", "Parquet"),
        (b"%PDF-1.7\n", "a PDF; hybrid run -f reads it"),
    ],
)
def test_a_format_that_is_no_text_is_refused(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(content)
    for each in ("line", "csv", "jsonl", "nul", "para"):
        pipe = PipeOptions("Is it?", (path,), each=each)  # type: ignore[arg-type]
        with pytest.raises(Failure, match=f"in.csv is {told}") as failure:
            list(Source(pipe.files, pipe.record_kind(), Environment(None, None, io.StringIO(), {})))
        assert failure.value.status is ExitStatus.USAGE


def test_csv_on_stdin_is_called_stdin(hybrid: Hybrid) -> None:
    done = hybrid("pipe", "-p", "offline", "--each", "csv", "--dry-run", "Is it?", stdin=b"a;a\n1;2\n")
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == [
        "hybrid: stdin is separated by `;`, not by commas; to set it: --delimiter",
        "hybrid: two columns of stdin are named `a`",
    ]


def test_a_stream_is_not_waited_for_beyond_its_first_line(hybrid: Hybrid) -> None:
    done = hybrid("pipe", "-p", "offline", "--choices", "a,b", "--jsonl", "Is it?", stdin=b'{"x": 1}\nx\n')
    first, second = done.stdout.splitlines()
    assert json.loads(first)["x"] == 1
    assert "not JSON" in json.loads(second)["hybrid"]["error"]["message"]


def test_pipe_has_the_options_of_run() -> None:
    """All but those that make sense for one answer only: a pipe has records, and `--jsonl` for `--json`."""
    nodes = {node.path[-1:]: node for node in read_tree(command_tree()).walk()}
    run, pipe = ({option.long for option in nodes[name,].options} for name in ("run", "pipe"))
    one_answer = {
        "--tool",
        "--editor",
        "--copy",
        "--image",
        "--continue",
        "--conversation",
        "--drop-oldest",
        "--no-stdin",
        "--exit-code",
        "--json",
        "--stream",
        "--raw",
        "--render",
        "--show-thinking",
    }
    assert run - pipe == one_answer


def test_output_goes_to_a_file_at_once(hybrid: Hybrid, tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    line = (
        "pipe",
        "-p",
        "offline",
        "--choices",
        "yes,no",
        "-o",
        out,
        "--seed",
        "3",
        "--temperature",
        "0.5",
        "Is it?",
    )
    done = hybrid(*line, stdin=b"a\n\xff\nb\n")
    assert (done.returncode, done.stdout) == (2, b"")
    answers = out.read_bytes().split(b"\n")
    assert [answer in (b"yes", b"no") for answer in answers] == [True, False, True, False]
    done = hybrid(*line, "--resume", tmp_path / "r", stdin=b"a\n")
    assert b"--output and --resume exclude each other" in done.stderr


def test_an_asked_for_limit_is_no_failure_by_itself(hybrid: Hybrid) -> None:
    """Nor is it one for `pipe`, and --stop ends each record's answer."""
    offline = ("-p", "offline", "--max-tokens", "8")
    story = "Tell me a long story about a fox."
    done = hybrid("run", *offline, story)
    assert (done.returncode, done.stdout) == (7, b"")
    assert b"cut off at 8 tokens; raise --max-tokens, or take it as it is: --allow-truncated" in done.stderr
    done = hybrid("run", *offline, "--allow-truncated", "--json", story)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["finish_reason"], bool(answer["answer"])) == (0, "length", True)
    assert b"hybrid: the answer was cut off at 8 tokens\n" in done.stderr
    piped = hybrid("pipe", *offline, "--allow-truncated", "--jsonl", "Tell a story.", stdin=b"fox\n")
    assert (piped.returncode, json.loads(piped.stdout)["hybrid"]["finish_reason"]) == (0, "length")
    assert hybrid("pipe", *offline, "Tell a story.", stdin=b"fox\n").returncode == 7
