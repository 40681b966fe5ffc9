"""What passes between the parent and the engine's process, as both sides name it.

A request is one JSON object; the answers are events, each a JSON object with a field `event`:

- `loaded`: the model is in memory; `load_seconds`, and `tokens_in` of all prompts together
- `tokens`: a few tokens of one `sequence`: `text` for the answer, `thinking` for what is not, `signals`
- `state`: of one `sequence` whose task wants it, the model's last hidden state at the prompt's last token
  (behind the final norm), as little-endian float16 in base64
- `finished`: one `sequence` is over; `finish_reason`, `tokens_in`, `tokens_out`
- `done`: all are; `context` (the limit in tokens), `cached` (prompt tokens taken from the prefix cache)
- `failed`: `status` (an exit code's name) and `message`

A flow has no end that is known at its beginning: after its request come lines of their own, a task each
(`{"sequence": 3, "task": {...}}`), or `{"cancel": 3}`, and at last `{"end": true}`. Its events are the same,
and `refused`: one `sequence` cannot be made; `status` and `message`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal["content", "first", "forced", "hidden"]
"""What a token is to the answer: `first` is the first content token with text; `forced` was the only way
the grammar left; `hidden` belongs to thinking, to a channel's header, or to no text at all."""


class TokenSignal(NamedTuple):
    """One token's signals, from raw logits; None where they are not finite numbers."""

    logprob: float | None
    """The natural logarithm of the token's probability."""
    margin: float | None
    """The difference of the two highest probabilities."""
    entropy: float | None
    """Of the whole distribution, in nats."""
    kind: Kind


@dataclass(frozen=True)
class Task:
    """One sequence to be made."""

    messages: list[dict[str, str]]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    repeat_penalty: float = 1.0
    stop: list[str] = field(default_factory=list)
    schema: str | None = None
    """A JSON Schema, as JSON, that the answer must fit."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """Function tools, in OpenAI's form, that the model is told of."""
    wants_state: bool = False
    """Whether the last hidden state at the prompt's last token is to be told."""
    choices: list[str] = field(default_factory=list)
    """Texts of which the answer is one; none for a free answer."""


@dataclass(frozen=True)
class FlowRequest:
    """Sequences to be made by one model as they come."""

    path: str
    examples: list[list[dict[str, str]]]
    """The messages of two tasks: what these begin with alike, all tasks do."""
    places: int | None
    """The most sequences side by side; None for what pays on this machine."""
    context: int | None = None
    threads: int | None = None
    require_enforcement: bool = False
    """Refused where the process is not under seccomp."""


@dataclass(frozen=True)
class LocalRequest:
    """Sequences to be made by one model, side by side where there are several."""

    path: str
    tasks: list[Task]
    context: int | None = None
    """The most tokens a sequence may have; None for what it needs."""
    threads: int | None = None
    """None to go by what the machine is doing."""
    cache_folder: str | None = None
    """Where prefixes are kept; None to keep none."""
    weights_id: str = ""
    """What names these weights in the cache."""
    require_enforcement: bool = False
    """Refuse where no seccomp keeps the engine's process from the network."""
