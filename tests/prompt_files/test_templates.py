"""Prompt templates: their variables, and what they make of a prompt, a record and a context."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hybrid_cli.egress.prompt_rules import RequestFacts
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.prompt import Question, Request, Turn, read_question
from hybrid_cli.prompt_files.templates import PromptTemplate, filled_template
from hybrid_cli.ui.environment import Environment
from hybrid_process import Hybrid
from scripted_cloud import ScriptedCloud

REVIEW = 'Review this {language} code in {language}:\n\n{input}\n\nAnswer as {"ok": true} or {{input}}.\n'


@pytest.fixture
def world(tmp_path: Path) -> Environment:
    folder = tmp_path / "config" / "templates"
    folder.mkdir(parents=True)
    (folder / "review.md").write_text(REVIEW)
    (folder / "joke.md").write_text("Tell a joke.\n")
    (folder / "twice.md").write_text("{input} and {input}")
    return Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(tmp_path)})


def test_variables_are_filled_once_and_other_braces_stay(world: Environment) -> None:
    template = filled_template("review", ["language={input} = C"], world)
    assert template.variables == ["language", "input"]
    assert template.text("{language}") == (
        'Review this {input} = C code in {input} = C:\n\n{language}\n\nAnswer as {"ok": true} or {input}.'
    )


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        ("review", [], "template `review` needs --var language=...$"),
        ("review", ["lang=C"], "needs --var language=..., and has no variable `lang`$"),
        ("joke", ["a=1", "b=2"], "template `joke` has no variable `a`, `b`$"),
        ("review", ["language"], "--var: `language` must be NAME=VALUE"),
        ("review", ["language=C", "language=D"], "--var: `language` is given twice"),
        ("review", ["language=C", "input=x"], "--var: `input` is PROMPT, or stdin"),
        ("reviev", [], "no template `reviev`; did you mean `review`?"),
        ("other", [], "no template `other`; to write it: hybrid templates edit other"),
        ("../review", [], "cannot be a template's name"),
        ("", [], "cannot be a template's name"),
    ],
)
def test_mistakes_are_one_line(world: Environment, name: str, given: list[str], why: str) -> None:
    with pytest.raises(Failure) as failure:
        filled_template(name, given, world)
    assert failure.value.status is ExitStatus.USAGE
    assert f"{failure.value}$".find(why) >= 0, failure.value


def test_a_template_without_input_takes_no_prompt(world: Environment) -> None:
    template = filled_template("joke", [], world)
    question = read_question(None, world, may_read=False, template=template)
    assert question == Question("Tell a joke.", "", "the piped text", template_head="Tell a joke.")
    with pytest.raises(Failure, match=r"has no \{input\}, so it takes no PROMPT"):
        read_question("about cats", world, may_read=False, template=template)
    review = filled_template("review", ["language=C"], world)
    for prompt in (None, " "):
        with pytest.raises(Failure, match=r"no prompt|is empty"):
            read_question(prompt, world, may_read=False, template=review)


def test_a_rule_sees_the_input_alone(world: Environment) -> None:
    template = filled_template("review", ["language=C"], world)
    question = read_question("SECRET PLAN", world, may_read=False, template=template)
    assert RequestFacts(Request(question, None), frozenset()).matches("^SECRET PLAN$")


def test_the_head_of_a_template_is_what_every_prompt_with_it_begins_with() -> None:
    template = PromptTemplate("a", "As {{json}} {} in {language}: {input}", {"language": "secret"})
    assert template.head == "As {json} {} in "
    assert template.text("x").startswith(template.head)
    assert PromptTemplate("a", "{input}").head == ""
    question = Question("As x", "", template_head="As ")
    assert Request(question, None).template_head == "As "
    assert Request(replace(question, context="a file"), None).template_head == ""
    for request in (Request(question, "Be brief."), Request(question, None, history=(Turn("user", "Hi"),))):
        assert request.template_head is None  # what comes first is the user's


def test_a_pipe_fills_one_input(world: Environment) -> None:
    with pytest.raises(Failure, match=r"has \{input\} twice"):
        filled_template("twice", [], world).around_input()
    assert PromptTemplate("a", "Tell.").around_input() == ("Tell.", "")
    assert PromptTemplate("a", "{x}: {input} {x}", {"x": "1"}).around_input() == ("1: ", " 1")


@pytest.fixture
def stored(home: Path) -> Path:
    folder = home / "config" / "templates"
    folder.mkdir(parents=True)
    (folder / "sort.md").write_text("Sort it by {key}:\n{input}\nThat was it.\n")
    (folder / "plain.md").write_text("Translate it to {language}.\n")
    return folder


def test_run_and_pipe_send_what_the_template_makes(
    hybrid: Hybrid, stored: Path, cloud: ScriptedCloud, profile: Callable[..., Path], tmp_path: Path
) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    records = tmp_path / "in.txt"
    records.write_text("one\ntwo\n")
    sort = ("-p", path, "-t", "sort", "--var", "key=name")

    def sent(*arguments: str | Path, stdin: bytes | None = None) -> list[str]:
        cloud.received.clear()
        done = hybrid(*arguments, stdin=stdin, HYBRID_CONSENT=cloud.origin)
        assert done.returncode == 0, done.stderr
        return sorted(one.body["messages"][-1]["content"] for one in cloud.received)

    assert sent("run", *sort, "b, a") == ["Sort it by name:\nb, a\nThat was it."]
    assert sent("run", *sort, stdin=b"b, a") == ["Sort it by name:\nb, a\nThat was it."]
    assert sent("run", *sort, "b, a", stdin=b"context") == ["context\n\nSort it by name:\nb, a\nThat was it."]
    plain = ("-p", path, "-t", "plain", "--var", "language=German")
    assert sent("run", *plain, stdin=b"cat") == ["cat\n\nTranslate it to German."]
    assert sent("pipe", *sort, records) == [
        f"Sort it by name:\n\n{one}\nThat was it." for one in ("one", "two")
    ]
    assert sent("pipe", *plain, stdin=b"cat\n") == ["Translate it to German.\n\ncat"]
    for arguments in (
        ["pipe"],
        ["pipe", "-t", "sort"],
        ["pipe", "--var", "a=b", "hi"],
        ["run", "--var", "a=b", "hi"],
    ):
        done = hybrid(*arguments, stdin=b"a\n")
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1), arguments


def test_a_pipes_rule_sees_the_record_alone(
    hybrid: Hybrid, stored: Path, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    rules = "escalation: {mode: force, rules: [{when: {matches: '^private$'}, then: forbid}]}\n"
    path = profile(cloud.section() + rules)
    line = ("pipe", "-p", path, "-t", "sort", "--var", "key=a", "--jsonl", "--each", "line")
    done = hybrid(*line, stdin=b"private\npublic\n", HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 3
    assert ["error" in json.loads(one)["hybrid"] for one in done.stdout.splitlines()] == [True, False]
    assert len(cloud.received) == 1


def test_a_template_has_one_name_with_or_without_its_suffix(hybrid: Hybrid, stored: Path) -> None:
    def show(name: str) -> tuple[int, bytes, str]:
        done = hybrid("templates", "show", name)
        return done.returncode, done.stdout, done.stderr.decode()

    text = (stored / "sort.md").read_bytes()
    assert show("sort") == show("sort.md") == (0, text, "")
    for other in ("sort", "sort.md.md", ".DS_Store", "notes.txt"):
        (stored / other).write_text("Another one.\n")
    assert show("sort") == (0, text, "")
    code, out, told = show("sort.md")
    assert (code, out, told.count("\n")) == (2, b"", 1)
    assert f"`sort.md` could be {stored}/sort.md or {stored}/sort.md.md; rename or delete one" in told
    listed = hybrid("templates", "ls", "--json")
    assert [one["name"] for one in json.loads(listed.stdout)] == ["plain", "sort"]
    notes = listed.stderr.decode().splitlines()
    assert [note.partition(" is not a template")[0] for note in notes] == [
        f"hybrid: {stored}/sort",
        f"hybrid: {stored}/sort.md.md",
    ]
    (stored / "sort.md").unlink()
    assert f"no template `sort`; rename {stored}/sort to sort.md" in show("sort.md")[2]
    (stored / "sort").unlink()
    assert f"no template `sort`; rename {stored}/sort.md.md to sort.md" in show("sort")[2]
    assert "cannot be a template's name" in show("sort.md.md")[2]


def test_templates_are_listed_and_shown(hybrid: Hybrid, stored: Path) -> None:
    listed = json.loads(hybrid("templates", "ls", "--json").stdout)
    assert [(one["name"], one["variables"]) for one in listed] == [
        ("plain", ["language"]),
        ("sort", ["key", "input"]),
    ]
    table = hybrid("templates", "ls").stdout.decode()
    assert "sort" in table and "key, input" in table and "Sort it by {key}:" in table
    assert hybrid("templates", "show", "sort").stdout == (stored / "sort.md").read_bytes()
    assert hybrid("templates", "show", "sorted").returncode == 2
