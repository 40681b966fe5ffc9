"""The world around one run: streams, terminal flags, variables, folders and clock, injectable."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TextIO

from hybrid_cli.exit_status import ExitStatus, Failure, Interrupted
from hybrid_cli.ui.ci import runs_in_ci, without_runner_commands
from hybrid_cli.ui.terminal import ColorChoice, Spinner, StatusLine, is_terminal, painted, wants_colour

SILENCE_SECONDS = 2.0
"""How long a wait may last before a line says what is waited for."""

# Control characters but newline and tab: without ESC and CSI no escape sequence reaches a terminal.
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def printable(text: str) -> str:
    """`text` without the control characters that could drive a terminal."""
    return text.translate(_CONTROLS)


def one_line(text: str) -> str:
    """`text` as it may stand in a message: on one line, and what cannot be seen or reorders text escaped."""
    if text.isascii() and text.isprintable():
        return text
    shown = []
    for character in text:
        kind = unicodedata.category(character)
        if kind in ("Cc", "Zl", "Zp"):
            shown.append(" ")
        elif kind in ("Cf", "Co", "Cs"):
            shown.append(f"\\u{ord(character):04x}")
        else:
            shown.append(character)
    return "".join(shown)


def cut(text: str, longest: int = 80) -> str:
    """`text` as `one_line` and no longer than `longest` characters: a foreign word inside a message."""
    text = one_line(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


@dataclass
class Environment:
    """Everything a command may touch of its process. Streams are None when they were closed."""

    stdin: BinaryIO | None
    stdout: BinaryIO | None
    stderr: TextIO | None
    variables: MutableMapping[str, str]
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = lambda: int.from_bytes(os.urandom(7), "big") / (1 << 56)
    """From 0 to 1, without 1."""
    verbosity: int = 0
    """-1 for errors only, 0, or 1 for details."""
    color: ColorChoice = "auto"
    run: str = field(default_factory=lambda: os.urandom(8).hex())
    """This process, in the ledger."""
    subject: str = ""
    """What messages are about, at their beginning."""
    withheld: dict[str, str] = field(default_factory=dict, repr=False)
    """Variables that no library and no child process may see: keys, above all."""
    status_line: StatusLine = field(default_factory=StatusLine, repr=False)

    @classmethod
    def of_process(cls) -> Environment:
        return cls(
            stdin=sys.stdin.buffer if sys.stdin is not None else None,
            stdout=sys.stdout.buffer if sys.stdout is not None else None,
            stderr=sys.stderr,
            variables=os.environ,
        )

    def withhold(self, names: Iterable[str]) -> None:
        """Take variables out of the process's own, into `withheld`."""
        for name in names:
            value = self.variables.pop(name, None)  # in one step: threads may hand off at once
            if value is not None:
                self.withheld[name] = value

    @property
    def config_folder(self) -> Path:
        """Profiles and consent."""
        return self._folder("config")

    @property
    def data_folder(self) -> Path:
        """Weights."""
        return self._folder("data")

    @property
    def cache_folder(self) -> Path:
        """What can be made again: prefixes of prompts."""
        return self._folder("cache")

    @property
    def state_folder(self) -> Path:
        """The ledger."""
        return self._folder("state")

    def _folder(self, kind: str) -> Path:
        home = self.variables.get("HYBRID_HOME")
        if home:
            return Path(home).absolute() / kind
        from platformdirs import PlatformDirs

        dirs = PlatformDirs("hybrid", appauthor=False)
        folder = {
            "config": dirs.user_config_path,
            "data": dirs.user_data_path,
            "state": dirs.user_state_path,
            "cache": dirs.user_cache_path,
        }[kind]
        if not folder.is_absolute():
            raise Failure(
                ExitStatus.FAILURE, "there is no home folder; set HYBRID_HOME to a folder that can be written"
            )
        return folder

    def stdin_is_terminal(self) -> bool:
        return is_terminal(self.stdin)

    def stdout_is_terminal(self) -> bool:
        return is_terminal(self.stdout)

    def stderr_is_terminal(self) -> bool:
        return is_terminal(self.stderr)

    def stdin_is_pipe_or_file(self) -> bool:
        """Whether stdin was given on purpose: not a terminal, a device or an inherited socket."""
        if self.stdin is None:
            return False
        mode = os.fstat(self.stdin.fileno()).st_mode
        return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)

    def colours(self, stream: BinaryIO | TextIO | None) -> bool:
        """Whether what is written to `stream` for people is coloured."""
        return wants_colour(stream, self.color, self.variables)

    def animates(self) -> bool:
        """Whether something may move on stderr: on a terminal that can, under nobody's --quiet, and not in CI."""
        moves = self.variables.get("TERM") != "dumb" and not self.in_ci()
        return moves and self.verbosity >= 0 and self.stderr_is_terminal()

    def in_ci(self) -> bool:
        """Whether this is a CI job."""
        return runs_in_ci(self.variables)

    def harmless(self, text: str) -> str:
        """`text`, in CI without what a runner would take as its commands. All text passes here, but JSON."""
        return without_runner_commands(text) if self.in_ci() else text

    def tell(self, *lines: str) -> None:
        """Lines on stdout, for people. What programs read (JSON, CSV, scripts) is printed as it is."""
        text = self.harmless("".join(f"{line}\n" for line in lines))
        self.put(text.encode("utf-8", "backslashreplace"))

    def put(self, data: bytes) -> None:
        """Bytes on stdout, at once and as they are; nowhere, where it is closed."""
        if self.stdout is not None:
            try:
                self.stdout.write(data)
                self.stdout.flush()
            except OSError as error:  # made anew it is of the same class, and says where
                raise OSError(error.errno, error.strerror, "stdout") from error

    def error(self, message: str) -> None:
        """One line on stderr, even under --quiet."""
        self._line(message, "error")

    def note(self, message: str) -> None:
        """One line on stderr, but under --quiet."""
        if self.verbosity >= 0:
            self._line(message, "heading")

    def detail(self, message: str) -> None:
        """One line on stderr under --verbose."""
        if self.verbosity > 0:
            self._line(message, "heading")

    def _line(self, message: str, style: str) -> None:
        name = painted("hybrid:", style) if self.colours(self.stderr) else "hybrid:"
        self.aside(f"{name} {self.subject}{one_line(message)}\n")

    def aside(self, text: str) -> None:
        """Text on stderr as it comes: in CI, in whole lines."""
        if self.stderr is not None:
            self.status_line.write(self.stderr, self.harmless(text))

    def draw(self, text: str) -> None:
        """Show `text` on the terminal's last line, in the place of what was drawn there; "" takes it away."""
        if self.stderr is not None and self.animates():
            if text:
                self.status_line.draw(self.stderr, one_line(text))
            else:
                self.status_line.clear(self.stderr)

    @contextlib.contextmanager
    def waiting(self, message: str) -> Iterator[Waiting]:
        """Say what is waited for until the block ends, or calls what it is given: see `Waiting`."""
        waiting = Waiting(self, message)
        try:
            yield waiting
        finally:
            waiting()

    def can_ask(self) -> bool:
        """Whether somebody is there to answer a question: stderr is a terminal, and this is no CI."""
        return self.stderr_is_terminal() and not self.in_ci()

    def confirm(self, question: str) -> bool:
        """Ask yes or no on the controlling terminal. Where nobody can be asked, the answer is no."""
        if not self.can_ask():
            return False
        try:
            with Path("/dev/tty").open("r+b", buffering=0) as terminal:
                terminal.write(f"hybrid: {one_line(question)} [y/N] ".encode())
                return terminal.readline().strip().lower() in (b"y", b"yes")
        except OSError:
            return False


@contextlib.contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Raise `Interrupted` in the main thread once `seconds` have passed; None is no limit.

    A timer signal also ends what has no timeout of its own: a silent stdin, a name look-up, an import.
    It repeats, as an exception raised inside a finalizer would be lost.
    """
    if seconds is None:
        yield
        return

    def ring(_number: int, _frame: object) -> None:
        raise Interrupted(ExitStatus.DEADLINE)

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Waiting:
    """A wait that is told of: by a spinner, or by one line after two seconds where nothing may move.

    Called, it ends.
    """

    def __init__(self, environment: Environment, message: str) -> None:
        self._spinner: Spinner | None = None
        self._timer: threading.Timer | None = None
        if environment.stderr is not None and environment.animates():
            self._spinner = Spinner(environment.status_line, environment.stderr, one_line(message))
        elif environment.verbosity >= 0:
            self._timer = threading.Timer(SILENCE_SECONDS, environment.note, [message])
            self._timer.daemon = True
            self._timer.start()

    def __call__(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._spinner is not None:
            self._spinner.stop()

    def goes_on(self, message: str) -> None:
        """What was waited for has come, and nothing can be shown of it yet."""
        if self._timer is not None:
            self._timer.cancel()
        if self._spinner is not None:
            self._spinner.words = one_line(message)
