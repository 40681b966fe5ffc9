"""Metrics, thresholds and scoring: against values worked out by hand, and against another implementation."""

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

from hybrid_cli.evaluate import early_exit, fit, metrics, thresholds
from hybrid_cli.evaluate.metrics import Curve
from hybrid_cli.evaluate.probe import fit_probe
from hybrid_cli.evaluate.questions import LabelledQuestion, is_right, read_questions
from hybrid_cli.evaluate.report import Scores, report
from hybrid_cli.evaluate.rows import Row, SavedRows, answered
from hybrid_cli.exit_status import Failure
from hybrid_cli.gate.calibration import Calibration, LogisticModel
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.gate.features import answer_signals
from hybrid_cli.gate.verdict import LocalResult
from hybrid_cli.local.protocol import TokenSignal

FIRST = TokenSignal(-0.1, 0.8, 0.3, "first")

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
@settings(max_examples=300, deadline=None)
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
@settings(max_examples=200, deadline=None)
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


def test_promises_are_kept_over_resplits() -> None:
    generator = np.random.default_rng(2)
    broken, shares, lost = 0, [], []
    for _ in range(100):
        wrong = generator.random(1600) < 0.4
        score = wrong * 1.2 + generator.normal(size=1600)
        fit, rest = slice(0, 600), slice(600, None)
        kept_to = thresholds.wrong_at_most(score[fit], wrong[fit].astype(float), 0.25, 0.1)
        if kept_to is not None:
            broken += wrong[rest][score[rest] <= kept_to].mean() > 0.25
        shares.append((score[rest] > thresholds.escalate_at_most(score[fit], 0.3)).mean())
        to = thresholds.lost_at_most(score[fit], wrong[fit].astype(float), 0.1)
        lost.append(0 if to is None else (wrong[rest] & (score[rest] <= to)).mean())
    assert broken <= 20  # promised is one in ten; this many more would be chance once in a thousand
    assert np.mean(shares) == pytest.approx(0.3, abs=0.02)
    assert np.mean(lost) <= 0.11


def test_what_cannot_be_promised_is_none() -> None:
    score = np.arange(100.0)
    assert thresholds.wrong_at_most(score, np.ones(100), 0.1, 0.1) is None
    assert thresholds.wrong_at_most(score[:20], np.zeros(20), 0.1, 0.1) is None
    assert thresholds.least_handed_off(0.5, 0.1) == pytest.approx(4 / 9)
    assert thresholds.least_handed_off(0.05, 0.1) == 0


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


def made_rows(generator: np.random.Generator, count: int, task: str, bias: float = 0.0) -> list[Row]:
    """Rows whose mean log-probability tells something of the answer, and whose minimum tells more."""
    made = []
    for number in range(count):
        wrong = bool(generator.random() < 0.4)
        mean = -0.5 - 0.2 * wrong + bias + 0.3 * generator.normal()
        logprobs = [mean] * 9 + [mean - 1 - 2 * wrong + 0.3 * generator.normal()]
        made.append(
            Row(
                key=f"{task}{number}",
                task=task,
                group=task,
                signals=answer_signals(logprobs, 10 + number % 7, FIRST),
                running=[mean, None, None],
                finish_reason="stop",
                tokens_in=10,
                tokens_out=10,
                local_right=not wrong,
                cloud_right=bool(generator.random() < 0.9),
            )
        )
    return made


def test_more_signals_are_chosen_only_where_they_win_on_other_tasks() -> None:
    generator = np.random.default_rng(3)
    rows = made_rows(generator, 200, "a") + made_rows(generator, 200, "b", bias=-0.2)
    richer = fit.choose(rows, "wrong")
    assert len(richer.model.signals) > 1
    assert fit.choose(rows[:100], "wrong").model.signals == ["mean_logprob"]
    assert "need 200" in fit.choose(rows[:100], "wrong").why
    assert "left-out tasks" in richer.why
    assert "left-out questions" in fit.choose(made_rows(generator, 300, "a"), "wrong").why
    plain = [
        msgspec.structs.replace(row, signals=dict.fromkeys(row.signals, row.signals["mean_logprob"]))
        for row in rows
    ]
    assert fit.choose(plain, "wrong").model.signals == ["mean_logprob"]  # where nothing more is known
    alike = [msgspec.structs.replace(row, local_right=True) for row in rows[:20]]
    assert "unknown" in fit.choose(alike, "wrong").why


def test_no_score_keeps_what_lacks_a_signal_or_an_end() -> None:
    rows = made_rows(np.random.default_rng(4), 50, "a")
    model = fit.fit(rows, ["mean_logprob"], "wrong")
    blind = msgspec.structs.replace(rows[0], signals=answer_signals([None, -0.1], 3, FIRST))
    assert model.probability(blind.signals) is None
    cut = msgspec.structs.replace(rows[0], finish_reason="length")
    assert fit.scores(model, [blind, cut]).tolist() == [np.inf, np.inf]


def test_the_fitted_chance_is_the_share_of_wrong_answers() -> None:
    rows = made_rows(np.random.default_rng(5), 2000, "a")
    model = fit.fit(rows, ["mean_logprob", "min_logprob"], "wrong")
    chance, wrong = fit.scores(model, rows), np.array([not row.local_right for row in rows], dtype=float)
    assert chance.mean() == pytest.approx(wrong.mean(), abs=1e-3)  # the likelihood's own equation
    assert metrics.ece(chance, wrong) < 0.05
    assert metrics.auroc(chance, wrong) > 0.9


def test_no_row_is_scored_by_a_fit_that_saw_it_or_its_group() -> None:
    rows = [row for task in "abcdefg" for row in made_rows(np.random.default_rng(8), 30, task)]
    for by in ("key", "group"):
        scored = []
        for rest, left_out in fit.folds(rows, by):
            seen = {getattr(rows[place], by) for place in rest}
            assert not seen & {getattr(rows[place], by) for place in left_out}
            scored += left_out
        assert sorted(scored) == list(range(len(rows)))


def test_helping_is_fitted_where_only_the_cloud_tells() -> None:
    """Of hopeless prompts, which neither side gets right, a handoff brings nothing."""
    generator = np.random.default_rng(9)
    rows = made_rows(generator, 300, "a")
    hopeless = [msgspec.structs.replace(row, cloud_right=row.tokens_in == 0) for row in rows]
    long = [
        msgspec.structs.replace(
            row, key=f"b{row.key}", signals={**row.signals, "log_prompt_tokens": 9.0}, cloud_right=False
        )
        for row in hopeless
    ]
    helps = fit.scores(fit.fit(rows + long, fit.RICH, "helps"), rows + long)
    assert helps[:300].mean() > 4 * helps[300:].mean()
    wrong = fit.scores(fit.fit(rows + long, fit.RICH, "wrong"), rows + long)
    assert wrong[300:].mean() == pytest.approx(wrong[:300].mean(), abs=0.1)


def test_early_floors_spare_what_is_kept() -> None:
    rows = made_rows(np.random.default_rng(10), 400, "a")
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
    score = fit.scores(fit.fit(rows, ["mean_logprob"], "wrong"), rows)
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
    for figure in told["metrics"].values():
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert told["baselines"].keys() == {"random", "prompt_length", "mean_logprob", "oracle"}
    assert told["baselines"]["oracle"]["napgr"]["value"] == 1
    assert {task: told["by_task"][task]["rows"] for task in told["by_task"]} == {"a": 60, "b": 40}
    for task in told["by_task"].values():
        assert told["metrics"].keys() | {"rows"} == task.keys()
    alone = report(scores, rows, with_cloud=False)
    assert "apgr" not in alone["metrics"]
    json.dumps(told, allow_nan=False)


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


def stated_rows(generator: np.random.Generator, count: int) -> list[Row]:
    """Rows whose hidden state alone tells a wrong answer, in one of its sixteen values."""
    found = []
    for row in made_rows(generator, count, "a"):
        state = generator.normal(size=16)
        state[3] += 0.0 if row.local_right else 2.5
        signals = answer_signals([-0.5 - generator.random()] * 10, 10, FIRST)
        found.append(msgspec.structs.replace(row, signals=signals, state=state.astype("<f2").tobytes()))
    return found


def test_the_hidden_state_is_read_where_it_wins() -> None:
    rows = stated_rows(np.random.default_rng(4), 500)
    choice = fit.choose(rows, "wrong")
    assert choice.model.signals[-1] == "probe"
    assert "and the hidden state (" in choice.why
    score = fit.scores(choice.model, rows)
    for row, value in zip(rows[:20], score, strict=False):  # as a run reads it
        signals = choice.model.complete(row.signals, row.state)
        assert choice.model.probability(signals) == pytest.approx(value, abs=1e-6)
    again = msgspec.json.decode(msgspec.json.encode(choice.model), type=type(choice.model))
    assert again == choice.model
    without = fit.choose([msgspec.structs.replace(row, state=None) for row in rows], "wrong")
    assert without.model.probe is None


def test_a_missing_or_broken_state_is_never_kept() -> None:
    rows = stated_rows(np.random.default_rng(5), 300)
    model = fit.fit(rows, fit.WITH_PROBE, "wrong")
    broken = (None, b"", rows[0].state[:-2], np.full(16, np.inf, dtype="<f2").tobytes())  # type: ignore[index]
    for state in broken:
        assert model.probability(model.complete(rows[0].signals, state)) is None
        assert np.isinf(fit.scores(model, [msgspec.structs.replace(rows[0], state=state)]))[0]
    assert Criterion(0.0, calibration_of(model)).confidence(model.complete(rows[0].signals, None)) is None


def test_each_row_has_the_probe_of_a_fit_without_it() -> None:
    rows = stated_rows(np.random.default_rng(6), 60)
    label = 1 - np.array([row.local_right for row in rows], dtype=float)
    _, alone = fit_probe(rows, label)
    for place in (0, 7, 31):
        rest = [row for other, row in enumerate(rows) if other != place]
        probe, _ = fit_probe(rest, np.delete(label, place))
        assert alone[place] == pytest.approx(probe.value(rows[place].state), abs=0.05)


def test_few_labels_choose_the_sum_where_it_ranks_better() -> None:
    generator = np.random.default_rng(7)
    rows = []
    for row in made_rows(generator, 150, "a"):
        tokens = int(generator.integers(20, 60)) + (0 if row.local_right else 40)
        signals = {**row.signals, "sum_logprob": (row.signals["mean_logprob"] or 0) * tokens}
        rows.append(msgspec.structs.replace(row, signals=signals))
    assert fit.choose(rows, "wrong").model.signals == ["sum_logprob"]


def test_what_the_rows_could_bear_is_what_they_bear() -> None:
    generator = np.random.default_rng(6)
    wrong = (generator.random(400) < 0.3).astype(float)
    score = wrong + generator.normal(size=400)
    score[:40] = np.inf  # cut
    best = thresholds.least_wrong(score, wrong, 0.1)
    assert thresholds.wrong_at_most(score, wrong, best + 0.001, 0.1) is not None
    assert thresholds.wrong_at_most(score, wrong, best - 0.001, 0.1) is None
    nothing = np.full(400, np.inf)
    assert thresholds.least_wrong(nothing, wrong, 0.1) == thresholds.least_lost(nothing, wrong) == 1
    assert (
        thresholds.wrong_at_most(nothing, wrong, 0.9, 0.1)
        is thresholds.lost_at_most(nothing, wrong, 0.9)
        is None
    )
    best = thresholds.least_lost(score, wrong)
    assert thresholds.lost_at_most(score, wrong, best + 1e-6) is not None
    assert thresholds.lost_at_most(score, wrong, best - 1e-6) is None
    assert thresholds.lost_at_most(score, wrong, 1.0) == score[40:].max()  # and nothing that was cut
    assert math.isfinite(thresholds.wrong_at_most(score, wrong, 1.0, 0.1) or math.inf)


@pytest.mark.parametrize(
    "damage",
    [
        {"weights": []},
        {"signals": [], "means": [], "scales": [], "weights": []},
        {"scales": [0.0]},
        {"signals": ["nope"]},
    ],
)
def test_a_calibration_that_cannot_be_read_is_none(damage: dict[str, Any]) -> None:
    whole = {"signals": ["mean_logprob"], "means": [0.0], "scales": [1.0], "weights": [1.0], "bias": 0.0}
    assert msgspec.convert(whole, LogisticModel).probability({"mean_logprob": 0.0}) == 0.5
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**whole, **damage}, LogisticModel)
    with pytest.raises(ValueError, match="checkpoints"):
        msgspec.structs.replace(calibration_of(msgspec.convert(whole, LogisticModel)), early=[None])


def test_rows_are_a_file_or_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for bad in (tmp_path, tmp_path / "fifo", tmp_path / "loop", Path(os.devnull), tmp_path / "none" / "rows"):
        with pytest.raises(Failure, match=r"is not a regular file|no such folder"):
            SavedRows.read(bad)
    damaged = tmp_path / "rows"
    row = made_rows(np.random.default_rng(7), 1, "a")[0]
    whole = msgspec.json.encode(row)
    for part in ({"signals": {}}, {"running": []}):
        damaged.write_bytes(
            msgspec.json.encode({**msgspec.json.decode(whole), **part}) + b"\n" + whole + b"\n"
        )
        assert list(SavedRows.read(damaged).rows) == [row.key]  # what lacks something is measured again


def calibration_of(model: LogisticModel) -> Calibration:
    return Calibration("", "wrong_at_most", 0.1, 1.0, model, "wrong", None, 0)
