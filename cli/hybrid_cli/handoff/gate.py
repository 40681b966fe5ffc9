"""The gate: whether the local answer is good enough. It never sends; it only says what it sees."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.handoff.answer import Reason, Stage
from hybrid_cli.profile.policy import Policy


@dataclass
class LocalResult:
    """What the local engine made of the prompt."""

    text: str = ""
    finish_reason: str = ""
    logprobs: list[float | None] = field(default_factory=list)
    """Natural logarithms, one a content token, from the raw logits."""
    tokens_in: int = 0
    tokens_out: int = 0
    context: int = 0
    load_seconds: float | None = None
    first_token_seconds: float | None = None


@dataclass(frozen=True)
class Verdict:
    """Why the answer should be handed off; reason `none` keeps it.

    `failure` is set where no usable local answer exists: it is raised if the cloud is denied.
    """

    reason: Reason
    stage: Stage
    words: str
    confidence: float | None = None
    threshold: float | None = None
    signals: dict[str, float | None] = field(default_factory=dict)
    failure: Failure | None = None


def forced() -> Verdict:
    return Verdict("forced", "policy", "forced")


def ruled(words: str) -> Verdict:
    """A rule of the profile forces the cloud."""
    return Verdict("rule", "policy", words)


def needs_tool(tools: tuple[str, ...]) -> Verdict:
    """A hosted tool was asked for, which no local model has."""
    words = f"it needs {', '.join(tools)}"
    return Verdict("tool", "policy", words, failure=Failure(ExitStatus.DENIED, words))


def threshold(policy: Policy) -> float:
    """The least confidence of an answer that is kept.

    Raises Failure (USAGE) for a target that only a calibration can turn into one.
    """
    target = policy.escalation.target
    if target.threshold is None:
        (name,) = (name for name in target.__struct_fields__ if getattr(target, name) is not None)
        raise Failure(
            ExitStatus.USAGE,
            f"{policy.values['escalation.target'].layer} sets escalation.target.{name}, which needs a"
            f" calibration of {policy.local.model}, and there is none; set target.threshold instead",
        )
    return target.threshold


def unavailable(failure: Failure) -> Verdict:
    """The weights are missing or broken."""
    return Verdict("unavailable", "fit", "the local model is unavailable", failure=failure)


def judge(result: LocalResult, threshold: float) -> Verdict:
    """The verdict on a finished local run.

    Confidence is the geometric mean of the content tokens' probabilities, exp(mean log-probability);
    a token without one makes the whole answer unsure.
    """
    if result.finish_reason == "overflow":
        words = f"the prompt has {result.tokens_in} tokens, the local context {result.context}"
        return Verdict("context", "fit", words, failure=Failure(ExitStatus.DENIED, words))
    confidence = mean_probability(result.logprobs)
    known = [value for value in result.logprobs if value is not None]
    signals = {
        "mean_logprob": math.log(confidence) if confidence else None,
        "min_logprob": min(known) if confidence else None,
        "first_logprob": result.logprobs[0] if result.logprobs else None,
    }
    problem = _failed_check(result)
    if problem is not None:
        failure = Failure(ExitStatus.CHECK, problem)
        return Verdict("check_failed", "checks", problem, confidence, threshold, signals, failure)
    if confidence is None:
        return Verdict("unsure", "end", "unsure (no log-probabilities)", None, threshold, signals)
    if confidence < threshold:
        words = f"unsure ({confidence:.2f} < {threshold:.2f})"
        return Verdict("unsure", "end", words, confidence, threshold, signals)
    return Verdict("none", "end", "sure", confidence, threshold, signals)


def leans(result: LocalResult, threshold: float) -> bool:
    """Whether an unfinished answer is heading for a handoff; looked at while its tokens come."""
    confidence = mean_probability(result.logprobs)
    return confidence is None or confidence < threshold


def mean_probability(logprobs: list[float | None]) -> float | None:
    """exp of the mean of `logprobs`; None where there are none or one is missing."""
    known = [value for value in logprobs if value is not None]
    if not known or len(known) < len(logprobs):
        return None
    return math.exp(sum(known) / len(known))


def _failed_check(result: LocalResult) -> str | None:
    if result.finish_reason == "length":
        return f"the local answer was cut at {result.tokens_out} tokens; --max-tokens raises the limit"
    if result.finish_reason == "loop":
        return f"the local answer fell into a loop after {result.tokens_out} tokens"
    if not result.text.strip():
        return "the local answer is empty"
    return None
