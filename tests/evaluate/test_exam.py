"""The built-in exam asks sensible questions and judges answers by their sense."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from hybrid_cli.evaluate import exam
from hybrid_cli.evaluate.collect import EvalInput
from hybrid_cli.evaluate.exam.forms import options
from hybrid_cli.evaluate.exam.judge import numbers
from hybrid_cli.evaluate.exam.question import ExamQuestion
from hybrid_process import Hybrid

SEEDS = (0, 1, 2)
EXAM = [question for seed in SEEDS for question in exam.questions(300, seed)]
IN_A_SENTENCE = "The answer is {}."


def named(kind: str, check: str, form: str = "bare") -> list[ExamQuestion]:
    return [one for one in EXAM if one.kind == kind and one.form == form and check in one.check]


def test_equal_arguments_make_equal_questions() -> None:
    assert exam.questions(100, 7) == exam.questions(100, 7)


def test_only_named_kinds_are_asked() -> None:
    named = [kind for kind in exam.KINDS if kind.name in ("reasoning", "code")]
    asked = exam.questions(40, 7, named)
    assert [sum(one.kind == kind.name for one in asked) for kind in named] == [20, 20]


def test_other_seeds_make_other_questions() -> None:
    asked = [{(one.prompt, one.context) for one in exam.questions(300, seed)} for seed in SEEDS]
    assert all(len(one) == 300 for one in asked)
    assert len(asked[0] & asked[1]) < 30


def test_a_smaller_exam_has_all_kinds() -> None:
    assert {one.kind for one in exam.questions(len(exam.KINDS), 3)} == {kind.name for kind in exam.KINDS}


def test_every_kind_comes_equally_often() -> None:
    counts = [sum(one.kind == kind.name for one in exam.questions(140, 4)) for kind in exam.KINDS]
    assert set(counts) == {10}


def test_every_form_is_asked() -> None:
    assert {one.form for one in EXAM} == set(exam.FORMS)


@pytest.mark.parametrize("kind", [kind.name for kind in exam.KINDS])
def test_the_example_is_right(kind: str) -> None:
    for one in EXAM:
        assert one.kind != kind or exam.is_right(one, one.example), (one.prompt, one.example)


WRONG = ("", "   ", "I do not know.", "zzzz qqqq", "-987654321", "{}", "[]", "```\n```")


@pytest.mark.parametrize("kind", [kind.name for kind in exam.KINDS])
@pytest.mark.parametrize("form", exam.FORMS)
def test_nonsense_is_wrong(kind: str, form: str) -> None:
    judged = [
        (one.check, answer)
        for one in EXAM
        for answer in WRONG
        if one.kind == kind and one.form == form and kind != "instructions" and exam.is_right(one, answer)
    ]
    assert not judged


@pytest.mark.parametrize("form", exam.FORMS)
def test_the_answer_to_another_question_is_wrong(form: str) -> None:
    """Of two questions with different checks of one sort, an answer suits one only, but for a few."""
    asked = [one for one in EXAM if one.form == form and one.kind != "instructions"]
    pairs = [(one, other) for one, other in pairwise(asked) if one.check != other.check]
    taken = [one for one, other in pairs if exam.is_right(one, other.example)]
    assert len(taken) < 0.08 * len(pairs) + 2


def test_a_number_is_right_in_a_sentence() -> None:
    for one in named("arithmetic", "number"):
        assert exam.is_right(one, IN_A_SENTENCE.format(one.example))


def test_another_number_is_wrong() -> None:
    for one in EXAM:
        if "number" in one.check:
            assert not exam.is_right(one, f"{one.check['number'] + 1}")


def test_a_text_is_right_in_a_sentence() -> None:
    for one in [*named("facts", "text"), *named("reading", "text"), *named("classification", "text")]:
        assert exam.is_right(one, IN_A_SENTENCE.format(one.example)), one


def test_a_rejected_text_is_wrong() -> None:
    for one in EXAM:
        for text in one.check.get("rejected", ()):
            assert not exam.is_right(one, IN_A_SENTENCE.format(text)), (one, text)


def test_a_sentence_is_wrong_where_a_word_was_asked_for() -> None:
    for one in named("facts", "words_at_most", "word"):
        assert not exam.is_right(one, f"I believe that the answer must be {one.example}, but I am not sure.")


def test_another_letter_is_wrong() -> None:
    for one in EXAM:
        if "letter" in one.check:
            others = [letter for letter in "ABCDE" if letter != one.check["letter"]]
            assert not any(exam.is_right(one, letter) for letter in others)


def test_another_choice_is_wrong_and_choices_are_distinct() -> None:
    for one in EXAM:
        if one.form == "choices":
            assert sum(exam.is_right(one, choice) for choice in one.choices) == 1, one
            assert len({choice.casefold() for choice in one.choices}) == len(one.choices) >= 2


def test_a_schema_is_json_and_an_enum_has_one_right_value() -> None:
    for one in EXAM:
        if one.schema is not None:
            schema = json.loads(one.schema)
            assert {"type", "enum"} & schema.keys()
            for_enum = [exam.is_right(one, json.dumps(value)) for value in schema.get("enum", [])]
            assert sum(for_enum) in (0, 1)


def test_json_with_a_changed_value_is_wrong() -> None:
    changed = 0
    for one in EXAM:
        if isinstance(one.check.get("json"), dict):
            value = {**one.check["json"], next(iter(one.check["json"])): "something else"}
            assert not exam.is_right(one, json.dumps(value))
            assert exam.is_right(one, f"Here it is:\n```json\n{json.dumps(one.check['json'], indent=2)}\n```")
            changed += 1
    assert changed > 10


def test_lines_in_another_order_are_wrong() -> None:
    for one in named("rewriting", "lines", "context"):
        lines = list(one.check["lines"])
        if lines != lines[::-1]:
            assert not exam.is_right(one, "\n".join(lines[::-1]))
        assert exam.is_right(one, "Here are the lines:\n```\n" + "\n".join(lines) + "\n```")


def test_a_pattern_is_tried_on_texts() -> None:
    one = next(one for one in EXAM if "regex" in one.check and "2024-03-17" in one.prompt)
    assert exam.is_right(one, r"\d{4}-\d{2}-\d{2}")
    assert exam.is_right(one, "Use this:\n```regex\n^[0-9]{4}-[0-9][0-9]-[0-9]{2}$\n```\nIt matches dates.")
    assert not exam.is_right(one, r"\d+-\d+-\d+")
    assert not exam.is_right(one, "(((")


def test_a_query_runs_and_may_only_read() -> None:
    one = next(
        one
        for one in EXAM
        if "sql" in one.check and "number of customers" in one.prompt and "each" not in one.prompt
    )
    assert exam.is_right(one, "```sql\nSELECT count(name) FROM customers;\n```")
    assert not exam.is_right(one, "SELECT 1 FROM customers")
    assert not exam.is_right(one, "DELETE FROM customers")
    assert not exam.is_right(
        one, "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    )


def test_yes_and_no_are_told_apart() -> None:
    for one in EXAM:
        if one.check.get("rejected") and "no" in one.check["rejected"] and one.form == "bare":
            assert exam.is_right(one, "Yes, it is.")
            assert not exam.is_right(one, "No, it is not.")


def test_instructions_reject_what_breaks_them() -> None:
    long = "this is a long text, which breaks nearly every rule. " * 9
    asked = [one for one in EXAM if one.kind == "instructions"]
    kept = [one for one in asked if exam.is_right(one, long)]
    assert all(set(one.check) <= {"lowercase", "lacks"} for one in kept)
    assert not any(exam.is_right(one, "") for one in asked)


def test_questions_survive_json() -> None:
    for one in EXAM:
        assert exam.from_json(json.loads(json.dumps(exam.to_json(one)))) == one


def test_numbers_reads_thousands_and_decimals() -> None:
    assert numbers("1,234.5 and -3, or .5") == [1234.5, -3, 0.5]


def test_options_hold_the_right_answer_once() -> None:
    from random import Random

    from hybrid_cli.evaluate.exam.facts import capital

    for seed in range(50):
        item = capital(Random(seed))
        assert options(item, Random(seed)).count(item.text) == 1


def test_eval_and_calibrate_ask_the_exam_without_data(hybrid: Hybrid, tmp_path: Path) -> None:
    """A real run: one question of each kind, saved so that calibrate goes on from there."""
    asked = ("--questions", "14", "--max-tokens", "8", "--rows", tmp_path / "rows.jsonl")
    report = json.loads(hybrid("eval", *asked, "--json").stdout)
    assert report["rows"] == 14
    assert set(report["by_task"]) == {kind.name for kind in exam.KINDS}
    done = hybrid("calibrate", *asked, "--target", "wrong_at_most=0.2")
    assert done.returncode == 2
    assert b"14 questions are too few; calibration needs at least 100" in done.stderr
    assert b"0 to be answered" in done.stderr  # the rows are those of eval


def test_the_seed_draws_another_exam(hybrid: Hybrid) -> None:
    """The default is the exam of seed 0, and rows of one exam do not answer another."""
    prompts = [
        {
            question.identity + question.asked
            for question in EvalInput(None, "all", None, None, exam=130, **seed).questions()[0]
        }
        for seed in ({"seed": 0}, {"seed": 1}, {})
    ]
    assert prompts[0] == prompts[2]
    assert len(prompts[0] & prompts[1]) < 20
    done = hybrid("eval", "--questions", "14", "--seed", "4294967296", "--dry-run")
    assert (done.returncode, done.stdout) == (2, b"")
    plan = json.loads(hybrid("calibrate", "--questions", "28", "--seed", "5", "--dry-run", "--json").stdout)
    assert (plan["questions"], plan["to_answer"], plan["to_send"]) == (28, 28, 0)


def test_data_cannot_hold_exam_questions(hybrid: Hybrid, tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"prompt": "a", "answer": {"number": 1}, "kind": "exam"}\n')
    done = hybrid("eval", tmp_path / "data.jsonl", "--cloud", "none")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"data.jsonl:1: the kind exam is reserved" in done.stderr
