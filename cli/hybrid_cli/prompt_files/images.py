"""`-i`: the images that options name, read, recognised by their content, and without metadata."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_cli.cloud.image import Image
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.prompt_files.image_formats import ImageError, without_metadata
from hybrid_cli.prompt_files.reading import TooLargeError, read_regular
from hybrid_cli.ui.sanitize import one_line

MAX_BYTES = 20_000_000
"""Of one image."""
MAX_BYTES_TOGETHER = 36_000_000
"""In Base64 48 MB; OpenAI takes requests of up to 50 MB."""


def read_images(paths: Sequence[str]) -> tuple[Image, ...]:
    """Return the images at `paths`. Raises Failure (USAGE) for a path that is no image, or over a limit."""
    images = tuple(_image(path) for path in paths)
    if sum(len(image.content) for image in images) > MAX_BYTES_TOGETHER:
        raise Failure(
            ExitStatus.USAGE,
            f"the images are over {MAX_BYTES_TOGETHER // 1_000_000} MB together; name fewer or smaller ones",
        )
    return images


def _image(path: str) -> Image:
    try:
        return Image(*without_metadata(read_regular(path, MAX_BYTES)))
    except TooLargeError:
        raise Failure(
            ExitStatus.USAGE, f"{one_line(path)} is over {MAX_BYTES // 1_000_000} MB; make the image smaller"
        ) from None
    except ImageError as error:
        raise Failure(ExitStatus.USAGE, f"{one_line(path)} is {error}") from None
