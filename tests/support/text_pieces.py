"""Texts cut into pieces."""

from __future__ import annotations

from collections.abc import Iterator


def cuttings(text: str) -> Iterator[list[str]]:
    """Yield the text as a whole, as single characters, and cut in two at each place."""
    yield [text]
    yield list(text)
    for place in range(1, len(text)):
        yield [text[:place], text[place:]]
