"""The environment of a run: streams, terminal, variables, folders and clock, injectable for tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO

from hybrid_cli.exit_status import ExitStatus, Failure, Interrupted
from hybrid_cli.system.work_tree import target_outside_tree, work_tree_of
from hybrid_cli.ui.ci import json_without_runner_commands, runs_in_ci, without_runner_commands
from hybrid_cli.ui.sanitize import one_line
from hybrid_cli.ui.terminal import ColorChoice, Spinner, StatusLine, is_terminal, styled, wants_colour

StdinKind = Literal["pipe", "file", "socket", "folder", "device", "nothing"]
_STDIN_KINDS: dict[int, StdinKind] = {
    stat.S_IFIFO: "pipe",
    stat.S_IFREG: "file",
    stat.S_IFSOCK: "socket",  # Node's spawnSync, inetd and some CI runners connect one
    stat.S_IFDIR: "folder",
}
_SOON = 0.001
"""Seconds: a timer of 0 would never fire."""
SILENCE_SECONDS = 2.0
"""A wait longer than this is announced on stderr."""


@dataclass
class Environment:
    """Everything outside the program that a command may touch. Closed streams are None."""

    stdin: BinaryIO | None
    stdout: BinaryIO | None
    stderr: TextIO | None
    variables: MutableMapping[str, str]
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = lambda: int.from_bytes(os.urandom(7), "big") / (1 << 56)
    """A random number from 0 to 1, excluding 1."""
    verbosity: int = 0
    """-1: errors only; 0: the usual messages; 1: details, too."""
    color: ColorChoice = "auto"
    run_id: str = field(default_factory=lambda: os.urandom(8).hex())
    """Identifies this process in the ledger."""
    message_prefix: str = ""
    """Starts each message, for example `record 3: `."""
    withheld: dict[str, str] = field(default_factory=dict, repr=False)
    """Variables hidden from libraries and child processes, such as API keys."""
    command_keys: dict[tuple[str, ...], str] = field(default_factory=dict, repr=False)
    """The API key that each key command printed last."""
    known_secrets: set[Any] = field(default_factory=set, repr=False)
    """The secrets that the scan has found in this process (`privacy.known_values`), so that later prompts lack them, too."""
    status_line: StatusLine = field(default_factory=StatusLine, repr=False)

    @classmethod
    def of_process(cls) -> Environment:
        """Return the environment of this process."""
        return cls(
            stdin=sys.stdin.buffer if sys.stdin is not None else None,
            stdout=sys.stdout.buffer if sys.stdout is not None else None,
            stderr=sys.stderr,
            variables=os.environ,
        )

    def withhold(self, names: Iterable[str]) -> None:
        """Move variables from `variables` to `withheld`."""
        for name in names:
            value = self.variables.pop(name, None)  # in one step: several threads may hand off at once
            if value is not None:
                self.withheld[name] = value

    @property
    def config_folder(self) -> Path:
        """Profiles, trust and consent."""
        return self._own_folder("config")

    @property
    def data_folder(self) -> Path:
        """Weights."""
        return self._folder("data")

    @property
    def cache_folder(self) -> Path:
        """Prompt prefixes; they can be computed again."""
        return self._own_folder("cache")

    @property
    def state_folder(self) -> Path:
        """The ledger."""
        return self._own_folder("state")

    def _own_folder(self, kind: str) -> Path:
        """A folder that only the user writes to. Raises Failure (DENIED) if it is inside a repository."""
        folder = self._folder(kind)
        tree = work_tree_of(folder, self.variables)
        if tree is not None:
            raise Failure(
                ExitStatus.DENIED,
                f"hybrid's own files would be in the repository {tree}, where others can change them; unset"
                " HYBRID_HOME and XDG_*_HOME, or keep only the weights there, with XDG_DATA_HOME",
            )
        return folder

    def check_link(self, path: Path) -> None:
        """Raise Failure (USAGE) if a link in a repository would have hybrid write to a file outside of it."""
        target = target_outside_tree(path, self.variables)
        if target is not None:
            raise Failure(
                ExitStatus.USAGE,
                f"{path} is a link out of its repository; to write there, name {target}",
            )

    def _folder(self, kind: str) -> Path:
        home = self.variables.get("HYBRID_HOME")
        if home:
            return Path(os.path.expanduser(home)).absolute() / kind  # noqa: PTH111  keeps `~name` without such a user
        from platformdirs import PlatformDirs

        dirs = PlatformDirs("hybrid", appauthor=False)
        folder = {
            "config": dirs.user_config_path,
            "data": dirs.user_data_path,
            "state": dirs.user_state_path,
            "cache": dirs.user_cache_path,
        }[kind]
        if not folder.is_absolute():
            raise Failure(ExitStatus.FAILURE, "no home folder; set HYBRID_HOME to a writable folder")
        return folder

    def stdin_is_terminal(self) -> bool:
        return is_terminal(self.stdin)

    def stdout_is_terminal(self) -> bool:
        return is_terminal(self.stdout)

    def stderr_is_terminal(self) -> bool:
        return is_terminal(self.stderr)

    def stdin_kind(self) -> StdinKind:
        """Return what stdin is. `nothing`: it is closed, a terminal or /dev/null, as in most runs."""
        if self.stdin is None or self.stdin_is_terminal():
            return "nothing"
        info = os.fstat(self.stdin.fileno())
        kind = _STDIN_KINDS.get(stat.S_IFMT(info.st_mode), "device")
        is_null = kind == "device" and info.st_rdev == Path(os.devnull).stat().st_rdev
        return "nothing" if is_null else kind

    def uses_colour(self, stream: BinaryIO | TextIO | None) -> bool:
        """Return whether text for people on `stream` is coloured."""
        return wants_colour(stream, self.color, self.variables)

    def can_animate(self) -> bool:
        """Return whether stderr may show a spinner or progress bar: on a capable terminal, not quiet, not in CI."""
        is_allowed = self.variables.get("TERM") != "dumb" and not self.in_ci()
        return is_allowed and self.verbosity >= 0 and self.stderr_is_terminal()

    def in_ci(self) -> bool:
        """Return whether this is a CI job."""
        return runs_in_ci(self.variables)

    def escape_runner_commands(self, text: str) -> str:
        """Return `text`; in CI with its workflow commands escaped. All text that is printed passes here."""
        return without_runner_commands(text) if self.in_ci() else text

    def escape_json(self, text: str) -> str:
        """Return JSON with the same value; in CI without workflow commands. All JSON that is printed passes here."""
        return json_without_runner_commands(text) if self.in_ci() else text

    def print_json(self, value: Any, indent: int | None = None) -> None:
        """Print a value for programs on stdout, as ASCII."""
        self.write_stdout(self.escape_json(json.dumps(value, indent=indent)).encode() + b"\n")

    def print_lines(self, *lines: str) -> None:
        """Print lines of text on stdout."""
        text = self.escape_runner_commands("".join(f"{line}\n" for line in lines))
        self.write_stdout(text.encode("utf-8", "backslashreplace"))

    def write_stdout(self, data: bytes) -> None:
        """Write bytes to stdout unchanged and flush; do nothing if stdout is closed."""
        if self.stdout is not None:
            try:
                self.stdout.write(data)
                self.stdout.flush()
            except OSError as error:  # the same error class, with the name of the stream
                raise OSError(error.errno, error.strerror, "stdout") from error

    def error(self, message: str) -> None:
        """Print a line on stderr, even under --quiet."""
        self._message(message, "error")

    def note(self, message: str) -> None:
        """Print a line on stderr, except under --quiet."""
        if self.verbosity >= 0:
            self._message(message, "heading")

    def detail(self, message: str) -> None:
        """Print a line on stderr under --verbose."""
        if self.verbosity > 0:
            self._message(message, "heading")

    def _message(self, message: str, style: str) -> None:
        name = styled("hybrid:", style) if self.uses_colour(self.stderr) else "hybrid:"
        self.write_stderr(f"{name} {self.message_prefix}{one_line(message)}\n")

    def write_stderr(self, text: str) -> None:
        """Write text to stderr without a prefix. In CI, pass whole lines: a part may hide a command."""
        if self.stderr is not None:
            self.status_line.write(self.stderr, self.escape_runner_commands(text))

    def draw(self, text: str) -> None:
        """Show `text` on the last line of the terminal in place of the previous text; "" clears the line."""
        if self.stderr is not None and self.can_animate():
            if text:
                self.status_line.draw(self.stderr, one_line(text))
            else:
                self.status_line.clear(self.stderr)

    def draw_draft(self, text: str) -> None:
        """Show `text`, dimmed, on the last lines of the terminal in place of what was drawn there before."""
        if self.stderr is not None and self.can_animate():
            self.status_line.draw_dimmed(self.stderr, text, colour=self.uses_colour(self.stderr))

    @contextlib.contextmanager
    def waiting(self, message: str) -> Iterator[Waiting]:
        """Announce a wait until the block, or the yielded `Waiting`, ends."""
        waiting = Waiting(self, message)
        try:
            yield waiting
        finally:
            waiting.end()

    def can_ask(self) -> bool:
        """Return whether a person can answer a question: stderr is a terminal, and this is not a CI job."""
        return self.stderr_is_terminal() and not self.in_ci()

    def confirm(self, question: str) -> bool:
        """Ask a yes-or-no question on the controlling terminal; False if nobody can be asked."""
        if not self.can_ask():
            return False
        try:
            with Path("/dev/tty").open("r+b", buffering=0) as terminal:
                terminal.write(f"hybrid: {one_line(question)} [y/N] ".encode())
                return terminal.readline().strip().lower() in (b"y", b"yes")
        except OSError:
            return False

    def ask(self, question: str, default: str) -> str:
        """Return the answer to a question on the controlling terminal; `default` if nobody can be asked."""
        if not self.can_ask():
            return default
        try:
            with Path("/dev/tty").open("r+b", buffering=0) as terminal:
                terminal.write(f"hybrid: {one_line(question)}: ".encode())
                return terminal.readline().decode("utf-8", "replace").strip() or default
        except OSError:
            return default

    def wait_for_enter(self, message: str) -> None:
        """Wait until the user presses Enter on the controlling terminal, if there is one."""
        with contextlib.suppress(OSError), Path("/dev/tty").open("r+b", buffering=0) as terminal:
            terminal.write(f"hybrid: {one_line(message)} ".encode())
            terminal.readline()


class Waiting:
    """An announced wait: a spinner or, if nothing may be animated, one line after SILENCE_SECONDS."""

    def __init__(self, environment: Environment, message: str) -> None:
        self._spinner: Spinner | None = None
        self._timer: threading.Timer | None = None
        if environment.stderr is not None and environment.can_animate():
            self._spinner = Spinner(environment.status_line, environment.stderr, one_line(message))
        elif environment.verbosity >= 0:
            self._timer = threading.Timer(SILENCE_SECONDS, environment.note, [message])
            self._timer.daemon = True
            self._timer.start()

    def end(self) -> None:
        """Remove the spinner or cancel the line."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()  # a guard may need a process without other threads
        if self._spinner is not None:
            self._spinner.stop()

    def update(self, message: str) -> None:
        """Change the message beside the spinner; without a spinner, cancel the line."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()  # a guard may need a process without other threads
        if self._spinner is not None:
            self._spinner.message = one_line(message)


@contextlib.contextmanager
def deadline(seconds: float | None, spent: float = 0.0) -> Iterator[None]:
    """Raise `Interrupted` in the main thread after `seconds`, less those `spent` already; None sets no limit.

    A timer signal also ends calls without a timeout of their own: reads of stdin, name look-ups, imports.
    It repeats, because an exception raised inside a finalizer is lost.
    """
    if seconds is None:
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        raise Interrupted(ExitStatus.DEADLINE)

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(seconds - spent, _SOON), 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
