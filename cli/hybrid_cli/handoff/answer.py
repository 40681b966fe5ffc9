"""The request and the answer object: what `--json` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from hybrid_cli.handoff.structured import AnswerSchema
from hybrid_cli.input import Question
from hybrid_cli.profile.schema import Tool

Reason = Literal[
    "forced", "forbidden", "rule", "context", "tool", "unavailable", "unsure", "check_failed", "none"
]
Stage = Literal["policy", "fit", "tokens", "end", "checks"]


@dataclass(frozen=True)
class Request:
    """One prompt on its way to one answer."""

    question: Question
    system: str | None
    stop: tuple[str, ...] = ()
    """Strings that end the answer, which is without them."""
    schema: AnswerSchema | None = None
    """What the answer must fit."""
    verify: tuple[str, ...] = ()
    """A command that must accept the answer; see `handoff.verify`."""
    choices: tuple[str, ...] = ()
    """Texts of which the answer must be one; none for any answer."""
    tools: tuple[Tool, ...] = ()
    """Hosted tools that were asked for: only a cloud has them."""
    asked: str | None = None
    """What the local model asks such a tool for; None where the user asks, in the prompt."""

    def messages(self) -> list[dict[str, str]]:
        """The chat messages, the same for either side: context first, then what is asked of it."""
        content = self.question.prompt
        if self.question.context.strip():
            content = f"{self.question.context.rstrip()}\n\n{content}"
        user = {"role": "user", "content": content}
        return [user] if self.system is None else [{"role": "system", "content": self.system}, user]

    def arguments(self) -> list[dict[str, str]]:
        """What a hosted tool is asked for, without the text and the system message around it."""
        return [{"role": "user", "content": self.question.prompt if self.asked is None else self.asked}]


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


class Handoff(msgspec.Struct, frozen=True):
    """The decision. `confidence` is None where nothing was measured."""

    decision: Literal["kept", "escalated", "denied"]
    reason: Reason
    stage: Stage
    confidence: float | None
    threshold: float | None
    signals: dict[str, float | None]
    stages: list[StageScore] = []
    """Of a local answer, finished or given up."""


class Tokens(msgspec.Struct, frozen=True, rename={"in_": "in"}):
    """None where a cloud did not say; 0 where a side was not used."""

    in_: int | None = 0
    out: int | None = 0


class Usage(msgspec.Struct, frozen=True):
    local: Tokens = Tokens()
    cloud: Tokens = Tokens()


class Timings(msgspec.Struct, frozen=True):
    """Seconds since the start of the command, but for `load`, which is the model's own load time, and
    `local`, which is what the local answer took, also where it was thrown away.
    """

    load: float | None
    first_token: float | None
    total: float
    local: float | None = None


class PolicyView(msgspec.Struct, frozen=True):
    profile: str
    mode: str
    decided_by: str
    enforcement: str


class Answer(msgspec.Struct, frozen=True):
    """One model's whole answer, and how it came to be."""

    id: str
    answer: str
    answered_by: Literal["local", "cloud"]
    model: str
    handoff: Handoff
    usage: Usage
    cost_usd: float | None
    """0 for a local answer; None where the cloud's price is not known."""
    timings: Timings
    policy: PolicyView
    finish_reason: str
    cost_is_estimate: bool = False
    """The cloud gave no usage, so that its tokens were estimated."""
    citations: list[dict[str, str]] = []
    """Web pages that the answer names: title and url."""
    images: list[bytes] = []
    """Generated images; base64 in JSON."""

    def as_json(self) -> dict[str, Any]:
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built
