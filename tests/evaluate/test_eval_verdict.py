"""The verdict of `hybrid eval`: what a profile would do with the questions, said in sentences."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from hybrid_cli.evaluate.questions import LabelledQuestion
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.evaluate.verdict import EvalVerdict, verdict_on
from hybrid_cli.gate.calibration import Promise, store
from hybrid_cli.gate.features import answer_signals
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Weights
from made_rows import FIRST, made_calibration, made_row

Profile = Callable[..., Path]
WEIGHTS = "d" * 64
CLOUD = 'cloud: {base_url: "https://cloud.example/v1", model: m%s}\n'
PRICES = ", prices: {input: 1, output: 2}"


def verdict(rows: list[Row], folder: Path, profile: Profile, text: str, *promises: Promise) -> EvalVerdict:
    world = Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(folder)})
    if promises:
        store(made_calibration(WEIGHTS, *promises), world)
    policy = merge_policy(Flags(profile=str(profile(text))), world)
    asked = [LabelledQuestion(f"Is {row.key} right?", "x", "text") for row in rows]
    return verdict_on(asked, rows, policy, Weights(folder / "none", WEIGHTS), world)


def drawn(count: int = 60) -> list[Row]:
    """Return rows of which some are cut or doubted, and whose answers are wrong at random."""
    generator = np.random.default_rng(1)
    return [
        made_row(
            str(number),
            wrong=bool(generator.random() < 0.4),
            mean=-float(generator.random()),
            cloud_right=bool(generator.random() < 0.8),
            doubted=number % 10 == 0,
            finish_reason="length" if number % 10 == 1 else "stop",
            tokens_out=10 + number % 5,
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.7, 1.0])
def test_the_shares_are_those_of_the_kept_answers(tmp_path: Path, profile: Profile, threshold: float) -> None:
    rows = drawn()
    found = verdict(
        rows, tmp_path, profile, f"{CLOUD % ''}escalation: {{target: {{threshold: {threshold}}}}}\n"
    )
    kept = [
        row
        for row in rows
        if not row.doubted
        and row.finish_reason == "stop"
        and np.exp(row.signals["mean_logprob"] or 0.0) >= threshold
    ]
    keys = {row.key for row in kept}
    right = [row.local_right if row.key in keys else row.cloud_right for row in rows]
    assert found.kept == pytest.approx(len(kept) / len(rows), abs=1e-4)
    assert found.accuracy == pytest.approx(np.mean(right), abs=1e-4)
    if kept:
        assert found.wrong_of_kept == pytest.approx(np.mean([not row.local_right for row in kept]), abs=1e-4)
        assert found.cloud_wrong_of_kept == pytest.approx(
            np.mean([not row.cloud_right for row in kept]), abs=1e-4
        )
    else:
        assert found.wrong_of_kept is found.cloud_wrong_of_kept is None
    assert found.target == f"threshold={threshold:g}"
    assert found.usd_per_1000 is None  # the price of `m` is unknown


def test_a_promise_decides_as_in_a_run(tmp_path: Path, profile: Profile) -> None:
    """Also by its checkpoints, which give up an answer whose end would be good enough."""
    rows = drawn()
    target = f"{CLOUD % ''}escalation: {{target: {{wrong_at_most: 0.3}}}}\n"
    usable = [row for row in rows if row.is_usable]
    everything = verdict(rows, tmp_path, profile, target, Promise("wrong_at_most", 0.3, 1.0))
    assert everything.kept == pytest.approx(len(usable) / len(rows), abs=1e-4)
    assert everything.target == "wrong_at_most=0.3"
    floor = Promise("wrong_at_most", 0.3, 1.0, early=[-0.5, None, None])
    fewer = verdict(rows, tmp_path, profile, target, floor)
    spared = [row for row in usable if (row.running[0] or 0.0) >= -0.5]
    assert fewer.kept == pytest.approx(len(spared) / len(rows), abs=1e-4)
    nothing = verdict(rows, tmp_path, profile, target, Promise("wrong_at_most", 0.3, None))
    assert (nothing.kept, nothing.wrong_of_kept) == (0.0, None)
    assert nothing.problem == "default cannot keep wrong_at_most=0.3; use a larger model or a weaker promise"
    assert nothing.accuracy == pytest.approx(np.mean([row.cloud_right for row in rows]), abs=1e-4)
    none = verdict(rows, tmp_path, profile, target, Promise("wrong_at_most", 0.1, None))
    assert none.kept == 0.0  # the stricter promise is the next, and cannot be kept


def test_a_missing_signal_is_not_kept(tmp_path: Path, profile: Profile) -> None:
    blind = msgspec.structs.replace(made_row("1", wrong=False), signals=answer_signals([None], 5, FIRST))
    found = verdict([blind], tmp_path, profile, "escalation: {target: {threshold: 0.0}}\n")
    assert (found.kept, found.wrong_of_kept, found.accuracy) == (0.0, None, None)


def test_the_cost_is_that_of_the_handoffs(tmp_path: Path, profile: Profile) -> None:
    rows = drawn()
    all_off, none_off = (
        verdict(rows, tmp_path, profile, f"{CLOUD % PRICES}escalation: {{target: {{threshold: {value}}}}}\n")
        for value in (1.0, 0.0)
    )
    unusable = [row for row in rows if not row.is_usable]
    out = sum(row.tokens_out for row in rows) / len(rows)
    assert all_off.usd_per_1000 is not None
    assert none_off.usd_per_1000 is not None
    assert 1000 * 2e-6 * out < all_off.usd_per_1000 < 1000 * (2e-6 * out + 1e-6 * 100)
    assert none_off.usd_per_1000 == pytest.approx(all_off.usd_per_1000 * len(unusable) / len(rows), rel=0.1)


def test_without_the_clouds_outcomes_only_the_local_side_is_told(tmp_path: Path, profile: Profile) -> None:
    rows = [msgspec.structs.replace(row, cloud_right=None) for row in drawn()]
    found = verdict(rows, tmp_path, profile, "escalation: {target: {threshold: 0.0}}\n")
    assert (found.accuracy, found.cloud_wrong_of_kept, found.usd_per_1000) == (None, None, None)
    (line,) = found.lines("tiny")
    assert line.startswith("With threshold=0 (profile ")
    assert line.endswith("% are wrong.")


def test_a_target_without_a_calibration_is_a_sentence_not_an_error(tmp_path: Path, profile: Profile) -> None:
    found = verdict(drawn(), tmp_path, profile, "escalation: {target: {escalate_at_most: 0.2}}\n")
    assert (found.kept, found.accuracy) == (0.0, None)
    (line,) = found.lines("tiny")
    assert "sets escalation.target.escalate_at_most, which needs a calibration" in line
    assert "run: hybrid calibrate" in line


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (
            EvalVerdict("default", "wrong_at_most=0.2", 0.41, 0.12, 0.19, 0.87, 0.31),
            [
                "With wrong_at_most=0.2 (profile default), hybrid keeps 41% of the answers of tiny; of these, 12% are"
                " wrong (the cloud: 19%).",
                "With handoffs, 87% of all answers are right.",
                "You would spend about $0.31 per 1,000 prompts.",
            ],
        ),
        (
            EvalVerdict("default", "wrong_at_most=0.2", 0.0, None, None, None, None),
            ["With wrong_at_most=0.2 (profile default), hybrid keeps no answer of tiny."],
        ),
        (
            EvalVerdict("p", "threshold=1", 0.0, None, None, None, None, problem="it is broken"),
            ["threshold=1 (profile p): it is broken."],
        ),
    ],
)
def test_the_sentences(found: EvalVerdict, lines: list[str]) -> None:
    assert found.lines("tiny") == lines
    assert found.as_json()["kept"] == found.kept


def test_the_verdict_says_what_samples_cost_and_buy(tmp_path: Path, profile: Profile) -> None:
    """Of ten long answers, six are compared: four agree and are kept; without samples none would be."""
    agreements = [1.0] * 4 + [0.0] * 2 + [None] * 4
    rows = []
    for number, agreement in enumerate(agreements):
        row = made_row(str(number), wrong=agreement == 0.0, mean=-1.0, form="long")
        signals = answer_signals([-1.0] * 60, 10, FIRST)
        if agreement is not None:
            signals = {**signals, "agreement": agreement}
        rows.append(msgspec.structs.replace(row, signals=signals))
    promises = [Promise("wrong_at_most", 0.2, 0.2)]
    world = Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(tmp_path)})
    store(made_calibration(WEIGHTS, *promises, shifts=[9, 9, -9]), world)
    policy = merge_policy(
        Flags(profile=str(profile("escalation: {samples: 2, target: {wrong_at_most: 0.2}}\n"))), world
    )
    asked = [LabelledQuestion(f"Is {row.key} right?", "x", "text") for row in rows]
    found = verdict_on(asked, rows, policy, Weights(tmp_path / "none", WEIGHTS), world)
    assert (found.kept, found.wrong_of_kept) == (0.4, 0.0)
    assert (found.compared, found.kept_without_samples) == (0.6, 0.0)
    told = "For that, 60% of the answers are compared with samples; without them, hybrid would keep 0%."
    assert told in found.lines("m")


def test_samples_that_a_calibration_does_not_know_are_named(tmp_path: Path, profile: Profile) -> None:
    world = Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(tmp_path)}, verbosity=1)
    store(made_calibration(WEIGHTS, Promise("wrong_at_most", 0.2, 0.2)), world)
    policy = merge_policy(
        Flags(profile=str(profile("escalation: {samples: 2, target: {wrong_at_most: 0.2}}\n"))), world
    )
    asked = [LabelledQuestion("Is it right?", "x", "text")]
    found = verdict_on(
        asked, [made_row("a", wrong=False)], policy, Weights(tmp_path / "none", WEIGHTS), world
    )
    assert found.compared is None
    assert isinstance(world.stderr, io.StringIO)
    assert "escalation.samples has no effect" in world.stderr.getvalue()
