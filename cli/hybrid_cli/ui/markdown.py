"""Render Markdown on a terminal while it arrives, one block at a time."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from typing import Any

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)")


class MarkdownWriter:
    """Render Markdown that arrives in pieces; pass each block to `write` once the next block begins.

    A block ends at an empty line, unless a code fence is open or the next line is indented.
    """

    def __init__(self, write: Callable[[str], None], *, columns: int, colour: bool) -> None:
        self._write, self._columns, self._colour = write, columns, colour
        self._text = ""
        self._block: list[str] = []
        self._fence = ""
        self._wrote = False

    def feed(self, text: str) -> None:
        """Add text; write the blocks that it completes."""
        *lines, self._text = (self._text + text).split("\n")
        for line in lines:
            self._add_line(line)
        if self._text.strip() and self._begins_block(self._text):
            self._end_block()

    def flush(self) -> None:
        """Write the last block."""
        if self._text:
            self._add_line(self._text)
            self._text = ""
        self._end_block()

    def _add_line(self, line: str) -> None:
        if self._begins_block(line):
            self._end_block()
        self._block.append(line)
        fence = _FENCE.match(line)
        if fence and not self._fence:
            self._fence = fence[1]
        elif fence and self._fence and line.strip().startswith(self._fence):
            self._fence = ""

    def _begins_block(self, line: str) -> bool:
        after_empty = bool(self._block) and not self._block[-1].strip()
        return after_empty and not self._fence and line[:1] not in ("", " ", "\t")

    def _end_block(self) -> None:
        text = "\n".join(self._block).strip("\n")
        self._block = []
        if not text:
            return
        from rich.console import Console
        from rich.markdown import Markdown

        shown = io.StringIO()
        console = Console(
            file=shown, force_terminal=True, width=self._columns, no_color=not self._colour, highlight=False
        )
        document = Markdown(text, hyperlinks=False)  # a hidden link target can deceive
        _images_as_text(document.parsed)
        console.print(document)
        lines = [line.rstrip() for line in shown.getvalue().strip("\n").split("\n")]
        self._write(("\n" if self._wrote else "") + "\n".join(lines) + "\n")
        self._wrote = True


def _images_as_text(tokens: Iterable[Any]) -> None:
    """Turn images into text with their URL: rich moves their names and drops the text after them."""
    for token in tokens:
        for inner in token.children or ():
            if inner.type == "image":
                inner.type, inner.content = "text", f"{inner.content} ({inner.attrs.get('src', '')})"
