"""A text with a name, as one of a prompt's files. It imports nothing, as every prompt needs this class."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PromptFile:
    """A text with the name that the model sees: without its folders, and unique among the files of a prompt."""

    name: str
    text: str
