"""A task's prompt in tokens, with its images in their place.

The chat template writes a marker where the images belong: before the text of the last message. The rendered prompt
is split there, and only its texts are tokenized. So no text that looks like a marker can stand for an image.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.loading import Loader
from hybrid_cli.local.model import Model
from hybrid_cli.local.protocol import Task

if TYPE_CHECKING:  # late, as few prompts have images
    from hybrid_cli.local.projector import PromptImages


class ReadPrompt(NamedTuple):
    """A prompt as text and as tokens; negative ones belong to images."""

    text: str
    tokens: list[int]
    images: PromptImages | None = None


def read_prompt(task: Task, model: Model, loader: Loader, projector: str | None) -> ReadPrompt:
    """Return the prompt of `task`. `projector` is the path of what reads its images.

    Raises Failure: WEIGHTS if the projector cannot be used, DENIED if it cannot read an image.
    """
    if not task.images:
        text = model.prompt(task)
        return ReadPrompt(text, model.tokens(text))
    reader = loader.projector(projector)
    marker = (
        f"<image {hashlib.sha256(msgspec.json.encode(task)).hexdigest()}>"  # no text holds its own digest
    )
    text = model.prompt(task, before_last=marker * len(task.images))
    parts = text.split(marker)
    if len(parts) != len(task.images) + 1:
        raise Failure(ExitStatus.DENIED, "the local model's chat template has no place for images")
    tokens, images = reader.read(parts, task.images, adds_bos=model.lacks_bos(text))
    return ReadPrompt(text, tokens, images)
