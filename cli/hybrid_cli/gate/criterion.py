"""The criterion for keeping an answer: how confidence is computed, and its threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.calibration import Calibration, find
from hybrid_cli.gate.features import CHECKPOINTS, Signals, answer_signals, running_mean
from hybrid_cli.local.protocol import TokenSignal
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment


@dataclass(frozen=True)
class Criterion:
    """How confidence is computed from signals, and the threshold an answer must reach."""

    threshold: float
    calibration: Calibration | None = None
    alternatives: int | None = None
    """How many answers the requested form allows; None if they cannot be counted."""

    def confidence(self, signals: Signals) -> float | None:
        """Return the confidence, 0 to 1; None if a signal is missing.

        With a calibration it is the probability that keeping the answer loses nothing. Without one it is the
        geometric mean of the tokens' probabilities, exp(mean log-probability); for a form that allows k answers,
        it is the chosen answer's share p among them, measured against chance: (p - 1/k) / (1 - 1/k).
        """
        if self.calibration is not None:
            loss = self.calibration.model.probability(signals)
            return None if loss is None else 1 - loss
        if self.alternatives is not None:
            return _above_chance(signals["sum_logprob"], self.alternatives)
        mean = signals["mean_logprob"]
        return None if mean is None else math.exp(mean)

    @property
    def wants_state(self) -> bool:
        """Whether the calibration uses the model's hidden state."""
        return self.calibration is not None and self.calibration.model.probe is not None

    def signals(
        self,
        logprobs: Sequence[float | None],
        prompt_tokens: int,
        first: TokenSignal | None,
        state: bytes | None,
    ) -> Signals:
        """Return the answer's signals, with the calibration's probe of the hidden state."""
        signals = answer_signals(logprobs, prompt_tokens, first)
        return signals if self.calibration is None else self.calibration.model.complete(signals, state)

    def heads_for_handoff(self, signals: Signals) -> bool:
        """Return whether a running answer is heading for a handoff."""
        confidence = self.confidence(signals)
        return confidence is None or confidence < self.threshold

    def fails_early(self, logprobs: Sequence[float | None]) -> int | None:
        """Return the checkpoint (tokens) at which a running answer should be given up, or None.

        A running answer can only be given up, never accepted.
        """
        if self.calibration is None:
            return None
        for tokens, floor in zip(CHECKPOINTS, self.calibration.early, strict=False):
            if floor is not None and len(logprobs) >= tokens:
                mean = running_mean(logprobs, tokens)
                if mean is None or mean < floor:
                    return tokens
        return None

    def early_threshold(self, tokens: int) -> float | None:
        """Return the threshold, 0 to 1, at the checkpoint of `tokens` tokens; None if there is none."""
        early = [] if self.calibration is None else self.calibration.early
        floor = dict(zip(CHECKPOINTS, early, strict=False)).get(tokens)
        return None if floor is None else math.exp(floor)


def _above_chance(logprob: float | None, alternatives: int) -> float | None:
    if logprob is None:
        return None
    chance = 1 / alternatives
    return 1.0 if chance == 1 else max(0.0, (math.exp(min(0.0, logprob)) - chance) / (1 - chance))


def criterion_of(policy: Policy, weights: str, environment: Environment) -> Criterion:
    """Return the criterion for the policy's target and these `weights` (sha256).

    Raises Failure (USAGE) if the target needs a calibration and none fits.
    """
    target = policy.escalation.target
    if target.threshold is not None:
        return Criterion(target.threshold)
    ((name, value),) = [
        (name, value) for name in target.__struct_fields__ if (value := getattr(target, name)) is not None
    ]
    cloud = policy.cloud.model if policy.cloud is not None else None
    calibration, reason = find(name, value, weights, cloud, environment)
    if calibration is None:
        raise Failure(
            ExitStatus.USAGE,
            f"{policy.values['escalation.target'].layer} sets escalation.target.{name}, which needs a calibration"
            f" of {policy.local.model}, but {reason}; run: hybrid calibrate DATA --target {name}={value:g}"
            " (with the same --profile and --model)",
        )
    return Criterion(1 - calibration.keep_to, calibration)
