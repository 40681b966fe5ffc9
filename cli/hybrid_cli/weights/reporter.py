"""What a user sees of a pull: a line with rate and time left, plain lines, or JSON events on stdout."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from hybrid_cli.ui.environment import SILENCE_SECONDS, Environment
from hybrid_cli.ui.sanitize import without_controls

_TERMINAL_SECONDS = 0.2
_PLAIN_SECONDS = 10.0
_JSON_SECONDS = 1.0
_RATE_SAMPLES = 50


class Reporter:
    """Tells how a pull goes. With `as_json` each event is also a line of JSON on stdout."""

    def __init__(self, environment: Environment, *, as_json: bool) -> None:
        self.environment = environment
        self.as_json = as_json

    def say(self, message: str) -> None:
        """One line for the user."""
        self.environment.note(message)

    def event(self, event: str, **fields: Any) -> None:
        """One JSON object for a program, where it was asked for."""
        if self.as_json:
            self.environment.write_stdout(json.dumps({"event": event, **fields}).encode() + b"\n")

    def progress(self, file: str, size: int | None, done: int) -> Progress:
        """Start to tell of `file`, of which `done` bytes are here already."""
        return Progress(self, file, size, done)


class Progress:
    """The bytes of one file as they come. `show` is called often, and tells when it is time to."""

    def __init__(self, reporter: Reporter, file: str, size: int | None, done: int) -> None:
        self._reporter = reporter
        self._environment = reporter.environment
        self._file = without_controls(file)
        self.size = size
        self._on_terminal = self._environment.can_animate()
        now = self._environment.clock()
        self._samples: deque[tuple[float, int]] = deque([(now, done)], maxlen=_RATE_SAMPLES)
        self._next_line = now + SILENCE_SECONDS
        self._next_event = now

    def show(self, done: int) -> None:
        """Tell that `done` bytes are here, if it is time to."""
        now = self._environment.clock()
        if now - self._samples[-1][0] < _TERMINAL_SECONDS:
            return
        self._samples.append((now, done))
        if self._reporter.as_json and now >= self._next_event:
            self._next_event = now + _JSON_SECONDS
            rate = round(self._rate())
            self._reporter.event(
                "progress", file=self._file, done=done, size=self.size, bytes_per_second=rate
            )
        if self._on_terminal:
            self._environment.draw(f"hybrid: {self._words(done)}")
        elif now >= self._next_line:
            self._next_line = now + _PLAIN_SECONDS
            self._environment.note(self._words(done))

    def end(self) -> None:
        """Clear the terminal's line."""
        self._environment.draw("")

    def _rate(self) -> float:
        """Bytes a second of late."""
        (start, before), (end, now) = self._samples[0], self._samples[-1]
        return max(0, now - before) / (end - start) if end > start else 0.0

    def _words(self, done: int) -> str:
        rate = self._rate()
        of = f"{done / 1e6:.0f} of {self.size / 1e6:.0f} MB" if self.size else f"{done / 1e6:.0f} MB"
        left = f", {duration((self.size - done) / rate)} left" if self.size and rate else ""
        return f"{self._file}: {of}, {rate / 1e6:.1f} MB/s{left}"


def duration(seconds: float) -> str:
    """`seconds` for a reader."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60} min"
