"""The profile's schema: each field's type, bounds and default. The loader checks against it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Mode = Literal["forbid", "auto", "force", "ask"]
MODES: tuple[Mode, ...] = ("forbid", "auto", "force", "ask")

PositiveInt = Annotated[int, Meta(ge=1, le=10_000_000)]
Price = Annotated[float, Meta(ge=0)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping of the profile; a key it does not name is an error."""


class Sampling(_Section, frozen=True):
    temperature: Annotated[float, Meta(ge=0, le=5)] = 0.0
    max_tokens: PositiveInt = 512
    seed: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)] = 0
    repeat_penalty: Annotated[float, Meta(ge=1, le=2)] = 1.0
    """Over 1, what was said becomes less likely: it keeps very small models out of loops."""


class Local(_Section, frozen=True):
    model: str = "smollm2-135m"
    """A catalog name, or a path."""
    context: PositiveInt | Literal["auto"] = "auto"
    """Tokens; auto is what the prompt needs, up to what the model was trained for."""
    threads: Annotated[int, Meta(ge=1, le=1024)] | Literal["auto"] = "auto"
    sampling: Sampling = Sampling()


class Key(_Section, frozen=True):
    """Where the key is read from; never the key itself. Exactly one is set."""

    env: str | None = None
    file: str | None = None
    command: Annotated[list[str], Meta(min_length=1)] | None = None

    def __post_init__(self) -> None:
        if sum(source is not None for source in (self.env, self.file, self.command)) != 1:
            raise ValueError("Expected exactly one of `env`, `file` and `command`")


class Prices(_Section, frozen=True):
    """USD per million tokens."""

    input: Price
    output: Price


class Cloud(_Section, frozen=True):
    base_url: Annotated[str, Meta(pattern=r"^https?://[^\s/]")]
    model: Annotated[str, Meta(min_length=1)]
    key: Key | None = None
    prices: Prices | None = None


class Target(_Section, frozen=True):
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """The least mean token probability (geometric) of an answer that is kept."""


class Escalation(_Section, frozen=True):
    mode: Mode = "auto"
    target: Target = Target()
    on_denied: Literal["answer", "fail"] = "answer"
    on_cloud_failure: Literal["fail", "answer"] = "fail"


class Limits(_Section, frozen=True):
    seconds: Annotated[float, Meta(gt=0, le=86_400)] | None = None


class Profile(_Section, frozen=True):
    version: Literal[1]
    local: Local = Local()
    cloud: Cloud | None = None
    escalation: Escalation = Escalation()
    limits: Limits = Limits()
