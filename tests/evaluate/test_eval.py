"""`hybrid eval` and `hybrid calibrate` with the real model, and what a run makes of a calibration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hybrid_cli.evaluate.promises import TARGETS, VALUES
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.gate.calibration import Calibration, Promise, as_text, shipped
from hybrid_cli.gate.cloud_score import handoff_gain
from hybrid_cli.prompt import Question
from hybrid_process import HELLO, Hybrid, executed
from made_rows import made_calibration
from scripted_cloud import Reply, ScriptedCloud

Profile = Callable[..., Path]
SHORT = ("--max-tokens", "16", "--quiet")
PATIENCE = 500.0
"""Seconds for a hundred answers: they take 20 s of processor time, and minutes on a busy machine."""
pytestmark = pytest.mark.timeout(PATIENCE + 180)  # whichever test comes first waits for them


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sums that this model gets right at times, and never knows when."""
    file = tmp_path_factory.mktemp("data") / "questions.jsonl"
    rows = [
        {
            "task": "small" if first < 6 else "large",
            "prompt": f"What is {first} + {second}? Reply with the number only.",
            "answer": str(first + second),
            "kind": "text",
            "cloud_correct": second != 3,
        }
        for first in range(1, 11)
        for second in range(1, 11)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(scope="module")
def rows(questions: Path, command: str, weights_home: Path) -> Path:
    """The answers of the model to all questions, which each test of this module goes on from."""
    file = questions.with_name("rows.jsonl")
    hybrid = executed(command, weights_home)
    done = hybrid("eval", questions, "--rows", file, "--cloud", "none", *SHORT, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return file


def test_eval_measures_the_real_model_and_goes_on_from_its_rows(
    hybrid: Hybrid, questions: Path, rows: Path, tmp_path: Path
) -> None:
    answered = rows.read_text().splitlines()
    assert len(answered) == 100
    begun = tmp_path / "rows.jsonl"
    begun.write_text("".join(f"{line}\n" for line in answered[:90]))
    few = hybrid("eval", questions, "--rows", begun, "--limit", "5", "--cloud", "none", "--json", *SHORT)
    assert few.returncode == 0, few.stderr
    told = json.loads(few.stdout)
    assert (told["rows"], told["split"], told["model"]) == (5, "all", "smollm2-135m")
    assert begun.read_text().splitlines() == answered[:90]
    done = hybrid("eval", questions, "--rows", begun, "--json", *SHORT)
    told = json.loads(done.stdout)
    assert told["rows"] == 100
    lines = begun.read_text().splitlines()
    assert lines[:90] == answered[:90]
    assert {json.loads(line)["key"] for line in lines} == {json.loads(line)["key"] for line in answered}
    assert told["metrics"]["accuracy_cloud"]["value"] == pytest.approx(0.9)
    assert 0 < told["metrics"]["accuracy_local"]["value"] < 1
    assert told["by_task"]["small"]["rows"] == 50
    assert set(told["baselines"]) == {"random", "prompt_length", "mean_logprob", "oracle"}
    assert set(told["early"]) >= {"by_token_8", "false_aborts", "tokens_saved"}
    assert (
        told["early"]["by_token_16"] == 1.0
    )  # no answer is longer, and 30 % are handed off whatever was cut
    picture = rows.with_name("picture.svg")
    drawn = hybrid(
        "eval", questions, "--rows", rows, "--unseen", "subjects", "--plot", picture, "--verbose", *SHORT[:2]
    )
    assert "accuracy_local" in drawn.stdout.decode()
    assert "each scored by fits that did not see it (--unseen subjects)" in drawn.stdout.decode()
    assert drawn.stdout.decode().splitlines()[: len(told["lines"])] == told["lines"]
    assert "<svg" in picture.read_text()
    bad = hybrid("eval", questions, "--rows", rows, "--plot", "picture.doc", *SHORT)
    assert (bad.returncode, bad.stdout) == (2, b"")
    assert b"unknown format; use .svg, .png, .pdf" in bad.stderr
    plans = [
        json.loads(hybrid("eval", questions, "--rows", rows, "--split", half, "--dry-run", "--json").stdout)
        for half in ("fit", "test")
    ]
    other = hybrid("eval", questions, "--rows", rows, "--max-tokens", "17", "--dry-run", "--json")
    assert json.loads(other.stdout)["to_answer"] == 100  # an answer of 16 tokens says nothing of one of 17
    twice = rows.with_name("twice.jsonl")
    twice.write_text(questions.read_text() * 2)
    once = hybrid("eval", twice, "--rows", rows, "--dry-run", "--json", "--max-tokens", "16")
    assert (json.loads(once.stdout)["questions"], json.loads(once.stdout)["to_answer"]) == (100, 0)
    assert b"ignoring 100 repeated questions" in once.stderr
    halves = [plan["questions"] for plan in plans]
    assert sum(halves) == 100
    assert min(halves) > 40


def test_eval_says_first_what_the_profile_would_do(
    hybrid: Hybrid, profile: Profile, questions: Path, rows: Path
) -> None:
    path = profile(
        "local: {sampling: {repeat_penalty: 1.1}}\nescalation: {target: {threshold: 0.01}}\n", "all.yaml"
    )
    done = hybrid("eval", questions, "-p", path, "--rows", rows, *SHORT)
    assert done.returncode == 0, done.stderr
    first, second, *_, last = done.stdout.decode().splitlines()
    assert first.startswith("With threshold=0.01 (profile ")
    assert "hybrid keeps " in first
    assert "% of the answers of smollm2-135m; of these, " in first
    assert first.endswith("% are wrong (the cloud: 10%).")
    assert second.startswith("With handoffs, ")
    assert second.endswith("% of all answers are right.")
    assert last.startswith("Measured on 100 questions, of which the local model answers ")
    assert b"auroc" not in done.stdout
    sampling = "local: {sampling: {repeat_penalty: 1.1}}\n"  # as in `default`, whose rows are used again
    nothing = profile(f"{sampling}escalation: {{target: {{quality_at_least: 0.9}}}}\n", "none.yaml")
    unfit = hybrid("eval", questions, "-p", nothing, "--rows", rows, "--cloud", "none", *SHORT)
    assert unfit.returncode == 0, unfit.stderr
    (told, *_) = unfit.stdout.decode().splitlines()
    assert "sets escalation.target.quality_at_least, which needs a calibration of smollm2-135m" in told
    assert "run: hybrid calibrate DATA --target quality_at_least=0.9" in told


def test_a_single_question_can_be_evaluated(hybrid: Hybrid, questions: Path, rows: Path) -> None:
    one = hybrid("eval", questions, "--rows", rows, "--limit", "1", "--cloud", "none", "--json", *SHORT)
    assert one.returncode == 0, one.stderr
    assert json.loads(one.stdout)["rows"] == 1


def test_outcomes_that_are_partly_recorded_are_refused(
    hybrid: Hybrid, questions: Path, rows: Path, tmp_path: Path
) -> None:
    lines = [json.loads(line) for line in questions.read_text().splitlines()]
    del lines[7]["cloud_correct"]
    partly = tmp_path / "partly.jsonl"
    partly.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = hybrid("eval", partly, "--rows", rows, *SHORT)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"some questions lack cloud_correct; use --cloud live or --cloud none" in done.stderr


def test_a_calibrated_target_is_kept_by_run(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, questions: Path, rows: Path
) -> None:
    sampling = "local: {sampling: {repeat_penalty: 1.1}}\n"  # as in `default`, whose rows are used again
    targets = ("quality_at_least: 0.9", "wrong_at_most: 0.35")
    quality, wrong = (
        profile(f"{cloud.section()}{sampling}escalation: {{target: {{{target}}}}}\n", f"{target[:5]}.yaml")
        for target in targets
    )
    before = hybrid("run", "-p", quality, "hi", HYBRID_CONSENT=cloud.origin)
    assert (before.returncode, before.stdout) == (2, b"")
    assert b"run: hybrid calibrate DATA --target quality_at_least=0.9" in before.stderr
    answered = rows.read_bytes()
    flags = ("-p", quality, "--rows", rows, "--target", "quality_at_least=0.9", *SHORT)
    fitted = hybrid("calibrate", questions, "--json", *flags)
    assert fitted.returncode == 0, fitted.stderr
    assert rows.read_bytes() == answered
    told = json.loads(fitted.stdout)
    assert (told["rows"], told["cloud"], told["delta"], told["value"]) == (100, "scripted", None, 0.9)
    assert [(one["target"], one["value"]) for one in told["promises"]] == [
        (target, value) for target in TARGETS for value in VALUES[target]
    ]
    made = msgspec.json.decode(Path(told["file"]).read_bytes(), type=Calibration)
    assert (made.model, made.rows) == ("smollm2-135m", 100)
    measured = [msgspec.json.decode(line, type=Row) for line in answered.splitlines()]
    decisions = []
    for path, target, value in ((quality, "quality_at_least", 0.9), (wrong, "wrong_at_most", 0.35)):
        promise = made.promise(target, value)
        assert promise is not None
        assert promise.keep_to is not None
        for sum_ in ("1 + 8", "3 + 2", "4 + 8"):  # answers that pass the check of arithmetic
            prompt = f"What is {sum_}? Reply with the number only."
            done = hybrid("run", "-p", path, *SHORT, "--json", prompt, HYBRID_CONSENT=cloud.origin)
            handoff = json.loads(done.stdout)["handoff"]
            assert handoff["threshold"] == pytest.approx(1 - promise.keep_to)
            if handoff["reason"] != "check_failed" and handoff["stage"] == "end":
                sure = handoff["confidence"] >= handoff["threshold"]
                assert (handoff["decision"] == "kept") == sure
                decisions.append(handoff["decision"])
                like = confidences(made, target, measured, prompt)  # one of these rows is this question's
                assert min(abs(handoff["confidence"] - one) for one in like) < 0.01
    assert decisions
    text = hybrid("calibrate", questions, *flags)
    assert text.returncode == 0, text.stderr
    head, *promises, last = text.stdout.decode().splitlines()
    assert head.startswith("100 questions; for ")
    assert [line.split()[0] for line in promises] == [
        f"quality_at_least={v:g}" for v in VALUES["quality_at_least"]
    ]
    assert last == f"written: {told['file']}"


def confidences(calibration: Calibration, target: str, rows: list[Row], prompt: str) -> list[float]:
    """Return the confidence in an answer to `prompt` like each row's."""
    assert calibration.cloud_score is not None
    right = calibration.cloud_score.probability(Question(prompt, ""))
    wrong = [calibration.score.probability(row.kinds, row.form, row.signals) for row in rows]
    return [
        1 - (one if target == "wrong_at_most" else handoff_gain(one, right))
        for one in wrong
        if one is not None
    ]


def test_a_calibration_of_other_weights_is_not_used(hybrid: Hybrid, home: Path, profile: Profile) -> None:
    write(home, made_calibration())
    done = hybrid("run", "-p", profile("escalation: {target: {wrong_at_most: 0.01}}\n"), "hi")
    assert done.returncode == 2
    assert b"it does not promise so much" in done.stderr


def write(home: Path, calibration: Calibration, name: str = "made.json") -> Path:
    """Write a calibration into the folder of the user's own ones."""
    folder = home / "config" / "calibrations"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(as_text(calibration))
    return path


@pytest.mark.parametrize(
    ("target", "code", "told"),
    [
        ("wrong_at_most=0.01", 1, "smollm2-135m cannot keep wrong_at_most=0.01; "),
        ("quality_at_least=0.999", 1, "; the questions support quality_at_least=0."),
        ("wrong_at_most=2", 2, "invalid target `wrong_at_most=2`; write, for example, "),
        ("wrong_at_most=nan", 2, "invalid target `wrong_at_most=nan`"),
        ("faster=0.5", 2, "invalid target `faster=0.5`"),
    ],
)
def test_a_promise_that_cannot_be_made(
    hybrid: Hybrid, home: Path, questions: Path, rows: Path, target: str, code: int, told: str
) -> None:
    done = hybrid("calibrate", questions, "--rows", rows, "--target", target, *SHORT)
    assert (done.returncode, done.stdout) == (code, b"")
    assert told in done.stderr.decode()
    stored = list(home.glob("config/calibrations/*.json"))
    assert len(stored) == (code == 1)  # what was measured is kept: other promises may hold


@pytest.mark.parametrize(("delta", "code"), [("0.1", 0), ("0.0001", 2), ("0.6", 2)])
def test_without_a_target_the_profiles_is_tried_and_the_result_is_stored(
    hybrid: Hybrid, home: Path, profile: Profile, questions: Path, rows: Path, delta: str, code: int
) -> None:
    sampling = "local: {sampling: {repeat_penalty: 1.1}}\n"
    path = profile(f"{sampling}escalation: {{target: {{wrong_at_most: 0.012}}}}\n")
    done = hybrid(
        "calibrate",
        questions,
        "-p",
        path,
        "--rows",
        rows,
        "--cloud",
        "none",
        "--delta",
        delta,
        "--json",
        *SHORT[:2],
    )
    assert done.returncode == code, done.stderr
    if code:
        assert b"--delta must be between 0.001 and 0.5" in done.stderr
        return
    assert b"smollm2-135m cannot keep wrong_at_most=0.012; " in done.stderr
    assert b"% of the local answers are wrong, so any gate must hand off at least " in done.stderr
    told = json.loads(done.stdout)
    assert (told["target"], told["value"], told["delta"], told["cloud"]) == (
        "wrong_at_most",
        0.012,
        0.1,
        None,
    )
    assert (told["handed_off"], told["wrong_of_kept"]) == (1.0, None)
    assert {"target": "wrong_at_most", "value": 0.012, "kept": 0.0, "wrong_of_kept": None} in told["promises"]
    run = hybrid("run", "-p", path, "--escalation", "forbid", *SHORT[:2], "--json", "What is 1 + 1?")
    handoff = json.loads(run.stdout)["handoff"]
    assert (run.returncode, handoff["threshold"]) in ((0, 1.0), (7, 1.0))
    assert list(home.glob("config/calibrations/*.json")) == [Path(told["file"])]


def test_an_unsure_answer_is_given_up_early(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, home: Path, model_file: Path
) -> None:
    write(
        home,
        made_calibration(model_file.stem, Promise("escalate_at_most", 0.3, 1.0, early=[-0.0001, None, None])),
    )
    path = profile(cloud.section() + "escalation: {target: {escalate_at_most: 0.3}}\n")
    prompt = "Write a long story about a fox."
    done = hybrid("run", "-p", path, "--max-tokens", "300", "--json", prompt, HYBRID_CONSENT=cloud.origin)
    answer = json.loads(done.stdout)
    assert (answer["answered_by"], answer["handoff"]["stage"]) == ("cloud", "tokens")
    assert 8 <= answer["usage"]["local"]["out"] < 100  # what was thrown away is counted
    assert 0 < answer["timings"]["local"] < answer["timings"]["total"]
    stages = answer["handoff"]["stages"]
    assert {stage["stage"] for stage in stages} == {"tokens"}
    assert (stages[0]["tokens"], stages[0]["threshold"]) == (8, pytest.approx(0.9999, abs=1e-6))
    assert stages[0]["score"] < stages[0]["threshold"]
    assert b"handed off to scripted: unsure after 8 tokens" in done.stderr
    whole = hybrid("run", "-p", path, "--max-tokens", "20", prompt)  # nobody to hand off to: not given up
    assert whole.returncode in (0, 7)
    assert b"unsure after" not in whole.stderr


def test_a_model_that_cannot_keep_the_promise_hands_off_and_says_so_once(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, home: Path, model_file: Path
) -> None:
    write(home, made_calibration(model_file.stem, Promise("wrong_at_most", 0.1, None)))
    path = profile(cloud.section() + "escalation: {target: {wrong_at_most: 0.1}}\n")
    reason = b"smollm2-135m cannot keep wrong_at_most=0.1; use a larger model or a weaker promise"
    off = hybrid("run", "-p", path, *SHORT[:2], "What is 2+2?", HYBRID_CONSENT=cloud.origin)
    assert (off.returncode, off.stdout) == (0, b"The cloud says hello.\n")
    assert off.stderr.count(reason) == 1
    lines = b"What is 1+1?\nWhat is 2+2?\nWhat is 3+3?\n"
    piped = hybrid("pipe", "One word.", "-p", path, *SHORT[:2], stdin=lines, HYBRID_CONSENT=cloud.origin)
    assert piped.returncode == 0, piped.stderr
    assert piped.stdout == b"The cloud says hello.\n" * 3
    assert piped.stderr.count(b"cannot keep wrong_at_most=0.1") == 1
    alone = hybrid("run", "-p", path, "--escalation", "forbid", *SHORT[:2], "What is 2+2?")
    assert (alone.returncode, len(cloud.received)) == (0, 4)
    assert alone.stdout
    assert alone.stderr.count(reason + b"; not handed off: --escalation forbids handoffs") == 1


def test_damaged_calibrations_do_not_stop_a_run(
    hybrid: Hybrid, home: Path, profile: Profile, model_file: Path
) -> None:
    kept = made_calibration(model_file.stem)
    write(home, kept)
    for name, damaged in (("0.json", b"\xff{"), ("1.json", as_text(kept)[:-20])):
        write(home, kept, name).write_bytes(damaged)
    path = profile("escalation: {mode: forbid, target: {wrong_at_most: 0.05}}\n")
    done = hybrid("run", "-p", path, "--max-tokens", "24", "--json", "What is 2+2? One word.")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(b"is not a valid calibration; ignored") == 2
    assert json.loads(done.stdout)["handoff"]["threshold"] == 0.0


def test_verify_escalates_or_fails(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    path = profile(cloud.section() + "escalation: {target: {threshold: 0.01}}\n")
    kept = hybrid("run", "-p", path, "--verify", "grep -q Hello", *HELLO, HYBRID_CONSENT=cloud.origin)
    assert (kept.returncode, cloud.received) == (0, [])
    off = hybrid("run", "-p", path, "--verify", "grep -q cloud", *HELLO, HYBRID_CONSENT=cloud.origin)
    assert (off.returncode, off.stdout) == (0, b"The cloud says hello.\n")
    assert b"fails its check: `grep` exited with code 1" in off.stderr
    both = hybrid("run", "-p", path, "--verify", "false", *HELLO, HYBRID_CONSENT=cloud.origin)
    assert (both.returncode, both.stdout) == (7, b"")
    cloud.replies = [Reply(pieces=("I cannot help with that.",))]
    declined = hybrid("run", "-p", path, "--verify", "grep -q I", *HELLO, HYBRID_CONSENT=cloud.origin)
    assert declined.returncode == 0
    assert b"the cloud model declined" in declined.stderr
    alone = hybrid("run", "-p", "offline", "--verify", "false", *HELLO)
    assert (alone.returncode, alone.stdout) == (7, b"")
    for bad in ("", "'unclosed"):
        assert hybrid("run", "--verify", bad, "hi").returncode == 2


def test_verify_of_a_profile(hybrid: Hybrid, profile: Profile) -> None:
    path = profile("escalation: {mode: forbid}\nchecks: {verify: [grep, -q, Hello, '{file}']}\n")
    assert hybrid("run", "-p", path, *HELLO).returncode == 0
    path = profile("escalation: {mode: forbid}\nchecks: {verify: [grep, -q, '9999', '{file}']}\n")
    assert hybrid("run", "-p", path, *HELLO).returncode == 7


def test_a_shipped_calibration_needs_no_fitting(hybrid: Hybrid, profile: Profile) -> None:
    path = profile("escalation: {mode: forbid, target: {escalate_at_most: 0.3}}\n")
    done = hybrid("run", "-p", path, "--max-tokens", "24", "--json", "What is 2 + 2?")
    assert done.returncode == 0, done.stderr
    handoff = json.loads(done.stdout)["handoff"]
    promise = shipped()[0].promise("escalate_at_most", 0.3)
    assert promise is not None
    assert promise.keep_to is not None
    assert handoff["threshold"] == pytest.approx(1 - promise.keep_to)
    *_, end = handoff["stages"]
    assert (end["stage"], end["score"], end["threshold"]) == (
        "end",
        handoff["confidence"],
        handoff["threshold"],
    )
