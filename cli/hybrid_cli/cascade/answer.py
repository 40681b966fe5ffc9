"""The answer object: what `--json` prints."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from hybrid_cli.gate.verdict import Reason, Stage, StageScore

_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)*")


def without_blank_lines(text: str) -> str:
    """`text` without blank lines around it. The first line keeps its indent, which code needs.

    A single leading space goes: many tokenizers write one before the first word.
    """
    begun = text[_leading(text) :]
    return begun.rstrip()


def _leading(text: str) -> int:
    """How many characters of `text` come before its first line's indent."""
    found = _BLANK_LINES.match(text)
    end = found.end() if found is not None else 0
    return end + (text[end : end + 1] == " " and not text[end + 1 : end + 2].isspace())


class AnswerStart:
    """Takes an answer in pieces, and drops the blank lines before it; see `without_blank_lines`."""

    def __init__(self) -> None:
        self._held: str | None = ""

    def feed(self, text: str) -> str:
        """The text that can be shown. Blank text is held back until a word follows."""
        if self._held is None:
            return text
        self._held += text
        if self._held.isspace() or not self._held:
            return ""
        begun, self._held = self._held, None
        return begun[_leading(begun) :]


class HandoffView(msgspec.Struct, frozen=True):
    """The decision. `confidence` is None if nothing was measured."""

    decision: Literal["kept", "escalated", "denied"]
    reason: Reason
    stage: Stage
    confidence: float | None
    threshold: float | None
    signals: dict[str, float | None]
    stages: list[StageScore] = []
    """Of the local answer, finished or given up."""


class TokenCounts(msgspec.Struct, frozen=True, rename={"in_": "in"}):
    """None if the cloud did not say; 0 if the side was not used."""

    in_: int | None = 0
    out: int | None = 0


class Usage(msgspec.Struct, frozen=True):
    local: TokenCounts = TokenCounts()
    cloud: TokenCounts = TokenCounts()


class Timings(msgspec.Struct, frozen=True):
    """Seconds since the start of the command.

    `load` is the time to load the model, and `local` the time the local answer took, even if it was discarded.
    """

    load: float | None
    first_token: float | None
    total: float
    local: float | None = None


class Samples(msgspec.Struct, frozen=True, rename={"in_": "in"}):
    """What `escalation.samples` cost beside the local answer, whose usage and time do not include it.

    Tokens are those of all samples, and `seconds` is the time to draw them.
    """

    count: int = 0
    in_: int = 0
    out: int = 0
    seconds: float = 0.0


class PolicyView(msgspec.Struct, frozen=True):
    profile: str
    mode: str
    decided_by: str
    enforcement: str


class Answer(msgspec.Struct, frozen=True):
    """One model's whole answer, and how it was decided."""

    id: str
    answer: str
    answered_by: Literal["local", "cloud"]
    model: str
    handoff: HandoffView
    usage: Usage
    cost_usd: float | None
    """0 for a local answer, unless a cloud that failed may have charged; None if the cloud's price is unknown."""
    timings: Timings
    policy: PolicyView
    finish_reason: str
    cost_is_estimate: bool = False
    """The cloud reported no usage, or a failed request that may have been charged counts with its reservation."""
    citations: list[dict[str, str]] = []
    """Web pages the answer cites: title and url."""
    samples: Samples = Samples()
    images: list[bytes] = []
    """Generated images; base64 in JSON."""

    def as_json(self) -> dict[str, Any]:
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built
