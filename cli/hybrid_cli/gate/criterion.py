"""The criterion for keeping an answer: how confidence is computed, and its threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hybrid_cli.checks.answer_form import alternatives
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.calibration import Calibration, Promise, find
from hybrid_cli.gate.cloud_score import handoff_gain
from hybrid_cli.gate.features import CHECKPOINTS, Signals, running_mean
from hybrid_cli.gate.local_score import answer_form, shifted
from hybrid_cli.gate.prior import prior_of
from hybrid_cli.gate.prompt_kinds import prompt_kinds
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Weights

_NO_IMAGES = (
    "no calibration covers images; to judge their answers by a threshold, set escalation.target.threshold"
)
"""No promise is kept that was not measured."""


@dataclass(frozen=True)
class Criterion:
    """How confidence is computed from signals, and the threshold an answer must reach."""

    threshold: float
    calibration: Calibration | None = None
    promise: Promise | None = None
    """The promise of the calibration that the threshold keeps."""
    keeps_nothing: str | None = None
    """Why no answer is kept, for a message: no threshold keeps the promise. None if some answers are."""
    alternatives: int | None = None
    """How many answers the requested form allows; None if they cannot be counted."""
    has_schema: bool = False
    has_choices: bool = False
    kinds: Sequence[float] = ()
    """The prompt's share in each kind of work."""
    cloud_right: float | None = None
    """The probability that the cloud's answer is right, if the promise counts it."""
    shifts: Sequence[float] = ()
    """What the number of samples that agree adds to the log odds of "wrong"; empty if none are compared."""

    def for_request(self, request: Request) -> Criterion:
        """Return the criterion for one request: its form, and with a calibration the kind of its prompt."""
        criterion = replace(
            self,
            alternatives=alternatives(request.schema, request.choices),
            has_schema=request.schema is not None,
            has_choices=request.choices != (),
        )
        if self.calibration is None:
            return criterion
        if request.images:
            return replace(criterion, keeps_nothing=_NO_IMAGES)
        kinds = prompt_kinds().shares(
            request.question, has_schema=criterion.has_schema, choices=len(request.choices)
        )
        cloud = self.calibration.cloud_score if self._counts_gain else None
        return replace(
            criterion, kinds=kinds, cloud_right=None if cloud is None else cloud.probability(request.question)
        )

    @property
    def _counts_gain(self) -> bool:
        return self.promise is not None and self.promise.target != "wrong_at_most"

    def keeps(self, confidence: float) -> bool:
        """Return whether an answer with this confidence is kept."""
        return self.keeps_nothing is None and confidence >= self.threshold

    def confidence(self, signals: Signals) -> float | None:
        """Return the confidence, 0 to 1; None if a signal is missing.

        With a calibration it is the probability that the answer is right, or that keeping it loses nothing. Without one
        it is the geometric mean of the tokens' probabilities, exp(mean log-probability); for a form that allows k
        answers, it is the chosen answer's share p among them, measured against chance: (p - 1/k) / (1 - 1/k).
        """
        if self.calibration is not None:
            return self._calibrated(self.calibration, signals)
        if self.alternatives is not None:
            return _above_chance(signals["sum_logprob"], self.alternatives)
        mean = signals["mean_logprob"]
        return None if mean is None else math.exp(mean)

    def _calibrated(self, calibration: Calibration, signals: Signals) -> float | None:
        size = signals["log_tokens"]
        if size is None:
            return None
        form = answer_form(round(math.exp(size)), has_schema=self.has_schema, has_choices=self.has_choices)
        wrong = calibration.score.probability(self.kinds, form, signals)
        if wrong is None:
            return None
        agreement = signals.get("agreement")
        if self.shifts and agreement is not None:
            wrong = shifted(wrong, self.shifts, agreement)
        return 1 - (wrong if self.cloud_right is None else handoff_gain(wrong, self.cloud_right))

    def wants_sample(self, signals: Signals, drawn: Sequence[bool]) -> bool:
        """Return whether one more sample may change the decision, after those drawn: whether each agrees."""
        most = len(self.shifts) - 1
        decisions = set()
        for agreeing in range(sum(drawn), most - len(drawn) + sum(drawn) + 1):
            confidence = self.confidence({**signals, "agreement": agreeing / most})
            decisions.add(confidence is not None and self.keeps(confidence))
        return len(decisions) > 1

    def heads_for_handoff(self, signals: Signals) -> bool:
        """Return whether a running answer is heading for a handoff."""
        confidence = self.confidence(signals)
        return confidence is None or not self.keeps(confidence)

    def fails_early(self, logprobs: Sequence[float | None]) -> int | None:
        """Return the checkpoint (tokens) at which a running answer should be given up, or None.

        A running answer can only be given up, never accepted.
        """
        for tokens, floor in zip(CHECKPOINTS, self.early, strict=False):
            if floor is not None and len(logprobs) >= tokens:
                mean = running_mean(logprobs, tokens)
                if mean is None or mean < floor:
                    return tokens
        return None

    @property
    def early(self) -> Sequence[float | None]:
        """For each checkpoint the mean log-probability below which an answer is given up."""
        return [] if self.promise is None else self.promise.early

    def early_threshold(self, tokens: int) -> float | None:
        """Return the threshold, 0 to 1, at the checkpoint of `tokens` tokens; None if there is none."""
        floor = dict(zip(CHECKPOINTS, self.early, strict=False)).get(tokens)
        return None if floor is None else math.exp(floor)


def _above_chance(logprob: float | None, alternatives: int) -> float | None:
    if logprob is None:
        return None
    chance = 1 / alternatives
    return 1.0 if chance == 1 else max(0.0, (math.exp(min(0.0, logprob)) - chance) / (1 - chance))


def criterion_of(policy: Policy, weights: Weights, environment: Environment) -> Criterion:
    """Return the criterion for the policy's target and these weights.

    Weights without a calibration get a cautious one by their size, for targets that it covers. Raises Failure
    (USAGE) if the target needs a calibration of its own.
    """
    target = policy.escalation.target
    if target.threshold is not None:
        if policy.escalation.samples:
            environment.detail("escalation.samples has no effect with a plain threshold; set wrong_at_most")
        return Criterion(target.threshold)
    ((name, value),) = [
        (name, value) for name in target.__struct_fields__ if (value := getattr(target, name)) is not None
    ]
    calibration = find(weights.sha256, environment)
    if calibration is None and name == "wrong_at_most":
        calibration = prior_of(weights)
        environment.detail(
            f"no calibration for {policy.local.model}; its size tells how far to trust it. To measure it, run:"
            f" hybrid calibrate -m {policy.local.model}"
        )
    cloud = policy.cloud.model if policy.cloud is not None else None
    reason = "there is none" if calibration is None else calibration.misfit(name, cloud)
    shifts = tuple(calibration.shifts) if calibration is not None and policy.escalation.samples else ()
    if policy.escalation.samples and not shifts:
        environment.detail(
            f"escalation.samples has no effect, because the calibration of {policy.local.model} has no samples; run:"
            f" hybrid calibrate -m {policy.local.model} (with the same profile)"
        )
    promise = None if calibration is None or reason else calibration.promise(name, value)
    if calibration is None or promise is None:
        raise Failure(
            ExitStatus.USAGE,
            f"{policy.values['escalation.target'].layer} sets escalation.target.{name}, which needs a calibration"
            f" of {policy.local.model}, but {reason or 'it does not promise so much'}; run: hybrid calibrate DATA"
            f" --target {name}={value:g} (with the same --profile and --model)",
        )
    if promise.keep_to is None:
        broken = f"{policy.local.model} cannot keep {name}={value:g}; use a larger model or a weaker promise"
        return Criterion(1.0, calibration, promise, keeps_nothing=broken)
    return Criterion(1 - promise.keep_to, calibration, promise, shifts=shifts)
