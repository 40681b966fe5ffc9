"""Run the user's verify command, which accepts or rejects an answer by its exit code."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.child_environment import for_command

VERIFY_SECONDS = 60
FILE = "{file}"
"""Stands in the command for the name of a file with the answer."""


def read_command(given: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """The words of --verify. Raises Failure (USAGE) if it cannot be read or started, or expects a shell."""
    import shlex

    try:
        words = tuple(shlex.split(given))
    except ValueError as error:
        raise Failure(ExitStatus.USAGE, f"--verify cannot be read: {str(error).lower()}") from None
    unquoted = shlex.shlex(given, posix=False, punctuation_chars=True)
    unquoted.commenters = ""
    signs = [word for word in unquoted if word.strip("();<>|&") == "" and word]
    if signs:
        raise Failure(
            ExitStatus.USAGE,
            f"no shell reads --verify, so `{signs[0]}` would be an argument;"
            f" write --verify {shlex.quote(f'sh -c {shlex.quote(given)}')}",
        )
    require_command(words, variables)
    return words


def require_command(command: Sequence[str], variables: Mapping[str, str]) -> None:
    """Raise Failure (USAGE) if `command` cannot be started, before anything is asked or paid."""
    if not command or FILE in command[0]:
        return
    if shutil.which(command[0], path=variables.get("PATH")) is None:
        found = shutil.which(command[0], mode=os.F_OK, path=variables.get("PATH"))
        why = "No such file or directory" if found is None else "Permission denied"
        raise Failure(ExitStatus.USAGE, f"the verify command `{command[0]}` cannot be started: {why}")


def verify(command: Sequence[str], answer: str, variables: Mapping[str, str]) -> str | None:
    """None if `command` accepts `answer` (exit code 0), or else the reason.

    The command gets the answer on stdin and in the file `{file}`. No shell is used, the command's output is
    dropped, and it sees only variables that hold no secret. After VERIFY_SECONDS the command and all
    its child processes are killed. Raises Failure (USAGE) if it cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="hybrid-") as folder, tempfile.TemporaryFile() as stdin:
        file = Path(folder) / "answer"
        file.write_text(answer, encoding="utf-8")
        stdin.write(answer.encode())
        stdin.seek(0)
        try:
            process = subprocess.Popen(
                [word.replace(FILE, str(file)) for word in command],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=for_command(variables),
                start_new_session=True,
            )
        except OSError as error:
            raise Failure(
                ExitStatus.USAGE, f"the verify command `{command[0]}` cannot be started: {error.strerror}"
            ) from error
        return _outcome(process, command[0])


def _outcome(process: subprocess.Popen[bytes], name: str) -> str | None:
    try:
        code = process.wait(VERIFY_SECONDS)
    except subprocess.TimeoutExpired:
        return f"`{name}` took over {VERIFY_SECONDS} s"
    finally:  # also if the deadline or a signal ends the wait
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return f"`{name}` exited with code {code}" if code else None
