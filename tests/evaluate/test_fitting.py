"""Metrics, thresholds, scoring and rows: against values worked out by hand, and another implementation."""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_cli.evaluate import early_exit, metrics, thresholds
from hybrid_cli.evaluate.fit_local import fit_local, local_scores
from hybrid_cli.evaluate.metrics import Curve
from hybrid_cli.evaluate.questions import LabelledQuestion, is_right, read_questions
from hybrid_cli.evaluate.report import Scores, report
from hybrid_cli.evaluate.rows import SavedRows, answered, kinds_of
from hybrid_cli.exit_status import Failure
from hybrid_cli.gate.features import answer_signals
from hybrid_cli.gate.verdict import LocalResult
from made_rows import FIRST, made_row, made_rows

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "tools" / "metrics_reference.py"

ROWS = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), min_size=4, max_size=60).map(
    lambda rows: tuple(np.array(column, dtype=float) for column in zip(*rows, strict=True))
)


@pytest.fixture(scope="module")
def reference() -> Any:
    if not REFERENCE.is_file():
        pytest.skip("the reference implementation is not beside this checkout")
    spec = importlib.util.spec_from_file_location("metrics_reference", REFERENCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_metrics_by_hand() -> None:
    score = np.array([3.0, 2.0, 1.0, 0.0])
    local, cloud = np.array([0.0, 1.0, 0.0, 1.0]), np.ones(4)
    assert metrics.auroc(score, 1 - local) == 0.75
    curve = Curve.of(score, local, cloud)
    assert curve.x.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.y.tolist() == [0, 0.5, 0.5, 1, 1]
    assert curve.apgr == 0.625
    assert curve.cpt(0.5) == 0.25
    assert curve.cpt(0.8) == pytest.approx(0.65)
    assert curve.accuracy(0.25) == 0.75
    assert Curve.of(score, local, local).accuracy(0.25) == 0.5
    assert metrics.ece(np.array([0.9, 0.9]), np.array([1.0, 0.0])) == pytest.approx(0.4)


def test_all_of_one_score_is_random() -> None:
    local, cloud = np.array([0.0, 1.0, 0.0]), np.ones(3)
    best = Curve.of(cloud - local, local, cloud)
    assert Curve.of(np.zeros(3), local, cloud).apgr == pytest.approx(0.5)
    assert Curve.of(np.zeros(3), local, cloud).napgr(best) == pytest.approx(0)
    assert best.napgr(best) == pytest.approx(1)
    assert metrics.auroc(np.zeros(3), 1 - local) == 0.5


def test_what_is_not_defined_is_nan() -> None:
    assert math.isnan(metrics.auroc(np.array([1.0, 2.0]), np.zeros(2)))
    assert math.isnan(Curve.of(np.array([1.0, 2.0]), np.ones(2), np.ones(2)).apgr)


@given(ROWS)
@settings(max_examples=300)
def test_metrics_equal_another_implementations(reference: Any, rows: tuple[Any, Any, Any]) -> None:
    score, local, cloud = rows
    if 0 < local.sum() < len(local):
        assert metrics.auroc(score, 1 - local) == pytest.approx(reference.auroc(score, local == 0))
    if cloud.sum() == local.sum():
        return
    curve = Curve.of(score, local, cloud)
    assert curve.apgr == pytest.approx(reference.apgr(score, local, cloud))
    for recovered in (0.503, 0.807):  # which no share of so few rows equals to the last digit
        assert curve.cpt(recovered) == pytest.approx(reference.cpt(score, local, cloud, recovered))
    assert metrics.ece(score / 6, local) == pytest.approx(reference.ece(score / 6, local))


@given(ROWS, st.floats(0.05, 0.95))
@settings(max_examples=200)
def test_thresholds_equal_another_implementations(
    reference: Any, rows: tuple[Any, Any, Any], share: float
) -> None:
    score, local, _cloud = rows
    assert thresholds.escalate_at_most(score, share) == reference.budget_threshold(score, share)
    assert thresholds.lost_at_most(score, 1 - local, share) == reference.crc_threshold(
        score, 1 - local, share
    )
    wrong, n = int((local == 0).sum()), len(local)
    assert thresholds.upper_bound(wrong, n, share) == pytest.approx(reference.cp_upper(wrong, n, share))


def test_the_interval_holds_the_value_and_is_the_same_again() -> None:
    generator = np.random.default_rng(1)
    score, wrong = generator.normal(size=200), (generator.random(200) < 0.4).astype(float)
    found = metrics.bootstrap(metrics.auroc, score, wrong, resamples=200)
    assert found.low < found.value < found.high
    assert found == metrics.bootstrap(metrics.auroc, score, wrong, resamples=200)


def test_draws_that_define_nothing_are_left_out_in_silence() -> None:
    score, local = np.array([3.0, 2.0, 1.0]), np.array([0.0, 1.0, 1.0])
    cloud = np.array([1.0, 1.0, 0.0])  # in all there is no gap
    found = metrics.bootstrap(lambda *columns: Curve.of(*columns).apgr, score, local, cloud)
    assert math.isfinite(found.low)
    assert not math.isfinite(found.value)


@pytest.mark.parametrize(
    ("kind", "gold", "answer", "right"),
    [
        ("schema", {"required": ["city"]}, '{"city": "Hanoi"}', True),
        ("schema", {"properties": {"city": {"const": "Hanoi"}}}, '{"city": "Hue"}', False),
        ("schema", {"required": ["city"]}, "Hanoi", False),
        ("verify", ["grep", "-q", "Hanoi"], "Hanoi", True),
        ("verify", ["grep", "-q", "Hanoi", "{file}"], "Hue", False),
        ("number", "1,234", "so #### 1234\n", True),
        ("number", "4", "2 + 2 = 4. Note 5 #### 4", True),
        ("number", "4", "2 + 2 = 5", False),
        ("number", "-0.5", "it is -.5", True),
        ("number", "4", "no idea", False),
        ("letter", "B", "B", True),
        ("letter", "B", "The answer is (B).", True),
        ("letter", "A", "A", True),
        ("letter", "B", "AB", False),
        ("letter", "B", "", False),
        ("text", "Hanoi", "\nIt is HANOI, of course.\n", True),
        ("text", "Hanoi", "Hue\nHanoi", False),
        ("regex", r"^\d{4}$", "1969", True),
        ("regex", r"^\d{4}$", "in 1969", False),
    ],
)
def test_scoring(kind: Any, gold: str, answer: str, right: bool) -> None:
    assert is_right(LabelledQuestion("?", gold, kind), answer, os.environ) == right


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "bad.jsonl:2: this line is not JSON"),
        ('{"prompt": "x", "answer": "y"}', "missing required field `kind`"),
        ('{"prompt": "x", "answer": "y", "kind": "z"}', "Invalid enum value 'z'"),
        (
            '{"prompt": "x", "answer": "y", "kind": "schema"}',
            "`answer` must be a JSON Schema for the kind schema",
        ),
        (
            '{"prompt": "x", "answer": "y", "kind": "verify"}',
            "`answer` must be a list with a command",
        ),
        ('{"prompt": "x", "answer": ["y"], "kind": "text"}', "`answer` must be text for the kind text"),
        ('{"prompt": "x", "answer": {"type": 7}, "kind": "schema"}', "bad.jsonl:2 is not a JSON Schema"),
        ('{"prompt": "x", "answer": "four", "kind": "number"}', "must contain a number"),
        ('{"prompt": "x", "answer": "Z", "kind": "letter"}', "a letter from A to E"),
        ('{"prompt": "x\\ud800", "answer": "y", "kind": "text"}', "bad.jsonl:2: .* beyond the limits"),
        ("[" * 200_000, "bad.jsonl:2: .* beyond the limits"),
        ('{"prompt": "x", "answer": ' + "9" * 6000 + "}", "bad.jsonl:2: .* beyond the limits"),
        ('{"prompt": "x", "answer": "(", "kind": "regex"}', "bad.jsonl:2: `\\(` is not a valid RE2 pattern"),
    ],
)
def test_a_line_that_is_no_question(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"prompt": "x", "answer": "y", "kind": "text", "id": 1}\n' + line + "\n")
    with pytest.raises(Failure, match=told):
        list(read_questions(path))


def test_early_floors_spare_what_is_kept() -> None:
    rows = made_rows(np.random.default_rng(10), 400, forms=["short"], gap=0.0)
    unsure = [msgspec.structs.replace(row, running=[-3.0, None, None], tokens_out=100) for row in rows[:100]]
    kept = [False] * 100 + [True] * 300
    floors = early_exit.floors(kept, unsure + rows[100:])
    assert floors[0] is not None
    assert floors[1:] == [None, None]
    stops = [early_exit.given_up_at(row, floors) for row in unsure + rows[100:]]
    told = early_exit.shares(stops, kept, unsure + rows[100:])
    assert told["by_token_8"] == 1
    assert told["tokens_saved"] == pytest.approx(0.92)
    assert 0 < told["false_aborts"] <= early_exit.FALSE_ABORTS
    assert early_exit.shares([None] * 400, kept, unsure + rows[100:])["by_token_8"] == 0
    assert early_exit.floors(kept[:120], (unsure + rows[100:])[:120]) == [None] * 3  # 20 kept bear no promise


def test_the_report_holds_every_figure_and_its_baselines() -> None:
    rows = made_rows(np.random.default_rng(6), 60, "a") + made_rows(np.random.default_rng(7), 40, "b")
    score = local_scores(fit_local(rows), rows)
    scores = Scores(score, score, 1 - score)
    told = report(scores, rows, with_cloud=True)
    names = {
        "accuracy_local",
        "accuracy_cloud",
        "auroc",
        "apgr",
        "napgr",
        "cpt50",
        "cpt80",
        "ece",
        "ece_before",
    }
    assert names | {f"accuracy_hybrid_{share}" for share in (10, 20, 30, 50)} == told["metrics"].keys()
    for name, figure in told["metrics"].items():
        if not name.startswith("ece"):  # resampling adds to a calibration error
            assert figure["low"] <= figure["value"] <= figure["high"]
    assert told["baselines"].keys() == {"random", "prompt_length", "mean_logprob", "oracle"}
    assert told["baselines"]["oracle"]["napgr"]["value"] == 1
    assert {task: told["by_task"][task]["rows"] for task in told["by_task"]} == {"a": 60, "b": 40}
    for task in told["by_task"].values():
        assert told["metrics"].keys() | {"rows"} == task.keys()
    alone = report(scores, rows, with_cloud=False)
    assert "apgr" not in alone["metrics"]
    json.dumps(told, allow_nan=False)


def test_long_answers_without_samples_are_asked_again_for_a_profile_that_compares_them(
    tmp_path: Path,
) -> None:
    questions = [LabelledQuestion(f"What is {n}+1?", str(n + 1), "number") for n in range(4)]

    def answer(asked: Sequence[LabelledQuestion]) -> Iterator[tuple[LabelledQuestion, LocalResult]]:
        for question in asked:
            tokens = 60 if question.prompt < "What is 2" else 5
            yield (
                question,
                LocalResult("3", "stop", [-0.1] * tokens, tokens_in=5, tokens_out=tokens, first=FIRST),
            )

    def count_new(samples: int) -> int:
        saved = SavedRows.read(tmp_path / "rows.jsonl", samples)
        return len(list(answered(questions, answer, lambda *_: True, "weights", saved)))

    assert [count_new(samples) for samples in (0, 0, 2, 2, 0)] == [4, 0, 2, 0, 0]


def test_answered_rows_are_kept_and_used_again(tmp_path: Path) -> None:
    questions = [
        LabelledQuestion(f"What is {n}+1?", str(n + 1), "number", cloud_correct=True) for n in range(5)
    ]
    asked: list[str] = []

    def answer(asked_now: Sequence[LabelledQuestion]) -> Iterator[tuple[LabelledQuestion, LocalResult]]:
        for question in reversed(asked_now):  # they come as they are finished
            asked.append(question.prompt)
            yield (
                question,
                LocalResult(
                    text="3", finish_reason="stop", logprobs=[-0.1], tokens_in=5, tokens_out=1, first=FIRST
                ),
            )

    def score(question: LabelledQuestion, text: str) -> bool:
        return is_right(question, text, {})

    def count_new(chosen: list[LabelledQuestion], weights: str = "weights") -> int:
        return len(list(answered(chosen, answer, score, weights, SavedRows.read(file))))

    file = tmp_path / "rows.jsonl"
    first = list(answered(questions[:3], answer, score, "weights", SavedRows.read(file)))
    assert [row.local_right for row in first] == [True, False, False]
    with file.open("ab") as lines:
        lines.write(b'{"key":"cut in the mid')
    assert list(SavedRows.read(file).rows.values()) == first
    assert count_new(questions[:3]) == 0
    assert count_new([*questions, *questions]) == 2  # one that comes twice is asked once
    assert count_new(questions, "other weights") == 5
    assert len(asked) == 10
    assert len(SavedRows.read(file).rows) == 10
    other = tmp_path / "other.jsonl"
    other.write_text('{"mine": 1}')
    with pytest.raises(Failure, match="not a row of `hybrid eval`"):
        SavedRows.read(other)
    assert other.read_text() == '{"mine": 1}'
    assert b"What is" not in file.read_bytes()  # neither prompts nor answers are kept


@pytest.mark.parametrize(
    ("question", "result", "form", "usable"),
    [
        ({}, {}, "token", True),
        ({}, {"logprobs": [-0.1] * 3}, "short", True),
        ({}, {"logprobs": [-0.1] * 49}, "long", True),
        ({"schema": {"type": "object"}}, {"text": "{}"}, "json", True),
        ({"choices": ["yes", "no"]}, {"text": "yes"}, "choice", True),
        ({}, {"text": "I cannot help with that."}, "token", False),
        ({}, {"doubt": "repeats the prompt"}, "token", False),
        ({}, {"finish_reason": "length"}, "token", False),
        ({}, {"finish_reason": "loop"}, "token", False),
    ],
)
def test_a_row_tells_kind_form_and_doubt(
    question: dict[str, Any], result: dict[str, Any], form: str, usable: bool
) -> None:
    asked = LabelledQuestion("What is 2+1?", "3", "text", context="Count.", **question)
    answer = LocalResult(
        **{
            "text": "3",
            "finish_reason": "stop",
            "logprobs": [-0.1],
            "tokens_in": 5,
            "tokens_out": 1,
            **result,
        }
    )
    (row,) = answered(
        [asked], lambda now: [(now[0], answer)], lambda *_: True, "weights", SavedRows.read(None)
    )
    assert (row.form, row.is_usable) == (form, usable)
    assert row.kinds == pytest.approx(kinds_of(asked), abs=1e-4)
    assert row.kinds != pytest.approx(kinds_of(LabelledQuestion("Translate it.", "3", "text")), abs=1e-4)
    assert row.signals == answer_signals(answer.logprobs, 5, None)


def test_rows_are_a_file_or_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for bad in (tmp_path, tmp_path / "fifo", tmp_path / "loop", Path(os.devnull), tmp_path / "none" / "rows"):
        with pytest.raises(Failure, match=r"is not a regular file|no such folder"):
            SavedRows.read(bad)
    damaged = tmp_path / "rows"
    row = made_row("1", wrong=True)
    whole = msgspec.json.encode(row)
    lacking = [
        *({"signals": {}}, {"running": []}, {"kinds": []}, {"kinds": row.kinds[1:]}, {"form": "essay"}),
        *({name: None} for name in ("form", "kinds", "doubted")),
    ]
    lines = [msgspec.json.encode({**msgspec.json.decode(whole), "key": "0", **part}) for part in lacking]
    damaged.write_bytes(b"\n".join([*lines, b'{"key":"\xff' + whole[9:], whole, b""]))
    assert list(SavedRows.read(damaged).rows.values()) == [row]  # the others are measured again
