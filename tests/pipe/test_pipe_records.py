"""Parts of `hybrid pipe` on their own: records, templates, output lines, resuming, queue and pool."""

from __future__ import annotations

import base64
import csv
import io
import json
import multiprocessing
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_cli.checks.choices import matching_choice, read_choices
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.pipe.options import read_delimiter
from hybrid_cli.pipe.queue import Blank, RecordQueue
from hybrid_cli.pipe.records import Each, Record, Source, split_chunks
from hybrid_cli.pipe.resume import answered_keys, open_resumed
from hybrid_cli.pipe.sink import Lines, Objects
from hybrid_cli.pipe.template import RecordTemplate, field_template, user_template
from hybrid_cli.ui.environment import Environment

WRONG = Failure(ExitStatus.CLOUD, "the cloud is away")


def records(tmp_path: Path, each: Each, *contents: bytes) -> list[Record]:
    files = []
    for number, content in enumerate(contents):
        files.append(tmp_path / f"{number}.txt")
        files[-1].write_bytes(content)
    return list(Source(files, each, Environment(None, None, None, {})))


def raws(found: list[Record]) -> list[bytes]:
    return [record.raw for record in found]


@pytest.mark.parametrize(
    ("each", "content", "expected"),
    [
        ("line", b"a\nb\r\n\nc", [b"a", b"b", b"", b"c"]),
        ("line", b"", []),
        ("line", b"\xef\xbb\xbfa\n", [b"a"]),
        ("line", b"a\0b\rc\n", [b"a\0b\rc"]),
        ("nul", b"a\nb\0\0c", [b"a\nb", b"", b"c"]),
        ("para", b"\n\na\nb\r\n \t\n\n\nc\n", [b"a\nb", b"c"]),
        ("jsonl", b' {"a": 1}\n\n[2]\r\n', [b' {"a": 1}', b"[2]"]),
        (
            "csv",
            b'a,b\r\n"1,""",\xc3\xa4\r\n\r\n"x\r\ny",2\n',
            [b'{"a": "1,\\"", "b": "\xc3\xa4"}', b'{"a": "x\\r\\ny", "b": "2"}'],
        ),
    ],
)
def test_input_is_split_into_records(
    tmp_path: Path, each: Each, content: bytes, expected: list[bytes]
) -> None:
    found = records(tmp_path, each, content)
    assert raws(found) == expected
    assert not any(record.problem for record in found)


@pytest.mark.parametrize(
    ("each", "content", "problems"),
    [
        ("line", b"a\n\xff\xfe\nb\n", [None, "not UTF-8 (byte 0)", None]),
        ("jsonl", b'{"a": 1\n{"a": 2}\n', ["not JSON (character 7: Expecting ',' delimiter)", None]),
        ("jsonl", b"NaN\n" + b"[" * 100_000 + b"\n7" * 2, ["not JSON that hybrid can read"] * 2 + [None] * 2),
        ("csv", b"a,b\n1\n1,2,3\n1,2\n", ["expected 2 fields, as in the header row; found 1", "expected 2 fields, as in the header row; found 3", None]),
        ("csv", b"a,b\n\xff,2\n1,2\n", ["not UTF-8 (byte 7)", None]),
    ],
)  # fmt: skip
def test_a_malformed_record_does_not_affect_the_next_ones(
    tmp_path: Path, each: Each, content: bytes, problems: list[str | None]
) -> None:
    assert [record.problem for record in records(tmp_path, each, content)] == problems


def test_a_record_that_is_too_long_is_cut_and_fails_alone(tmp_path: Path) -> None:
    long = b"x" * 17_000_000
    for each in ("line", "nul", "jsonl"):
        end = b"\0" if each == "nul" else b"\n"
        first, second = records(tmp_path, each, long + end + b"7" + end)
        assert first.problem == "larger than 16 MB"
        assert len(first.raw) == 16_000_001
        assert second.problem is None


def test_an_unclosed_quote_takes_no_more_memory_than_one_record(tmp_path: Path) -> None:
    found = records(tmp_path, "csv", b'a,b\n"' + (b"x" * 99 + b"\n") * 170_000 + b"1,2\n")
    assert "field larger than field limit" in str(found[0].problem)


@settings(max_examples=200)
@given(st.binary(max_size=60), st.lists(st.integers(1, 9), max_size=9))
def test_records_do_not_depend_on_chunk_boundaries(content: bytes, cuts: list[int]) -> None:
    chunks, place = [], 0
    for cut in cuts:
        chunks.append(content[place : place + cut])
        place += cut
    chunks.append(content[place:])
    whole = content.split(b"\n")
    assert list(split_chunks([chunk for chunk in chunks if chunk], b"\n")) == (
        whole if whole[-1] else whole[:-1]
    )


@settings(max_examples=200)
@given(
    st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2), max_size=5)
)
def test_csv_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b"], *rows])
    found = records(tmp_path_factory.mktemp("csv"), "csv", text.getvalue().encode())
    assert [record.problem for record in found] == [None] * len(rows)
    # Quoted fields keep their line ends, except a lone CR, which the csv module reads as a line end.
    if "\r" not in text.getvalue().replace("\r\n", ""):
        assert [list(record.value.values()) for record in found] == rows


def test_an_unclosed_quote_is_reported_with_all_its_text(tmp_path: Path) -> None:
    whole, open_ = records(tmp_path, "csv", b'a,b\n1,"2\n3"\n4,"5\n6,7\n8,9')
    assert (whole.problem, whole.value) == (None, {"a": "1", "b": "2\n3"})
    assert "never closed" in str(open_.problem)
    assert open_.name(2) == f"record 2 ({tmp_path / '0.txt'}:4)"
    assert b"6,7\\n8,9" in Objects("hybrid").failure(open_, WRONG)
    with pytest.raises(Failure, match=r"a quote in the header row of .* is never closed"):
        records(tmp_path, "csv", b'a,"b\n1,2\n')


@pytest.mark.parametrize(
    ("each", "content", "lines"),
    [
        ("line", b"a\n\nb", [1, 2, 3]),
        ("jsonl", b"\n1\n\n2\n", [2, 4]),
        ("para", b"\na\nb\n\n\nc\n", [2, 6]),
        ("csv", b'a\n"x\ny"\n\nz\n', [2, 5]),
        ("nul", b"a\0b", [None, None]),
    ],
)
def test_a_record_is_named_by_file_and_line(
    tmp_path: Path, each: Each, content: bytes, lines: list[int | None]
) -> None:
    found = records(tmp_path, each, content, content)
    assert [record.line for record in found] == lines * 2
    last = found[-1]
    assert last.name(9) == f"record 9 ({last.file}{'' if last.line is None else f':{last.line}'})"


@pytest.mark.parametrize(
    ("content", "delimiter", "told"),
    [
        (b"name;age\nAnna;41\n", None, "is separated by `;`, not by commas; to set it: --delimiter"),
        (b"name\tage\r\nAnna\t41\r\n", None, "is separated by tabs"),
        (b"name|age\nAnna|41\n", None, "is separated by `|`"),
        (b"\n\nname;age\nAnna;41\n", None, "is separated by `;`"),
        (b"sep=;\r\nname;age\r\nAnna;41\r\n", None, "is separated by `;`"),
        (b"\xef\xbb\xbfsep=;\nname;age\nAnna;41\n", None, "is separated by `;`"),
        (b"name,age\nAnna,41\n", None, ""),
        (b'name,"a;g;e"\nAnna,41\n', None, ""),
        (b'"na,me";age\nAnna;41\n', None, "is separated by `;`"),
        (b"name;age\nAnna;41\n", ";", ""),
        (b"name:age\nAnna:41\n", ":", ""),
    ],
)
def test_the_delimiter_of_csv_is_found_or_given(
    tmp_path: Path, content: bytes, delimiter: str | None, told: str
) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    stderr = io.StringIO()
    (record,) = Source([path], "csv", Environment(None, None, stderr, {}), delimiter)
    assert list(record.value.values()) == ["Anna", "41"]
    assert told in stderr.getvalue()
    assert bool(stderr.getvalue()) == bool(told)


@pytest.mark.parametrize(
    ("given", "character"), [(";", ";"), ("tab", "\t"), ("\\t", "\t"), ("\t", "\t"), ("pipe", "|")]
)
def test_names_of_delimiters(given: str, character: str) -> None:
    assert read_delimiter(given) == character


@pytest.mark.parametrize("given", ["", ";;", "\n", '"', "semi"])
def test_what_separates_no_fields_is_refused(given: str) -> None:
    with pytest.raises(Failure, match="--delimiter must be one character"):
        read_delimiter(given)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("each", ["line", "jsonl", "csv", "para"])
def test_utf_16_is_named_with_the_command_that_converts_it(tmp_path: Path, encoding: str, each: Each) -> None:
    text = '{"a": "Grüße, 1"}\n{"a": "b"}\n'
    with pytest.raises(
        Failure, match=r"0\.txt is UTF-16\w*; convert it, for example: iconv -f UTF-16"
    ) as failure:
        records(tmp_path, each, text.encode(encoding))
    assert failure.value.status is ExitStatus.USAGE


def test_joined_files_keep_no_byte_order_mark(tmp_path: Path) -> None:
    one = b'\xef\xbb\xbf{"a": 1}\r\n'
    assert raws(records(tmp_path, "jsonl", one + one)) == [b'{"a": 1}', b'{"a": 1}']
    assert raws(records(tmp_path, "line", b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n")) == [b"a", b"b"]
    assert raws(records(tmp_path, "line", b"\xef\xbb\xbfa\n", b"\xef\xbb\xbfb\n")) == [b"a", b"b"]


def test_resume_takes_indented_objects(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    (record,) = records(tmp_path, "jsonl", b'  {"a": 1}\n')
    line = Objects("hybrid").failure(record, WRONG)
    path.write_bytes(line.replace(b'"error"', b'"record": "k", "answer": "x", "was"'))
    answered = answered_keys(path, "hybrid")
    assert sum(answered.values()) == 1


def test_duplicate_column_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"two columns of .* are named `a`"):
        records(tmp_path, "csv", b"a,b,a\n1,2,3\n")


def test_files_are_read_in_order_and_a_missing_one_is_reported_first(tmp_path: Path) -> None:
    assert raws(records(tmp_path, "line", b"a\nb", b"c\n")) == [b"a", b"b", b"c"]
    with pytest.raises(Failure, match=r"gone\.txt does not exist"):
        Source([tmp_path / "0.txt", tmp_path / "gone.txt"], "line", Environment(None, None, None, {}))


def of_json(text: bytes) -> Record:
    return Record(text, json.loads(text), is_json=True)


def test_templates_render_records() -> None:
    record = of_json(b'{"title": "A", "by": {"name": "B"}, "by.name": "C", "n": 1.50, "half": "\\ud800"}')
    assert RecordTemplate().text(record) == record.raw.decode()
    assert field_template("title").text(record) == "A"
    assert field_template("by.name").text(record) == "C"
    assert user_template("{{{title}}} of {by}, {n}").text(record) == '{A} of {"name": "B"}, 1.5'
    assert user_template("{by.name}").text(of_json(b'{"by": {"name": "B"}}')) == "B"
    for template, message in (
        (field_template("x"), "no field `x`"),
        (field_template("half"), "half a character"),
    ):
        with pytest.raises(Failure, match=message):
            template.text(record)
    with pytest.raises(Failure, match="not a JSON object"):
        field_template("x").text(of_json(b"[1]"))


@pytest.mark.parametrize("template", ["{", "}", "none", "{}", "{a!r}", "{a:>9}", "{0} {"])
def test_a_malformed_template_is_refused(template: str) -> None:
    with pytest.raises(Failure, match="--template"):
        user_template(template)


@pytest.mark.parametrize(
    "raw", [b"{}", b' { "a" : 1e400, "a": "}" }\t', b'{"a":"\\u00e4\xc3\xa4\\/"}', b'{"a": [{}]}']
)
def test_the_fields_of_an_object_stay_byte_for_byte(raw: bytes) -> None:
    line = Objects("answer").failure(of_json(raw), WRONG)
    before = raw.rstrip().removesuffix(b"}")
    assert line.startswith(before)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    read = json.loads(line)
    assert read.pop("answer") == {"error": {"code": 5, "status": "cloud", "message": "the cloud is away"}}
    assert read == json.loads(raw)


def test_a_record_that_is_not_an_object_becomes_the_input_field() -> None:
    lines = Objects("hybrid")
    for record, field, value in (
        (Record(b'a "line"'), "input", 'a "line"'),
        (of_json(b"[1, 2.0]"), "input", [1, 2.0]),
        (of_json(b"null"), "input", None),
        (Record(b"a\xff", problem="bad"), "input_base64", base64.b64encode(b"a\xff").decode()),
        (Record(b"\0", problem="bad"), "input", "\0"),
    ):
        assert json.loads(lines.failure(record, WRONG))[field] == value


def test_the_answer_never_overwrites_a_field() -> None:
    record = of_json(b'{"hybrid": 7, "a": 1}')
    assert "name the answer's field with --key" in str(Objects("hybrid").problem(record))
    assert Objects("other").problem(record) is None
    assert json.loads(Objects("hybrid").failure(record, WRONG))["input"] == {"hybrid": 7, "a": 1}
    with pytest.raises(Failure, match="--key input"):
        Objects("input")


def test_a_blank_record_has_an_empty_line_or_none() -> None:
    assert Record(b" \t").is_blank
    assert not of_json(b"{}").is_blank
    assert Lines(Environment(None, None, None, {})).blank() == b"\n"
    assert Objects("hybrid").blank() == b""


def done(key: str) -> bytes:
    return b'{"a": 1, "hybrid": {"answer": "x", "record": "' + key.encode() + b'"}}\n'


FAILED = b'{"a": 2, "hybrid": {"error": {"code": 5}}}\n'


def test_resume_drops_failed_and_incomplete_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(done("k") + FAILED + done("k") + done("m") + b'{"a": 3, "hyb')
    path.chmod(0o640)
    with open_resumed(path, "hybrid") as resumed:
        assert [resumed.answered.take(key) for key in ("k", "k", "k", "m", "m", "other")] == [
            True,
            True,
            False,
            True,
            False,
            False,
        ]
        resumed.file.write(b"new\n")
    assert path.read_bytes() == done("k") * 2 + done("m") + b"new\n"
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "content",
    [
        b"my notes",
        b"my notes\n",
        b'{"a": 1}\n',
        done("k") + b"[]\n",
        b'{"hybrid": 1}\n',
        b'{"name": "package"}',
        b'{"hybrid": {"a": 1}}',
        b'{"scripts": {}, "hybrid": {"answer": "x"}}',
        b'{"a',
        b"{",
        done("k") + b'{"name": "x"}',
        done("k") + b"rest",
    ],
)
def test_resume_leaves_foreign_files_unchanged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(Failure, match="nothing was changed"), open_resumed(path, "hybrid"):
        pass
    assert path.read_bytes() == content


def hold(path: Path, failed: bool, held: multiprocessing.synchronize.Event) -> None:  # type: ignore[name-defined]
    if failed:
        path.write_bytes(FAILED)
    with open_resumed(path, "hybrid"):
        held.set()
        threading.Event().wait(30)


@pytest.mark.parametrize("failed", [False, True])
def test_two_runs_cannot_resume_one_file(tmp_path: Path, failed: bool) -> None:
    context = multiprocessing.get_context("spawn")
    path, held = tmp_path / "out.jsonl", context.Event()
    process = context.Process(target=hold, args=(path, failed, held))
    process.start()
    try:
        assert held.wait(30)
        with pytest.raises(Failure, match="another run is writing"), open_resumed(path, "hybrid"):
            pass
    finally:
        process.kill()
        process.join()
    with open_resumed(path, "hybrid") as resumed:  # the lock went with its process
        assert resumed.answered == Counter()


def test_the_queue_keeps_order_and_fails_overdue_records() -> None:
    now = [0.0]
    records = RecordQueue(lambda: now[0], ordered=True, seconds=5)
    first, second = (records.add(Record(b"x"), number) for number in (1, 2))
    assert first is not None
    assert second is not None
    records.start_clock(first)
    records.finish(second, Blank())
    assert records.next(lambda: True) is None
    now[0] = 6.0
    late = records.next(lambda: False)
    assert late is first
    assert isinstance(late.outcome, Failure)
    assert late.outcome.status is ExitStatus.DEADLINE
    assert records.next(lambda: False) is second
    records.finish(first, Blank())  # too late
    assert isinstance(first.outcome, Failure)
    records.close()
    assert records.add(Record(b"x"), 3) is None
    assert records.next(lambda: False) is None


def test_a_full_queue_makes_the_reader_wait() -> None:
    records = RecordQueue(lambda: 0.0, ordered=False, seconds=None)
    large = Record(b"x" * 40_000_000)
    first = records.add(large, 1)
    added = threading.Event()

    def add() -> None:
        records.add(large, 2)
        added.set()

    threading.Thread(target=add, daemon=True).start()
    assert not added.wait(0.2)
    assert first is not None
    records.finish(first, Blank())
    assert not added.wait(0.2)  # it is not written yet
    assert records.next(lambda: False) is first
    assert added.wait(10)


def test_choices_are_parsed_and_found_in_a_cloud_answer() -> None:
    assert read_choices('yes, "no, never"') == ("yes", "no, never")
    for listed, message in (
        ("yes", "at least two"),
        ("", "at least two"),
        ("a,", "an empty choice"),
        ("a,b,a", "`a` twice"),
        ('a,"b', "with closed quotes"),
    ):
        with pytest.raises(Failure, match=message):
            read_choices(listed)
    assert matching_choice('"Yes".', ("yes", "no")) == "yes"
    assert matching_choice("Yes, but no", ("yes", "no")) == "Yes, but no"
