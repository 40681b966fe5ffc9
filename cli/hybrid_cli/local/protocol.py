"""The protocol between the parent process and the engine process: messages to the engine, events from it.

Both are lines of JSON through a pipe, encoded by msgspec with the class name as a tag. The parent does not trust
the engine: decoding checks every type.

The parent sends one `Describe`, `MeasureLayouts`, `LocalRequest` or `SchedulerRequest`; a `Preload` may come before. The
engine answers with events, the last of which is `Done` or `Failed`. After a `SchedulerRequest`, the parent sends `Begin`
and `Cancel` for single sequences, and `End` after the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Union

import msgspec

from hybrid_cli.local.layouts import Layouts

Kind = Literal["content", "first", "forced", "hidden"]
"""How a token belongs to the answer.

`content` is answer text, and `first` its first token with text. `forced` was the only token the grammar allowed.
`hidden` belongs to thinking or to a channel's header, or has no text.
"""

TemplateState = Literal["used", "missing", "broken"]
"""Whether the model's own chat template wrote the prompt; `missing` and `broken` mean that ChatML did."""


class TokenSignal(NamedTuple):
    """Confidence signals of one token, from raw logits; None where a value is not finite."""

    logprob: float | None
    """Natural logarithm of the token's probability."""
    margin: float | None
    """Highest probability minus the second highest."""
    entropy: float | None
    """Entropy of the distribution over all tokens, in nats."""
    kind: Kind


class TokenLogprobs(NamedTuple):
    """One token of the answer, and the likeliest ones in its place, by natural logarithms from raw logits."""

    piece: bytes
    """It may end within a character."""
    logprob: float | None
    """None if a logit is not finite."""
    top: list[tuple[bytes, float]]
    """The likeliest pieces, first the likeliest of all; as many as the task asks for."""


class Engine(Protocol):
    """A local engine, as the cascade uses it: a worker of its own, or a slot in a shared scheduler."""

    def events(self, request: LocalRequest) -> Iterator[Event]:
        """Run `request` and yield its events, up to and including `Done`.

        Raises Failure if the engine cannot answer or its process dies.
        """
        ...

    def stop(self) -> None:
        """Stop the request. Safe to call at any time."""
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
    sample: int = 0
    """The number of this sample, if a prompt is sampled several times; each draws for itself."""
    repeat_penalty: float = 1.0
    stop: list[str] = []
    schema: str | None = None
    """A JSON Schema, as JSON, that the answer must fit."""
    tools: list[dict[str, Any]] = []
    """Function tools in OpenAI's form, for the chat template."""
    choices: list[str] = []
    """The allowed answers; empty allows any text."""
    room: int = 0
    """Tokens that the context must have left for the answer, up to half of it; else the task overflows."""
    drafts: bool = True
    """Whether repeated text is drafted and verified, rather than decoded token by token."""
    thinking: int | Literal["auto", "on", "off"] | None = None
    """See `thinking_control.Thinking`."""
    template_variables: dict[str, Any] = {}
    """More variables for the chat template."""
    top_logprobs: int | None = None
    """How many alternatives are reported with each token's log-probability; None to report neither."""
    images: list[bytes] = []
    """Files of images that the last message is about."""


class Describe(_Message, frozen=True):
    """Describe llama.cpp's build, and load the model at `path` if there is one."""

    path: str | None


class MeasureLayouts(_Message, frozen=True):
    """Measure the model at `path` in both layouts of its weights, unless it was on these `kernels`."""

    path: str
    kernels: str


class SecondModel(msgspec.Struct, frozen=True):
    """A model that drafts for the request's own (`draft_model`)."""

    name: str
    """For messages."""
    path: str
    is_named: bool
    """Whether the profile names it. Then its costs do not matter, and the request is refused if it cannot be used."""
    layouts: Layouts | None = None
    """As for the request."""


class LocalRequest(_Message, frozen=True):
    """Generate one or more sequences in parallel with one model."""

    path: str
    tasks: list[Task]
    context: int | None = None
    """Maximum tokens of one sequence, prompt included; None for as many as it needs."""
    threads: int | None = None
    """None adapts to the machine's load."""
    cache_folder: str | None = None
    """Where prefixes are cached; None for no cache."""
    cached_head: str | None = None
    """The beginning of the last message that may be cached with what the chat template writes before; None for the whole
    prompt."""
    weights_id: str = ""
    """Identifies these weights in the cache."""
    require_enforcement: bool = False
    """Whether to refuse unless the engine process is under seccomp."""
    mmap_over_memory: bool = False
    """Whether the weights may be larger than the free memory."""
    gpu_layers: int | None = None
    """Layers that a GPU holds; None for as many as fit."""
    projector: str | None = None
    """The path of what turns images into the model's input; it is loaded for the first image."""
    layouts: Layouts | None = None
    """How fast the model is in each layout of its weights; None if that was not measured."""
    draft: SecondModel | None = None
    """Used for a single task."""

    @property
    def has_images(self) -> bool:
        """Whether the projector will be loaded, too."""
        return any(task.images for task in self.tasks)


class Preload(_Message, frozen=True):
    """Load the model of a request that will follow, which has the same settings and about the same tasks.

    No event answers. If the load fails, it is tried again for the request, which then reports it.
    """

    request: LocalRequest


class SchedulerRequest(_Message, frozen=True):
    """Generate sequences with one model as they arrive, until `End`."""

    path: str
    examples: list[Task]
    """Two tasks. The common prefix of their prompts is decoded once and shared by all tasks."""
    jobs: int | None
    """Maximum sequences in parallel; None for the fastest number on this machine."""
    seconds: float | None = None
    """The time limit of one task."""
    has_images: ClassVar[bool] = False
    """Which sequences come is not known yet, nor whether they have images."""
    context: int | None = None
    threads: int | None = None
    require_enforcement: bool = False
    mmap_over_memory: bool = False
    gpu_layers: int | None = None
    projector: str | None = None
    layouts: Layouts | None = None


class Begin(_Message, frozen=True):
    """Generate one more sequence."""

    sequence: int
    task: Task


class Cancel(_Message, frozen=True):
    """Stop one sequence."""

    sequence: int


class End(_Message, frozen=True):
    """No more sequences will come."""


class Keep(_Message, frozen=True):
    """Stay for so many seconds without a caller. Only a warm engine understands this and the next two."""

    seconds: float | None
    """None for ever."""


class AskStatus(_Message, frozen=True):
    """Report the warm engine's status."""


class Unload(_Message, frozen=True):
    """End the warm engine, even if others use it."""


Message = Union[  # noqa: UP007  no | before 3.11
    Describe,
    MeasureLayouts,
    Preload,
    LocalRequest,
    SchedulerRequest,
    Begin,
    Cancel,
    End,
    Keep,
    AskStatus,
    Unload,
]


# ---- from the engine ------------------------------------------------------------------------------------


class _Event(msgspec.Struct, frozen=True, tag_field="event", tag=True):
    pass


class Ready(_Event, frozen=True):
    """The engine process is guarded and waits for a message."""

    enforcement: str


class GpuState(msgspec.Struct, frozen=True):
    """A GPU, as `local.devices` describes it."""

    name: str
    description: str
    kind: str
    backend: str
    free: int
    total: int


class Described(_Event, frozen=True):
    """llama.cpp's build and the free memory in bytes."""

    features: str
    backends: list[str]
    """Of this build, such as CPU and CUDA."""
    gpus: list[GpuState]
    """The GPUs that these backends find."""
    available: int | None
    confined: bool | None = None
    """Whether the process is confined in the file system; None if it was not tried, as no model was named."""


class Measured(_Event, frozen=True):
    """The speeds of both layouts; None where there is no choice."""

    layouts: Layouts | None


class Loaded(_Event, frozen=True):
    """The model is in memory."""

    load_seconds: float
    tokens_in: int
    """Of all prompts together; 0 from a scheduler."""
    template: TemplateState = "used"
    gpu_layers: int = 0
    """Layers that a GPU holds."""
    gpu_layers_tried: int = 0
    """The number of layers that did not fit, or that no GPU was there for; 0 if the first attempt worked."""
    has_gpu: bool = False
    slots: int = 0
    """How many sequences like its examples a scheduler decodes together."""


class Tokens(_Event, frozen=True):
    """New tokens of one sequence."""

    sequence: int
    text: str
    """Part of the answer."""
    thinking: str
    """Part of the model's thinking."""
    signals: list[TokenSignal]
    logprobs: list[TokenLogprobs] = []
    """Of the answer's tokens, if the task asks for them; none for an answer chosen among choices."""


class Finished(_Event, frozen=True):
    """One sequence is complete."""

    sequence: int
    finish_reason: str
    """stop, length, loop or overflow."""
    tokens_in: int
    tokens_out: int
    context: int = 0
    """The context limit in tokens, if the prompt exceeds it."""


class Refused(_Event, frozen=True):
    """One sequence cannot be generated; the others continue."""

    sequence: int
    status: str
    """The name of an exit status."""
    reason: str


class Done(_Event, frozen=True):
    """All sequences are complete."""

    context: int = 0
    """The context limit in tokens."""
    cached: int = 0
    """Prompt tokens taken from the prefix cache."""


class Failed(_Event, frozen=True):
    """The engine cannot answer the request."""

    status: str
    """The name of an exit status."""
    reason: str


class Status(_Event, frozen=True):
    """The state of a warm engine."""

    path: str
    weights_id: str
    pid: int
    memory: int
    """Bytes in memory, the mapped weights among them."""
    callers: int
    """Connections, except those that only ask for the status."""
    idle: float
    """Seconds since the last caller left; 0 while there is one."""
    keep: float | None
    """Seconds that it stays without a caller; None for ever."""


SequenceEvent = Union[Tokens, Finished]  # noqa: UP007
Event = Union[  # noqa: UP007
    Ready, Described, Measured, Loaded, Tokens, Finished, Refused, Done, Failed, Status
]
