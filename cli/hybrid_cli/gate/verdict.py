"""The gate: whether the local answer is good enough. It never sends; it only says what it sees."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from hybrid_cli.checks.refusal import is_refusal
from hybrid_cli.checks.tool_calls import ToolCall
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.gate.features import Signals, running_mean
from hybrid_cli.local.protocol import TokenSignal

Reason = Literal[
    "forced", "forbidden", "rule", "context", "tool", "unavailable", "unsure", "check_failed", "none"
]
Stage = Literal["policy", "fit", "tokens", "end", "checks"]


class StageScore(msgspec.Struct, frozen=True):
    """How sure one stage of the gate was after so many tokens, as a probability; None where it cannot tell.

    Below `threshold` it hands off; a threshold of None only looks.
    """

    stage: Stage
    tokens: int
    score: float | None
    threshold: float | None

    def words(self) -> str:
        score = "unmeasured" if self.score is None else f"{self.score:.2f}"
        least = "" if self.threshold is None else f" (least {self.threshold:.2f})"
        return f"gate after {self.tokens} tokens, {self.stage}: {score}{least}"


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
    seconds: float | None = None
    """From the request to its end, or to where it was given up."""
    first: TokenSignal | None = None
    """The first content token's signals: they come early, and say much of a short answer."""

    state: bytes | None = None
    """The model's hidden state at the prompt's last token, as float16; None where it was not asked for."""

    call: ToolCall | None = None
    """The tool that it calls in the place of an answer."""
    problem: str | None = None
    """What a check of the user's own finds wrong with it, in words."""

    def add(self, signal: TokenSignal) -> None:
        """Count one more token. What the grammar forced, and what is no answer, says nothing of it."""
        if signal.kind == "first":
            self.first = signal
        if signal.kind in ("first", "content"):
            self.logprobs.append(signal.logprob)


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


def called(call: ToolCall) -> Verdict:
    """The local model called a tool: a hosted one, or the handoff itself."""
    reason: Reason = "unsure" if call.name == "handoff" else "tool"
    words = f"the local model calls {call.name}"
    return Verdict(reason, "end", words, failure=Failure(ExitStatus.DENIED, words))


def unavailable(failure: Failure) -> Verdict:
    """The weights are missing or broken."""
    return Verdict("unavailable", "fit", "the local model is unavailable", failure=failure)


def signals_of(result: LocalResult, criterion: Criterion) -> Signals:
    """What is known of the answer so far."""
    return criterion.signals(result.logprobs, result.tokens_in, result.first, result.state)


def judge(result: LocalResult, criterion: Criterion) -> Verdict:
    """The verdict on a finished local run: an answer is kept only where nothing speaks against it.

    A signal that is missing makes the whole answer unsure.
    """
    if result.finish_reason == "overflow":
        words = (
            f"the prompt has {result.tokens_in} tokens, more than the local context of {result.context} holds"
        )
        return Verdict("context", "fit", words, failure=Failure(ExitStatus.DENIED, words))
    signals = signals_of(result, criterion)
    confidence, threshold = criterion.confidence(signals), criterion.threshold
    problem = _failed_check(result)
    if problem is not None:
        failure = Failure(ExitStatus.CHECK, problem)
        return Verdict("check_failed", "checks", problem, confidence, threshold, signals, failure)
    if is_refusal(result.text):
        words = "the local model declined"
        return Verdict("check_failed", "checks", words, confidence, threshold, signals)
    if confidence is None:
        return Verdict("unsure", "end", "unsure (a signal is missing)", None, threshold, signals)
    if confidence < threshold:
        words = f"unsure ({confidence:.2f} < {threshold:.2f})"
        return Verdict("unsure", "end", words, confidence, threshold, signals)
    return Verdict("none", "end", "sure", confidence, threshold, signals)


def given_up(result: LocalResult, criterion: Criterion, tokens: int) -> Verdict:
    """The verdict on a run that was ended at a checkpoint: its first `tokens` tokens are too unsure."""
    mean = running_mean(result.logprobs, tokens)
    confidence = None if mean is None else math.exp(mean)
    words = f"unsure after {tokens} tokens"
    threshold = criterion.early_threshold(tokens)
    if confidence is not None and threshold is not None:
        words += f" ({confidence:.2f} < {threshold:.2f})"
    signals = {"mean_logprob": mean}
    failure = Failure(ExitStatus.DENIED, f"the local answer was given up: {words}")
    return Verdict("unsure", "tokens", words, confidence, criterion.threshold, signals, failure)


def _failed_check(result: LocalResult) -> str | None:
    if result.finish_reason == "length":
        return f"the local answer was cut at {result.tokens_out} tokens; --max-tokens raises the limit"
    if result.finish_reason == "loop":
        return f"the local answer fell into a loop after {result.tokens_out} tokens"
    if not result.text.strip():
        return "the local answer is empty"
    return None if result.problem is None else f"the local answer {result.problem}"
