"""What the sections of the profile's schema share: their base, common types, and the meaning of a key."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


def says(description: str) -> Meta:
    """The meaning of a key, for editors and docs/profiles.md."""
    return Meta(description=description)


def if_wrong(message: str) -> Meta:
    """What `hybrid profile check` says of a wrong value; without it, the message is made from the type."""
    return Meta(extra={"mistake": message})


PositiveInt = Annotated[int, Meta(ge=1, le=10_000_000)]
Usd = Annotated[float, Meta(ge=0, le=1_000_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Words = Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping in the profile; unknown keys in it are errors."""


def given(section: msgspec.Struct) -> list[str]:
    """The names of the keys that are set."""
    return [name for name in section.__struct_fields__ if getattr(section, name) is not None]


def require_one_of(section: msgspec.Struct) -> None:
    """Raise ValueError unless exactly one key is set."""
    if len(given(section)) != 1:
        raise ValueError(f"set exactly one of {', '.join(section.__struct_fields__)}")
