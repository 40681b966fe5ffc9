"""Terminal output: colour, a status line that is redrawn in place, and a spinner."""

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
_SPINNER_DELAY = 0.5
"""Seconds before a spinner appears."""
_FRAME_SECONDS = 0.1
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PLAIN_FRAMES = "|/-\\"


def is_terminal(stream: BinaryIO | TextIO | None) -> bool:
    """Return whether `stream` is open and a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def wants_colour(stream: BinaryIO | TextIO | None, choice: ColorChoice, variables: Mapping[str, str]) -> bool:
    """Return whether to colour `stream`: decided by --color, NO_COLOR, FORCE_COLOR, or whether it is a terminal."""
    if choice != "auto":
        return choice == "always"
    if variables.get("NO_COLOR"):
        return False
    if variables.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return is_terminal(stream) and variables.get("TERM") != "dumb"


def styled(text: str, style: str) -> str:
    """Return `text` in a style: a key of `_STYLES`."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def fit_columns(text: str, columns: int) -> str:
    """Return as much of `text` as fits `columns`; all of it if the terminal reports 0 columns."""
    used = 0
    for position, character in enumerate(text):
        used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > columns > 0:
            return text[:position]
    return text


def screen_lines(text: str, columns: int) -> list[str]:
    """Return `text` as lines of at most `columns`, as a terminal would wrap it."""
    lines = []
    for line in text.expandtabs().split("\n"):
        rest = line
        while len(first := fit_columns(rest, columns)) < len(rest):
            lines.append(first)
            rest = rest[len(first) :]
        lines.append(rest)
    return lines


class StatusLine:
    """The last lines of a terminal, redrawn in place and shared by all threads; other output goes above them."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._drawn = 0
        """Lines that are drawn now."""

    def draw(self, stream: TextIO, text: str) -> None:
        """Replace the line with `text`, cut to the width of the terminal: a wrapped line cannot be redrawn."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            columns = os.get_terminal_size(stream.fileno()).columns
            stream.write(f"{self._home()}{fit_columns(text, columns - 1)}\x1b[K")
            stream.flush()
            self._drawn = 1

    def draw_dimmed(self, stream: TextIO, text: str, *, colour: bool) -> None:
        """Replace the lines with the end of `text`, as much as fits the terminal."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            size = os.get_terminal_size(stream.fileno())
            lines = screen_lines(text, max(1, size.columns - 1))[-max(1, size.lines - 1) :]
            begin, end = ("\x1b[2m", "\x1b[0m") if colour else ("", "")
            stream.write(self._home() + begin + "\x1b[K\n".join(lines) + end + "\x1b[J")
            stream.flush()
            self._drawn = len(lines)

    def _home(self) -> str:
        """Return the sequence that moves to the start of the first line that is drawn."""
        return f"\r\x1b[{self._drawn - 1}A\x1b[J" if self._drawn > 1 else "\r"

    def clear(self, stream: TextIO) -> None:
        """Erase the lines."""
        with self._lock:
            if self._drawn:
                erased = self._home() + "\x1b[K"
                self._drawn = 0
                with contextlib.suppress(OSError, ValueError):
                    stream.write(erased)
                    stream.flush()

    def write(self, stream: TextIO, text: str) -> None:
        """Erase the line, then write `text` unchanged."""
        with self._lock:
            self.clear(stream)
            with contextlib.suppress(OSError, ValueError):  # a closed stderr must not change the exit code
                stream.write(text)
                stream.flush()


class Spinner:
    """A spinner beside a message, drawn by a thread until it is stopped."""

    def __init__(self, line: StatusLine, stream: TextIO, message: str) -> None:
        self.message = message
        self._line, self._stream = line, stream
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Erase the spinner. Nothing is drawn after this returns."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._thread.join()
            self._line.clear(self._stream)

    def _spin(self) -> None:
        try:
            _FRAMES.encode(self._stream.encoding or "ascii")
            frames = _FRAMES
        except (UnicodeError, LookupError):
            frames = _PLAIN_FRAMES
        if self._stopped.wait(_SPINNER_DELAY):
            return
        for frame in itertools.cycle(frames):
            self._line.draw(self._stream, f"{frame} {self.message}")
            if self._stopped.wait(_FRAME_SECONDS):
                return
