"""What may be drawn on a terminal: colour by the user's word, and one line of progress that is drawn over."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import unicodedata
from collections.abc import Mapping
from typing import BinaryIO, Literal, TextIO

ColorChoice = Literal["auto", "always", "never"]

_STYLES = {"error": "1;31", "warning": "33", "good": "32", "bar": "36", "heading": "1"}
"""SGR parameters (ECMA-48)."""
_SECONDS_BEFORE = 0.5
"""A wait shorter than this is not worth a line."""
_FRAME_SECONDS = 0.1
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PLAIN_FRAMES = "|/-\\"


def is_terminal(stream: BinaryIO | TextIO | None) -> bool:
    """Whether `stream` is open and a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def wants_colour(stream: BinaryIO | TextIO | None, choice: ColorChoice, variables: Mapping[str, str]) -> bool:
    """Whether `stream` gets colours: by --color, else NO_COLOR, else FORCE_COLOR, else if it is a terminal."""
    if choice != "auto":
        return choice == "always"
    if variables.get("NO_COLOR"):
        return False
    if variables.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return is_terminal(stream) and variables.get("TERM") != "dumb"


def painted(text: str, style: str) -> str:
    """`text` in the colours of `style`, a key of the table above."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def shortened(text: str, columns: int) -> str:
    """As much of `text` as `columns` show; 0 columns are those of a terminal that does not tell."""
    used = 0
    for place, character in enumerate(text):
        used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > columns > 0:
            return text[:place]
    return text


class StatusLine:
    """The last line of the terminal behind `stream`, which all threads share; what is printed goes above."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._drawn = False

    def draw(self, stream: TextIO, text: str) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            columns = os.get_terminal_size(stream.fileno()).columns
            stream.write(f"\r{shortened(text, columns - 1)}\x1b[K")  # a longer one could not be drawn over
            stream.flush()
            self._drawn = True

    def clear(self, stream: TextIO) -> None:
        with self._lock:
            if self._drawn:
                self._drawn = False
                with contextlib.suppress(OSError, ValueError):
                    stream.write("\r\x1b[K")
                    stream.flush()

    def write(self, stream: TextIO, text: str) -> None:
        """`text` as it is, with no status line in its way."""
        with self._lock:
            self.clear(stream)
            with contextlib.suppress(OSError, ValueError):  # a closed stderr must not change the exit code
                stream.write(text)
                stream.flush()


class Spinner:
    """Turns beside some words until it is stopped."""

    def __init__(self, line: StatusLine, stream: TextIO, words: str) -> None:
        self.words = words
        self._line, self._stream = line, stream
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._turn, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take it away. Nothing of it is drawn after this returns."""
        if not self._over.is_set():
            self._over.set()
            self._thread.join()
            self._line.clear(self._stream)

    def _turn(self) -> None:
        try:
            _FRAMES.encode(self._stream.encoding or "ascii")
            frames = _FRAMES
        except (UnicodeError, LookupError):
            frames = _PLAIN_FRAMES
        if self._over.wait(_SECONDS_BEFORE):
            return
        for frame in itertools.cycle(frames):
            self._line.draw(self._stream, f"{frame} {self.words}")
            if self._over.wait(_FRAME_SECONDS):
                return
