"""How far a long piece of work is: a line redrawn on a terminal, elsewhere a line now and then; on stderr."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hybrid_cli.ui.environment import SILENCE_SECONDS, Environment

REDRAW_SECONDS = 0.2
_LINE_SECONDS = (10.0, 60.0)
"""Between two lines: at first, and at most; the time doubles, so that hours of work do not fill a log."""
_RATE_SAMPLES = 50
_BAR_COLUMNS = 10
"""The text beside the bar must fit into 80 columns, too."""
_MIN_DONE = 8
"""Items done before the time left is estimated: the first of many in parallel take longest."""


class Progress:
    """Shows `describe()` at intervals: every 0.2 s on a terminal, else after 2 s, 10 s, 20 s, 40 s and then every 60 s."""

    def __init__(self, environment: Environment, describe: Callable[[], str]) -> None:
        self._environment = environment
        self._describe = describe
        self._animates = environment.can_animate()
        self._pause = _LINE_SECONDS[0]
        self._next = environment.clock() + (REDRAW_SECONDS if self._animates else SILENCE_SECONDS)

    def update(self) -> None:
        """Show the progress if it is time to; may be called often."""
        if self._environment.clock() >= self._next:
            self.show()

    def show(self) -> None:
        """Show the progress now."""
        if self._animates:
            self._next = self._environment.clock() + REDRAW_SECONDS
            self._environment.draw(f"hybrid: {self._describe()}")
        else:
            self._next = self._environment.clock() + self._pause
            self._pause = min(2 * self._pause, _LINE_SECONDS[1])
            self._environment.note(self._describe())

    def end(self) -> None:
        """Clear the terminal's line."""
        self._environment.draw("")


class ProgressBar:
    """A context manager that counts items done of `total`, with the time left. It leaves no line behind."""

    def __init__(self, environment: Environment, what: str, total: int) -> None:
        """`what` follows the count, for example `answered by smollm2-135m`."""
        self._clock = environment.clock
        self._animates = environment.can_animate()
        self._what = what
        self._total = total
        self._done = 0
        self._begun = self._clock()
        self._progress = Progress(environment, self._describe)

    def __enter__(self) -> ProgressBar:
        if self._animates and self._total:
            self._progress.show()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.end()

    def step(self) -> None:
        """Count one more item."""
        self._done += 1
        self._progress.update()

    def _describe(self) -> str:
        text = f"{self._done} of {self._total} {self._what}"
        if self._done >= _MIN_DONE:
            each = (self._clock() - self._begun) / self._done
            text += f", about {duration(each * (self._total - self._done))} left"
        return f"{bar(self._done, self._total)} {text}" if self._animates else text


class Rate:
    """How fast a count grows, over the last 50 samples; a sample is taken every 0.2 s at most."""

    def __init__(self, clock: Callable[[], float], count: int = 0) -> None:
        self._clock = clock
        self._samples = deque([(clock(), count)], maxlen=_RATE_SAMPLES)

    def add(self, count: int) -> None:
        """Take a sample if the last one is old enough; may be called often."""
        now = self._clock()
        if now - self._samples[-1][0] >= REDRAW_SECONDS:
            self._samples.append((now, count))

    @property
    def per_second(self) -> float:
        (start, before), (end, now) = self._samples[0], self._samples[-1]
        return max(0, now - before) / (end - start) if end > start else 0.0


def bar(done: int, total: int) -> str:
    """`done` of `total` as a bar of fixed width."""
    filled = _BAR_COLUMNS * done // total
    return "█" * filled + "░" * (_BAR_COLUMNS - filled)


def duration(seconds: float) -> str:
    """`seconds` as text: `90 s`, `5 min` or `2 h 5 min`."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60} min"
