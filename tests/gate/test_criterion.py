"""The criterion: how a profile's target, the weights and the request decide whether an answer is kept."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from hybrid_cli.checks.answer_form import form_instruction
from hybrid_cli.checks.json_schema import checked_schema
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.calibration import Calibration, Promise, shipped, store
from hybrid_cli.gate.cloud_score import BUCKETS, CloudScore, handoff_gain
from hybrid_cli.gate.criterion import Criterion, criterion_of
from hybrid_cli.gate.features import answer_signals
from hybrid_cli.gate.local_score import logit
from hybrid_cli.gate.prior import prior_of
from hybrid_cli.gate.prompt_kinds import prompt_kinds
from hybrid_cli.gate.verdict import LocalResult, judge
from hybrid_cli.profile.policy import Flags, Policy, merge_policy
from hybrid_cli.prompt import Question, Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Weights
from made_rows import FIRST, KINDS, made_calibration, made_score, one_kind

Profile = Callable[..., Path]
KEEP = Promise("wrong_at_most", 0.2, 0.3)
SIGNALS = answer_signals([-0.4] * 6, 10, FIRST)
MB = 1 << 20


def request(prompt: str = "What is 2 + 2?", **more: object) -> Request:
    return Request(Question(prompt, ""), None, **more)  # type: ignore[arg-type]


def confidence(calibration: Calibration, promise: Promise = KEEP, **changes: object) -> float:
    found = Criterion(0.5, calibration, promise).for_request(request(**changes)).confidence(SIGNALS)
    assert found is not None
    return found


class Side:
    """One user's folder, with weights that are never loaded, and the notes that are printed."""

    def __init__(self, folder: Path, profile: Profile) -> None:
        self.folder, self._profile = folder, profile
        self.world = Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(folder)}, verbosity=1)

    def policy(self, target: str, mode: str = "auto", cloud: str = "m") -> Policy:
        section = f'cloud: {{base_url: "http://127.0.0.1:9/v1", model: {cloud}}}\n'
        path = self._profile(f"{section}escalation: {{mode: {mode}, target: {{{target}}}}}\n")
        return merge_policy(Flags(profile=str(path)), self.world)

    def weights(self, sha256: str = "c" * 64, size: int = 900 * MB) -> Weights:
        path = self.folder / f"{sha256[:8]}-{size}.gguf"
        with path.open("wb") as file:
            file.truncate(size)  # a hole, which takes no space
        return Weights(path, sha256)

    @property
    def notes(self) -> str:
        assert isinstance(self.world.stderr, io.StringIO)
        return self.world.stderr.getvalue()


@pytest.fixture
def side(tmp_path: Path, profile: Profile) -> Side:
    return Side(tmp_path, profile)


def test_the_confidence_is_the_chance_to_be_right() -> None:
    found = Criterion(0.5, made_calibration(), KEEP).for_request(request())
    wrong = made_score().probability(found.kinds, "short", SIGNALS)
    assert wrong is not None
    assert found.confidence(SIGNALS) == pytest.approx(1 - wrong)
    assert judge(LocalResult("4", "stop", [-0.4] * 6, tokens_in=10), found).confidence == pytest.approx(
        1 - wrong
    )


def test_the_request_tells_the_kind() -> None:
    question = request("What is 418 * 23? Reply with the number only.")
    found = Criterion(0.5, made_calibration(), KEEP).for_request(question)
    assert found.kinds == prompt_kinds().shares(question.question, has_schema=False, choices=0)
    arithmetic = prompt_kinds().kinds.index("arithmetic")
    score = made_score()
    form = msgspec.structs.replace(score.forms["short"], wrong=one_kind(arithmetic))
    bad = made_calibration(score=msgspec.structs.replace(score, forms={**score.forms, "short": form}))
    assert confidence(bad, prompt=question.question.prompt) < 0.1 < confidence(bad, prompt="Where is Lima?")


def test_the_request_tells_the_form() -> None:
    """Each form has its own mean: the same log-probability is good for one and bad for another."""
    score = made_score()
    forms = {
        form: msgspec.structs.replace(score.forms[form], mean=mean)
        for form, mean in zip(score.forms, (-3, -2.5, -2, -1.5, -1, -0.5), strict=True)
    }
    calibration = made_calibration(score=msgspec.structs.replace(score, forms=forms))
    base = Criterion(0.5, calibration, KEEP)
    schema = checked_schema({"type": "object"}, "it")
    asked = {
        "choice": (request(choices=("yes", "no")), 6),
        "json": (request(schema=schema), 6),
        "token": (request(), 1),
        "short": (request(), 6),
        "middle": (request(), 30),
        "long": (request(), 60),
    }
    for form, (one, tokens) in asked.items():
        criterion = base.for_request(one)
        signals = answer_signals([-0.4] * tokens, 10, FIRST)
        wrong = calibration.score.probability(criterion.kinds, form, signals)  # type: ignore[arg-type]
        assert wrong is not None
        assert criterion.confidence(signals) == pytest.approx(1 - wrong)


@pytest.mark.parametrize("logprobs", [[], [None], [-0.1, None]])
def test_a_missing_signal_is_never_confident(logprobs: list[float | None]) -> None:
    criterion = Criterion(0.0, made_calibration(), KEEP).for_request(request())
    assert criterion.confidence(answer_signals(logprobs, 5, None)) is None
    assert criterion.heads_for_handoff(answer_signals(logprobs, 5, None))
    assert judge(LocalResult("4", "stop", logprobs), criterion).reason == "unsure"


def test_only_targets_that_count_handoffs_weigh_the_gain() -> None:
    cloud = CloudScore(b"\0" * BUCKETS, 1.0, 0.2)  # it is right once in five
    calibration = made_calibration(cloud="m", cloud_score=cloud)
    wrong = 1 - confidence(calibration, KEEP)
    for target in ("escalate_at_most", "quality_at_least"):
        found = confidence(calibration, Promise(target, 0.2, 0.5))  # type: ignore[arg-type]
        assert found == pytest.approx(1 - handoff_gain(wrong, 0.2))
        assert found > 1 - wrong  # so bad a cloud is seldom worth a handoff


@pytest.mark.parametrize(
    ("shifts", "drawn", "wanted"),
    [
        pytest.param([9, 9, -9], [], True, id="both must agree"),
        pytest.param([9, 9, -9], [True], True, id="the second decides"),
        pytest.param([9, 9, -9], [False], False, id="both can no longer agree"),
        pytest.param([9, -9, -9], [False], True, id="one must agree"),
        pytest.param([9, -9, -9], [True], False, id="one agrees"),
        pytest.param([9, 9, -9], [True, True], False, id="all are drawn"),
        pytest.param([0.1, 0, -0.1], [], False, id="far from the threshold"),
        pytest.param([], [], False, id="a calibration without samples"),
    ],
)
def test_a_sample_is_drawn_only_if_it_may_decide(
    shifts: list[float], drawn: list[bool], wanted: bool
) -> None:
    unsure = Criterion(0.9, made_calibration(), KEEP, shifts=shifts)
    assert unsure.for_request(request()).wants_sample(SIGNALS, drawn) == wanted


def test_nothing_is_kept_if_no_threshold_keeps_the_promise() -> None:
    sure = made_calibration(score=made_score(bias=-1e9))
    none = Criterion(1.0, sure, Promise("wrong_at_most", 0.1, None), keeps_nothing="it cannot")
    criterion = none.for_request(request())
    assert criterion.confidence(SIGNALS) == 1.0
    assert not criterion.keeps(1.0)
    assert criterion.heads_for_handoff(SIGNALS)
    verdict = judge(LocalResult("4", "stop", [-0.1], tokens_in=5), criterion)
    assert (verdict.reason, verdict.failure) == ("unsure", None)  # the answer can still be used
    assert "it cannot" in verdict.explanation
    assert Criterion(1.0).keeps(1.0)


@pytest.mark.parametrize(
    ("schema", "choices", "logprob", "found"),
    [
        (None, ("yes", "no"), math.log(0.75), 0.5),
        (None, ("yes", "no"), math.log(0.5), 0.0),
        (None, ("yes", "no"), math.log(0.4), 0.0),
        (None, ("a", "b", "c", "d"), math.log(0.25), 0.0),
        ({"enum": ["a", "b", "c"]}, (), math.log(2 / 3), 0.5),
        ({"type": "boolean"}, (), math.log(0.75), 0.5),
        ({"const": 1}, (), -3.0, 1.0),
    ],
)
def test_without_a_calibration_a_choice_is_measured_against_chance(
    schema: dict[str, object] | None, choices: tuple[str, ...], logprob: float, found: float
) -> None:
    checked = None if schema is None else checked_schema(schema, "it")
    asked = request(schema=checked, choices=choices, form=form_instruction(checked, choices))
    criterion = Criterion(0.4).for_request(asked)
    assert criterion.kinds == ()
    assert criterion.confidence(answer_signals([logprob], 5, FIRST)) == pytest.approx(found)


def test_a_threshold_needs_no_calibration(side: Side) -> None:
    store(made_calibration("c" * 64), side.world)
    assert criterion_of(side.policy("threshold: 0.6"), side.weights(), side.world) == Criterion(0.6)
    assert side.notes == ""


def test_the_threshold_is_that_of_the_promise(side: Side) -> None:
    promises = (Promise("wrong_at_most", 0.1, 0.25), Promise("wrong_at_most", 0.3, 0.5))
    calibration = made_calibration("c" * 64, *promises)
    store(calibration, side.world)
    for value, kept in ((0.1, 0), (0.2, 0), (0.3, 1), (0.9, 1)):
        found = criterion_of(side.policy(f"wrong_at_most: {value}"), side.weights(), side.world)
        assert found == Criterion(1 - (promises[kept].keep_to or 0), calibration, promises[kept])
    assert side.notes == ""


@pytest.mark.parametrize(
    ("target", "cloud", "reason"),
    [
        ("wrong_at_most: 0.05", "m", "it does not promise so much"),
        ("escalate_at_most: 0.3", "m", "it does not promise so much"),
        ("quality_at_least: 0.9", "m", "it does not promise so much"),
        ("quality_at_least: 0.8", "other", "it counts on the cloud m"),
    ],
)
def test_a_promise_too_strict_is_a_usage_error_that_says_what_to_run(
    side: Side, target: str, cloud: str, reason: str
) -> None:
    promises = (Promise("wrong_at_most", 0.1, 0.2), Promise("quality_at_least", 0.85, 0.2))
    store(made_calibration("c" * 64, *promises, cloud="m"), side.world)
    with pytest.raises(Failure) as raised:
        criterion_of(side.policy(target, cloud=cloud), side.weights(), side.world)
    assert raised.value.status is ExitStatus.USAGE
    name, value = target.split(": ")
    assert f"escalation.target.{name}" in str(raised.value)
    assert reason in str(raised.value)
    assert f"run: hybrid calibrate DATA --target {name}={value}" in str(raised.value)


def test_a_model_that_cannot_keep_the_promise_says_what_to_do(side: Side) -> None:
    store(made_calibration("c" * 64, Promise("wrong_at_most", 0.1, None)), side.world)
    policy = side.policy("wrong_at_most: 0.1")
    criterion = criterion_of(policy, side.weights(), side.world)
    name = policy.local.model
    assert (
        criterion.keeps_nothing
        == f"{name} cannot keep wrong_at_most=0.1; use a larger model or a weaker promise"
    )
    assert not criterion.keeps(1.0)
    assert criterion_of(side.policy("threshold: 1.0"), side.weights(), side.world).keeps_nothing is None


def test_weights_without_a_calibration_get_a_cautious_one(side: Side) -> None:
    found = criterion_of(side.policy("wrong_at_most: 0.35"), side.weights(), side.world)
    assert found.calibration == prior_of(side.weights())
    assert "no calibration for" in side.notes
    assert "run: hybrid calibrate -m" in side.notes
    quiet = Side(side.folder, side._profile)
    quiet.world.verbosity = 0
    criterion_of(quiet.policy("wrong_at_most: 0.35"), quiet.weights(), quiet.world)
    assert "no calibration" not in quiet.notes
    for target in ("escalate_at_most: 0.3", "quality_at_least: 0.9"):
        with pytest.raises(Failure, match="but there is none") as raised:
            criterion_of(side.policy(target), side.weights(), side.world)
        assert raised.value.status is ExitStatus.USAGE


def chance_of_wrong(calibration: Calibration) -> float:
    wrong = calibration.score.probability([1 / KINDS] * KINDS, "short", SIGNALS)
    assert wrong is not None
    return wrong


def test_the_smaller_the_weights_the_less_they_are_trusted(side: Side) -> None:
    small, large = shipped()
    sizes = [MB, 50 * MB, small.size, 300 * MB, 700 * MB, large.size, 8000 * MB, 80_000 * MB]
    found = [chance_of_wrong(prior_of(side.weights(size=size))) for size in sizes]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[2] > found[4] > found[5]
    assert found[5:] == [found[5]] * 3  # more bytes are no proof of a better model
    assert found[-1] > chance_of_wrong(large)
    gap = logit(small.score.wrong) - logit(large.score.wrong)
    raised = [logit(value) - logit(chance_of_wrong(large)) for value in (found[2], found[5])]
    assert raised[0] - raised[1] == pytest.approx(gap)
    assert raised[1] > 0
    # A changed copy of the small model is trusted no more than the small model, which keeps nothing.
    assert all(one.keep_to is None for one in prior_of(side.weights(size=small.size + 1)).promises)


def test_a_cautious_calibration_promises_only_few_wrong_answers(side: Side) -> None:
    large = shipped()[-1]
    found = prior_of(side.weights())
    assert {one.target for one in found.promises} == {"wrong_at_most"}
    assert (found.rows, found.cloud, found.cloud_score) == (0, None, None)
    assert found.weights == "c" * 64
    for one in found.promises:
        other = large.promise(one.target, one.value)
        assert other is not None
        if other.keep_to is None or one.keep_to is None:
            assert one.keep_to is None
        else:  # each kept answer keeps the promise by itself, on scores that are worse
            assert one.keep_to == min(other.keep_to, one.value)
        assert (one.early, one.handed_off) == ([], 1.0)


def test_the_score_of_a_cautious_calibration_is_worse_for_every_answer(side: Side) -> None:
    large, found = shipped()[-1], prior_of(side.weights(size=500 * MB))
    generator = np.random.default_rng(1)
    for _ in range(200):
        kinds = generator.dirichlet(np.full(KINDS, 0.2)).tolist()
        signals = answer_signals([float(-3 * generator.random())] * 5, 10, FIRST)
        for form in large.score.forms:
            known = large.score.probability(kinds, form, signals)
            unknown = found.score.probability(kinds, form, signals)
            assert known is not None
            assert unknown is not None
            assert unknown > known or unknown == pytest.approx(1)
