"""The output of a pull: progress and messages for people on stderr, or JSON events on stdout."""

from __future__ import annotations

from typing import Any

from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.progress import REDRAW_SECONDS, Progress, Rate, duration
from hybrid_cli.ui.sanitize import without_controls

_JSON_SECONDS = 1.0
_MIN_RATE = 10_000
"""Bytes per second below which the time left is no estimate: a download that has just begun has no rate."""


class Reporter:
    """Reports on a pull. With `as_json` each event is also a line of JSON on stdout."""

    def __init__(self, environment: Environment, *, as_json: bool) -> None:
        self.environment = environment
        self.as_json = as_json

    def say(self, message: str) -> None:
        """Write one line for people."""
        self.environment.note(message)

    def event(self, event: str, **fields: Any) -> None:
        """Write one JSON object for programs, with `as_json` only."""
        if self.as_json:
            self.environment.print_json({"event": event, **fields})

    def progress(self, file: str, size: int | None, done: int) -> DownloadProgress:
        """The progress of `file`, of which `done` bytes were downloaded before."""
        return DownloadProgress(self, file, size, done)


class DownloadProgress:
    """Shows how many bytes of a file have arrived, their rate, and the time left if `size` is known."""

    def __init__(self, reporter: Reporter, file: str, size: int | None, done: int) -> None:
        self._reporter = reporter
        self._clock = reporter.environment.clock
        self._file = without_controls(file)
        self._size = size
        self._done = done
        self._rate = Rate(self._clock, done)
        self._progress = Progress(reporter.environment, self._describe)
        self._next_event = self._clock() + REDRAW_SECONDS

    def show(self, done: int) -> None:
        """Show that `done` bytes have arrived, if it is time to; may be called often."""
        self._done = done
        self._rate.add(done)
        now = self._clock()
        if self._reporter.as_json and now >= self._next_event:
            self._next_event = now + _JSON_SECONDS
            rate = round(self._rate.per_second)
            self._reporter.event(
                "progress", file=self._file, done=done, size=self._size, bytes_per_second=rate
            )
        self._progress.update()

    def end(self) -> None:
        """Clear the terminal's line."""
        self._progress.end()

    def _describe(self) -> str:
        rate = self._rate.per_second
        size = f" of {self._size / 1e6:.0f}" if self._size else ""
        is_known = self._size is not None and rate > _MIN_RATE
        left = f", {duration((self._size - self._done) / rate)} left" if self._size and is_known else ""
        return f"{self._file}: {self._done / 1e6:.0f}{size} MB, {rate / 1e6:.1f} MB/s{left}"
