"""The user's own check of an answer: a command that says by its exit code whether it will do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.guard.forbid import is_secret_name

VERIFY_SECONDS = 60
FILE = "{file}"
"""The word of the command that stands for a file with the answer."""


def verify(command: Sequence[str], answer: str, variables: Mapping[str, str]) -> str | None:
    """None where `command` ends with 0 on `answer`, or what it did instead, in words.

    The answer is its stdin, and the file that `{file}` names; no shell is involved, what it prints is
    dropped, and no variable that may hold a secret is passed on. Past its time it is killed with all that
    it started. Raises Failure (USAGE) where it cannot be started.
    """
    kept = {name: value for name, value in variables.items() if not is_secret_name(name)}
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
                env=kept,
                start_new_session=True,
            )
        except OSError as error:
            raise Failure(
                ExitStatus.USAGE, f"the verify command {command[0]} cannot be started: {error.strerror}"
            ) from error
        return _outcome(process, command[0])


def _outcome(process: subprocess.Popen[bytes], name: str) -> str | None:
    try:
        code = process.wait(VERIFY_SECONDS)
    except subprocess.TimeoutExpired:
        return f"{name} took over {VERIFY_SECONDS} s on it"
    finally:  # also when the deadline or a signal ends the wait
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return f"{name} ended with code {code} on it" if code else None
