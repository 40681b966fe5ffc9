"""Run the user's verify command, which accepts or rejects an answer by its exit code."""

from __future__ import annotations

import contextlib
import os
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
