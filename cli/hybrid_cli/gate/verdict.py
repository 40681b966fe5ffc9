"""The gate's verdict: whether the local answer is good enough. The gate only judges; it cannot send."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from hybrid_cli.checks.refusal import is_refusal
from hybrid_cli.checks.tool_calls import ToolCall
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.gate.features import Signals, answer_signals, running_mean
from hybrid_cli.local.protocol import TokenLogprobs, TokenSignal

Reason = Literal[
    "forced",
    "forbidden",
    "rule",
    "context",
    "capability",
    "tool",
    "unavailable",
    "unsure",
    "check_failed",
    "none",
]
Stage = Literal["policy", "fit", "tokens", "end", "checks"]


class StageScore(msgspec.Struct, frozen=True):
    """One stage of the gate: its confidence after so many tokens, and the threshold it was held against."""

    stage: Stage
    tokens: int
    score: float | None
    """0 to 1; None if it cannot be measured."""
    threshold: float | None
    """Below it the stage hands off; None if the stage cannot trigger a handoff."""

    def describe(self) -> str:
        """Return the stage's result for `-v`."""
        when = "final confidence" if self.stage == "end" else f"confidence after {self.tokens} tokens"
        if self.score is None:
            return f"{when} not measured"
        if self.threshold is None:
            return f"{when} {self.score:.2f}"
        side = "below" if self.score < self.threshold else "at least"
        score, threshold = _told_apart(self.score, self.threshold)
        return f"{when} {score}, {side} the threshold {threshold}"


@dataclass
class LocalResult:
    """The local model's answer to one prompt, finished or under way."""

    text: str = ""
    finish_reason: str = ""
    logprobs: list[float | None] = field(default_factory=list)
    """One per content token: natural logarithms of probabilities from the raw logits."""
    token_logprobs: list[TokenLogprobs] = field(default_factory=list)
    """One per token of the answer, if the request asks for them."""
    tokens_in: int = 0
    tokens_out: int = 0
    context: int = 0
    load_seconds: float | None = None
    first_token_seconds: float | None = None
    seconds: float | None = None
    """From the request to the end of the answer, or to where it was given up."""
    first: TokenSignal | None = None
    """The first content token's signals."""
    agreement: float | None = None
    """The share of further samples that come to the same number; None if none were compared."""
    call: ToolCall | None = None
    """The tool the model calls instead of answering."""
    problem: str | None = None
    """What the user's own checks find wrong with the answer, for a message."""
    doubt: str | None = None
    """What is senseless in the answer, for a message; it may still be delivered where no handoff is allowed."""

    def add(self, signal: TokenSignal) -> None:
        """Count one more token. Tokens that the grammar forced, or that are no part of the answer, do not count."""
        if signal.kind == "first":
            self.first = signal
        if signal.kind in ("first", "content"):
            self.logprobs.append(signal.logprob)


@dataclass(frozen=True)
class Verdict:
    """Whether to hand off, and why; reason `none` keeps the local answer."""

    reason: Reason
    stage: Stage
    explanation: str
    """For the user."""
    confidence: float | None = None
    threshold: float | None = None
    signals: dict[str, float | None] = field(default_factory=dict)
    failure: Failure | None = None
    """The error to raise if the cloud is denied; None if there is a usable local answer."""

    @property
    def clause(self) -> str:
        """What is wrong with the local answer, as a clause of its own."""
        return (
            f"the local answer is {self.explanation}"
            if self.explanation.startswith("unsure")
            else self.explanation
        )


def forced() -> Verdict:
    """Return the verdict under the mode `force`."""
    return Verdict("forced", "policy", "forced")


def ruled(rule: str) -> Verdict:
    """Return the verdict of a rule that forces the cloud."""
    return Verdict("rule", "policy", rule)


def needs_tool(tools: tuple[str, ...]) -> Verdict:
    """Return the verdict for hosted tools, which no local model has."""
    return _without_answer("tool", "policy", f"it needs {', '.join(tools)}")


def needs_sight(why: str) -> Verdict:
    """Return the verdict for images that the local model cannot read."""
    return _without_answer("capability", "fit", why)


def called(call: ToolCall) -> Verdict:
    """Return the verdict on a tool call of the local model: a hosted tool, or the handoff itself."""
    reason: Reason = "unsure" if call.name == "handoff" else "tool"
    return _without_answer(reason, "end", f"the local model calls {call.name}")


def _without_answer(reason: Reason, stage: Stage, explanation: str) -> Verdict:
    return Verdict(reason, stage, explanation, failure=Failure(ExitStatus.DENIED, explanation))


def unavailable(failure: Failure) -> Verdict:
    """Return the verdict for weights that are missing or damaged."""
    return Verdict("unavailable", "fit", "the local model is unavailable", failure=failure)


def signals_of(result: LocalResult) -> Signals:
    """Return the signals of the answer so far."""
    signals = answer_signals(result.logprobs, result.tokens_in, result.first)
    return signals if result.agreement is None else {**signals, "agreement": result.agreement}


def judge(result: LocalResult, criterion: Criterion) -> Verdict:
    """Return the verdict on a finished local run. A missing signal never reads as confident."""
    if result.finish_reason == "overflow":
        explanation = (
            f"the prompt has {result.tokens_in} tokens, the local context window holds {result.context}"
        )
        return _without_answer("context", "fit", explanation)
    signals = signals_of(result)
    confidence, threshold = criterion.confidence(signals), criterion.threshold
    problem = _failed_check(result)
    if problem is not None:
        failure = Failure(ExitStatus.CHECK, problem)
        return Verdict("check_failed", "checks", problem, confidence, threshold, signals, failure)
    doubt = _doubt(result)
    if doubt is not None:
        return Verdict("check_failed", "checks", doubt, confidence, threshold, signals)
    unsure = _unsure(confidence, criterion)
    if unsure is not None:
        return Verdict("unsure", "end", unsure, confidence, threshold, signals)
    return Verdict("none", "end", "sure", confidence, threshold, signals)


def _unsure(confidence: float | None, criterion: Criterion) -> str | None:
    """Return why an answer with this confidence is not kept; None if it is."""
    if confidence is None:
        return "unsure (a signal is missing)"
    if criterion.keeps_nothing is not None:
        return criterion.keeps_nothing
    if criterion.keeps(confidence):
        return None
    return "unsure ({} < {})".format(*_told_apart(confidence, criterion.threshold))


def _told_apart(score: float, threshold: float) -> tuple[str, str]:
    """Return both numbers, with as many digits as it takes to tell them apart."""
    digits = next((n for n in (2, 3, 4) if f"{score:.{n}f}" != f"{threshold:.{n}f}"), 5)
    digits = 2 if score == threshold else digits
    return f"{score:.{digits}f}", f"{threshold:.{digits}f}"


def given_up(result: LocalResult, criterion: Criterion, tokens: int) -> Verdict:
    """Return the verdict on a run that ended at a checkpoint: its first `tokens` tokens are too unsure."""
    mean = running_mean(result.logprobs, tokens)
    confidence = None if mean is None else math.exp(mean)
    explanation = f"unsure after {tokens} tokens"
    threshold = criterion.early_threshold(tokens)
    if confidence is not None and threshold is not None:
        explanation += " ({} < {})".format(*_told_apart(confidence, threshold))
    signals = {"mean_logprob": mean}
    failure = Failure(ExitStatus.DENIED, f"the local answer was given up: {explanation}")
    return Verdict("unsure", "tokens", explanation, confidence, criterion.threshold, signals, failure)


def _failed_check(result: LocalResult) -> str | None:
    if result.finish_reason == "length":
        return f"the local answer was cut off at {result.tokens_out} tokens; raise --max-tokens, or take it as it is: --allow-truncated"
    if result.finish_reason == "loop":
        return f"the local answer repeats itself after {result.tokens_out} tokens"
    if not result.text.strip():
        return "the local answer is empty"
    return None if result.problem is None else f"the local answer {result.problem}"


def _doubt(result: LocalResult) -> str | None:
    """Return why a usable answer is not good enough, whatever its confidence."""
    if is_refusal(result.text):
        return "the local model declined to answer"
    return None if result.doubt is None else f"the local answer {result.doubt}"
