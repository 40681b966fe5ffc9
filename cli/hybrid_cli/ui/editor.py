"""The user's editor, on the terminal: for a prompt, or for a file of their own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.environment import Environment

_TTY = "/dev/tty"


def written_prompt(environment: Environment, start: str = "") -> str:
    """Let the user write a prompt, beginning with `start`. Raises Failure (USAGE) if it is empty or unchanged.

    The file is only readable by the user, and removed in any case.
    """
    descriptor, name = tempfile.mkstemp(prefix="hybrid-", suffix=".md")  # mode 0600
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(start)
        edit(path, environment)
        try:
            written = path.read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError):
            raise Failure(ExitStatus.USAGE, "the editor left no UTF-8 text; nothing was asked") from None
    finally:
        path.unlink(missing_ok=True)
    if not written.strip():
        raise Failure(ExitStatus.USAGE, "the prompt is empty; nothing was asked")
    if written == start.rstrip("\n"):
        raise Failure(ExitStatus.USAGE, "the prompt was not changed; nothing was asked")
    return written


def edit(path: Path, environment: Environment) -> None:
    """Run the user's editor on `path`, on the terminal. Raises Failure: USAGE without one, FAILURE if it fails."""
    command = _command(environment)
    with ExitStack() as opened:
        try:
            terminal = opened.enter_context(open(_TTY, "r+b", buffering=0))  # noqa: PTH123
        except OSError:
            raise Failure(ExitStatus.USAGE, "an editor needs a terminal; pass the prompt as PROMPT") from None
        done = subprocess.run(
            [*command, str(path)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=dict(environment.variables),
            check=False,
        )
    if done.returncode != 0:
        raise Failure(ExitStatus.FAILURE, f"the editor {command[0]} exited with code {done.returncode}")


def _command(environment: Environment) -> list[str]:
    """Return the editor's command: $VISUAL, else $EDITOR, else vi."""
    variables = environment.variables
    written = next(
        (value for name in ("VISUAL", "EDITOR") if (value := variables.get(name, "").strip())), "vi"
    )
    try:
        command = shlex.split(written)
    except ValueError:
        command = []
    if not command or shutil.which(command[0], path=variables.get("PATH")) is None:
        raise Failure(
            ExitStatus.USAGE, f"no editor `{written}`; set VISUAL or EDITOR to one that is installed"
        )
    return command
