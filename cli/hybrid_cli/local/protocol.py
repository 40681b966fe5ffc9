"""What the parent and the engine's process say to each other: messages one way, events the other.

Both are lines of JSON through a pipe, encoded by msgspec with their class's name as a tag. Values in them are
untrusted on the parent's side: decoding checks every type.

The parent sends one `Describe`, `LocalRequest` or `SchedulerRequest`. The engine answers with events and ends
with `Done` or `Failed`. After a `SchedulerRequest` the parent goes on sending: `Begin` and `Cancel` for single
sequences, and `End` when no more will come.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Protocol, Union

import msgspec

Kind = Literal["content", "first", "forced", "hidden"]
"""A token's part in the answer.

`first` is the first content token with text. The grammar left no other choice for a `forced` token. A `hidden`
token belongs to thinking, to a channel's header, or to no text at all.
"""


class TokenSignal(NamedTuple):
    """One token's signals, from raw logits; None where they are not finite numbers."""

    logprob: float | None
    """The natural logarithm of the token's probability."""
    margin: float | None
    """The difference of the two highest probabilities."""
    entropy: float | None
    """Of the whole distribution, in nats."""
    kind: Kind


class Engine(Protocol):
    """A local engine as the cascade uses it: a forked worker, or its place in a shared scheduler."""

    def events(self, request: LocalRequest) -> Iterator[Event]:
        """Run `request` and yield its events, up to and including `Done`.

        Raises Failure where the engine cannot answer, or its process dies.
        """
        ...

    def stop(self) -> None:
        """Give the request up. Safe to call at any time."""
        ...


# ---- from the parent ------------------------------------------------------------------------------------


class _Message(msgspec.Struct, frozen=True, tag_field="message", tag=True):
    pass


class Task(msgspec.Struct, frozen=True):
    """One sequence to generate."""

    messages: list[dict[str, str]]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    repeat_penalty: float = 1.0
    stop: list[str] = []
    schema: str | None = None
    """A JSON Schema, as JSON, that the answer must fit."""
    tools: list[dict[str, Any]] = []
    """Function tools in OpenAI's form, for the chat template."""
    wants_state: bool = False
    """Whether to send the `State` of the prompt's last token."""
    choices: list[str] = []
    """The answer is one of these texts; any text if empty."""


class Describe(_Message, frozen=True):
    """Describe llama.cpp's build, and load the model at `path` if there is one."""

    path: str | None


class LocalRequest(_Message, frozen=True):
    """Generate sequences with one model, side by side if there are several."""

    path: str
    tasks: list[Task]
    context: int | None = None
    """The most tokens of one sequence; None for as many as it needs."""
    threads: int | None = None
    """None adapts to what else the machine is doing."""
    cache_folder: str | None = None
    """Where prefixes are cached; None for no cache."""
    weights_id: str = ""
    """Identifies these weights in the cache."""
    require_enforcement: bool = False
    """Refuse unless the engine's process is under seccomp."""


class SchedulerRequest(_Message, frozen=True):
    """Generate sequences with one model as they arrive, until `End`."""

    path: str
    examples: list[list[dict[str, str]]]
    """The messages of two tasks. Their common beginning is decoded once for all tasks."""
    slots: int | None
    """The most sequences side by side; None for the number that is fastest on this machine."""
    context: int | None = None
    threads: int | None = None
    require_enforcement: bool = False


class Begin(_Message, frozen=True):
    """Generate one more sequence."""

    sequence: int
    task: Task


class Cancel(_Message, frozen=True):
    """Drop one sequence."""

    sequence: int


class End(_Message, frozen=True):
    """No more sequences will come."""


Message = Union[Describe, LocalRequest, SchedulerRequest, Begin, Cancel, End]  # noqa: UP007  no | before 3.11


# ---- from the engine ------------------------------------------------------------------------------------


class _Event(msgspec.Struct, frozen=True, tag_field="event", tag=True):
    pass


class Ready(_Event, frozen=True):
    """The process is guarded and waits for a message."""

    enforcement: str


class Described(_Event, frozen=True):
    """llama.cpp's build and the free memory in bytes."""

    features: str
    offloads: bool
    """Whether this build can use a GPU."""
    available: int | None


class Loaded(_Event, frozen=True):
    """The model is in memory."""

    load_seconds: float
    tokens_in: int
    """Of all prompts together."""


class Tokens(_Event, frozen=True):
    """A few tokens of one sequence."""

    sequence: int
    text: str
    """Part of the answer."""
    thinking: str
    """Part of the model's thinking."""
    signals: list[TokenSignal]


class State(_Event, frozen=True):
    """The hidden state behind the final norm at the prompt's last token."""

    sequence: int
    state: bytes
    """Little-endian float16."""


class Finished(_Event, frozen=True):
    """One sequence is complete."""

    sequence: int
    finish_reason: str
    tokens_in: int
    tokens_out: int
    context: int = 0
    """The limit in tokens, for a prompt that is over it."""


class Refused(_Event, frozen=True):
    """One sequence cannot be generated; the others go on."""

    sequence: int
    status: str
    """The name of an exit status."""
    reason: str


class Done(_Event, frozen=True):
    """All sequences are complete."""

    context: int = 0
    """The limit in tokens."""
    cached: int = 0
    """Prompt tokens that came from the prefix cache."""


class Failed(_Event, frozen=True):
    """The engine cannot go on."""

    status: str
    """The name of an exit status."""
    reason: str


SequenceEvent = Union[Tokens, State, Finished]  # noqa: UP007
Event = Union[Ready, Described, Loaded, Tokens, State, Finished, Refused, Done, Failed]  # noqa: UP007
