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
    run: str = field(default_factory=lambda: os.urandom(8).hex())
    """This process, in the ledger."""
    withheld: dict[str, str] = field(default_factory=dict, repr=False)
    """Variables that no library and no child process may see: keys, above all."""
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

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
        return _is_terminal(self.stdin)

    def stdout_is_terminal(self) -> bool:
        return _is_terminal(self.stdout)

    def stderr_is_terminal(self) -> bool:
        return _is_terminal(self.stderr)

    def stdin_is_pipe_or_file(self) -> bool:
        """Whether stdin was given on purpose: not a terminal, a device or an inherited socket."""
        if self.stdin is None:
            return False
        mode = os.fstat(self.stdin.fileno()).st_mode
        return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)

    def error(self, message: str) -> None:
        """One line on stderr, even under --quiet."""
        self._line(message)

    def note(self, message: str) -> None:
        """One line on stderr, but under --quiet."""
        if self.verbosity >= 0:
            self._line(message)

    def detail(self, message: str) -> None:
        """One line on stderr under --verbose."""
        if self.verbosity > 0:
            self._line(message)

    def _line(self, message: str) -> None:
        if self.stderr is None:
            return
        with contextlib.suppress(OSError, ValueError):  # a closed stderr must not change the exit code
            self.stderr.write(f"hybrid: {one_line(message)}\n")
            self.stderr.flush()

    def aside(self, text: str) -> None:
        """A piece of running text on stderr, as it comes."""
        if self.stderr is None:
            return
        with contextlib.suppress(OSError, ValueError):
            self.stderr.write(text)
            self.stderr.flush()

    @contextlib.contextmanager
    def waiting(self, message: str) -> Iterator[Callable[[], None]]:
        """Say `message` unless the block ends, or calls what it is given, within two seconds."""
        timer = threading.Timer(SILENCE_SECONDS, self.note, [message])
        timer.daemon = True
        timer.start()
        try:
            yield timer.cancel
        finally:
            timer.cancel()

    def can_ask(self) -> bool:
        """Whether somebody is there to answer a question: stderr is a terminal, and this is no CI."""
        return self.stderr_is_terminal() and not self.variables.get("CI")

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


def _is_terminal(stream: BinaryIO | TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
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
