"""`hybrid eval` and `hybrid calibrate` with the real model, and what a run makes of a calibration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hybrid_cli.gate import calibration
from hybrid_cli.gate.features import VERSION
from hybrid_cli.weights.catalog import shipped_catalog
from hybrid_process import HELLO, Hybrid
from scripted_cloud import Reply, ScriptedCloud

Profile = Callable[..., Path]
SHORT = ("--max-tokens", "16", "--quiet")


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
def rows(questions: Path) -> Path:
    """Where all tests of this module keep what was measured, so that the model answers each question once."""
    return questions.with_name("rows.jsonl")


def test_eval_measures_the_real_model_and_goes_on_from_its_rows(
    hybrid: Hybrid, questions: Path, rows: Path
) -> None:
    first = hybrid("eval", questions, "--rows", rows, "--limit", "5", "--cloud", "none", "--json", *SHORT)
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert (told["rows"], told["split"], told["model"]) == (5, "all", "smollm2-135m")
    assert len(rows.read_text().splitlines()) == 5
    done = hybrid("eval", questions, "--rows", rows, "--json", *SHORT)
    told = json.loads(done.stdout)
    assert told["rows"] == 100
    assert len(rows.read_text().splitlines()) == 100
    assert told["metrics"]["accuracy_cloud"]["value"] == pytest.approx(0.9)
    assert 0 < told["metrics"]["accuracy_local"]["value"] < 1
    assert told["by_task"]["small"]["rows"] == 50
    assert set(told["baselines"]) == {"random", "prompt_length", "mean_logprob", "oracle"}
    assert set(told["early"]) >= {"by_token_8", "false_aborts", "tokens_saved"}
    assert (
        told["early"]["by_token_16"] == 1.0
    )  # no answer is longer, and 30 % are handed off whatever was cut
    picture = rows.with_name("picture.svg")
    drawn = hybrid("eval", questions, "--rows", rows, "--unseen", "subjects", "--plot", picture, *SHORT)
    assert "accuracy_local" in drawn.stdout.decode()
    assert "each tested on subjects that it had not seen" in drawn.stdout.decode()
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


def test_a_calibrated_target_is_kept_by_run(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, questions: Path, rows: Path
) -> None:
    sampling = "local: {sampling: {repeat_penalty: 1.1}}\n"  # as in `default`, whose rows are used again
    path = profile(f"{cloud.section()}{sampling}escalation: {{target: {{escalate_at_most: 0.4}}}}\n")
    before = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    assert (before.returncode, before.stdout) == (2, b"")
    assert b"run: hybrid calibrate DATA --target escalate_at_most=0.4" in before.stderr
    answered = rows.read_bytes()
    flags = ("-p", path, "--rows", rows, "--target", "escalate_at_most=0.4", "--json", *SHORT)
    fitted = hybrid("calibrate", questions, *flags)
    assert fitted.returncode == 0, fitted.stderr
    assert rows.read_bytes() == answered
    told = json.loads(fitted.stdout)
    assert told["rows"] == 100
    assert 0 < told["handed_off"] <= 0.42
    assert Path(told["file"]).is_file()
    decisions = []
    for first in (1, 2, 5, 9):
        prompt = f"What is {first} + 9? Reply with the number only."
        done = hybrid("run", "-p", path, "--max-tokens", "24", "--json", prompt, HYBRID_CONSENT=cloud.origin)
        answer = json.loads(done.stdout)
        handoff = answer["handoff"]
        assert handoff["threshold"] == pytest.approx(
            1 - json.loads(Path(told["file"]).read_text())["keep_to"]
        )
        if handoff["reason"] != "check_failed" and handoff["stage"] == "end":
            sure = handoff["confidence"] >= handoff["threshold"]
            assert (handoff["decision"] == "kept") == sure
            decisions.append(handoff["decision"])
    assert decisions


def test_a_calibration_of_other_weights_is_not_used(hybrid: Hybrid, home: Path, profile: Profile) -> None:
    folder = home / "config" / "calibrations"
    folder.mkdir(parents=True)
    model = {"signals": ["mean_logprob"], "means": [0], "scales": [1], "weights": [-1], "bias": 0}
    other = {
        "weights": "0" * 64,
        "target": "wrong_at_most",
        "value": 0.1,
        "keep_to": 0.5,
        "model": model,
        "objective": "wrong",
        "cloud": None,
        "rows": 100,
    }
    (folder / "other.json").write_text(json.dumps(other))
    path = profile("escalation: {target: {wrong_at_most: 0.1}}\n")
    done = hybrid("run", "-p", path, "hi")
    assert done.returncode == 2
    assert b"but it was made for other weights" in done.stderr


@pytest.mark.parametrize(
    ("target", "code", "told"),
    [
        ("wrong_at_most=0.01", 1, "cannot promise wrong_at_most=0.01 for smollm2-135m"),
        ("quality_at_least=0.999", 1, "; the data supports quality_at_least=0."),
        ("wrong_at_most=2", 2, "invalid target `wrong_at_most=2`; write, for example, "),
        ("faster=0.5", 2, "invalid target `faster=0.5`"),
    ],
)
def test_a_promise_that_cannot_be_made(
    hybrid: Hybrid, questions: Path, rows: Path, target: str, code: int, told: str
) -> None:
    done = hybrid("calibrate", questions, "--rows", rows, "--target", target, *SHORT)
    assert (done.returncode, done.stdout) == (code, b"")
    assert told in done.stderr.decode()


def test_an_unsure_answer_is_given_up_early(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, home: Path, weights_home: Path
) -> None:
    (blob,) = (weights_home / "data" / "blobs").glob("*.gguf")
    folder = home / "config" / "calibrations"
    folder.mkdir(parents=True)
    model = {"signals": ["mean_logprob"], "means": [0], "scales": [1], "weights": [-1], "bias": 0}
    floors = {
        "weights": blob.stem,
        "target": "escalate_at_most",
        "value": 0.3,
        "keep_to": 1.0,
        "model": model,
        "objective": "wrong",
        "cloud": None,
        "rows": 100,
        "early": [-0.0001, None, None],
    }
    (folder / "floors.json").write_text(json.dumps(floors))
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


def test_shipped_calibrations_fit_models_of_the_catalog() -> None:
    """What ships is for weights that `hybrid pull` gets, and for the signals as they are now."""
    known = {file.sha256 for entry in shipped_catalog().values() for file in entry.files}
    shipped = sorted(Path(calibration.__file__).with_name("calibrations").glob("*.json"))
    assert len(shipped) == 8
    for path in shipped:
        held = msgspec.json.decode(path.read_bytes(), type=calibration.Calibration, strict=True)
        assert held.weights in known
        assert held.version == VERSION
        assert held.target == "escalate_at_most"
        assert path.stem.endswith(f"{held.target}-{held.value:g}")


def test_a_shipped_calibration_needs_no_fitting(hybrid: Hybrid, profile: Profile) -> None:
    path = profile("escalation: {mode: forbid, target: {escalate_at_most: 0.3}}\n")
    done = hybrid("run", "-p", path, "--max-tokens", "24", "--json", "What is 2 + 2?")
    assert done.returncode == 0, done.stderr
    handoff = json.loads(done.stdout)["handoff"]
    assert 0 < handoff["threshold"] < 1
    *_, end = handoff["stages"]
    assert (end["stage"], end["score"], end["threshold"]) == (
        "end",
        handoff["confidence"],
        handoff["threshold"],
    )


@pytest.mark.parametrize(("width", "is_read"), [(576, True), (575, False)])
def test_run_and_pipe_read_the_hidden_state_or_do_not_keep(
    hybrid: Hybrid, profile: Profile, home: Path, weights_home: Path, width: int, is_read: bool
) -> None:
    (blob,) = (weights_home / "data" / "blobs").glob("*.gguf")
    folder = home / "config" / "calibrations"
    folder.mkdir(parents=True)
    probe = calibration.Probe(b"\0" * 4 * width, 0.25)
    model = calibration.LogisticModel(["probe"], [0.0], [1.0], [-1.0], 0.0, probe)
    made = calibration.Calibration(blob.stem, "escalate_at_most", 0.3, 0.9, model, "wrong", None, 100)
    (folder / "probe.json").write_bytes(msgspec.json.encode(made))
    path = profile("escalation: {target: {escalate_at_most: 0.3}, on_denied: fail}\n")
    done = hybrid("run", "-p", path, "--max-tokens", "40", "--json", "What is 2+2? One word.")
    piped = hybrid("pipe", "One word.", "-p", path, "--quiet", stdin=b"What is 2+2?\n")
    if is_read:
        handoff = json.loads(done.stdout)["handoff"]
        assert (handoff["decision"], handoff["signals"]["probe"]) == ("kept", 0.25)
        assert piped.returncode == 0
    else:
        assert (done.returncode, done.stdout) == (3, b"")
        assert b"a signal is missing" in done.stderr
        assert piped.returncode == 3
