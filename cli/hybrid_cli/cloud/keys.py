"""The cloud's key, read from where the profile says. It is never logged, shown or passed on."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.schema import Key
from hybrid_cli.ui.environment import Environment

_COMMAND_SECONDS = 20


def key_source(key: Key | None) -> str:
    """Where the key comes from, in words; never the key."""
    if key is None:
        return "no key"
    if key.env is not None:
        return f"the variable {key.env}"
    if key.file is not None:
        return f"the file {key.file}"
    return f"the command {(key.command or ['?'])[0]}"


def read_key(key: Key, environment: Environment) -> str:
    """The key itself. Raises Failure (KEY) where there is none."""
    if key.env is not None:
        environment.withhold([key.env])
        value = environment.withheld.get(key.env, "")
    elif key.file is not None:
        value = _from_file(Path(key.file))
    else:
        value = _from_command(key.command or [])
    value = value.strip()
    if not value:
        raise Failure(ExitStatus.KEY, f"no key is set: {key_source(key)} gives none")
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise Failure(ExitStatus.KEY, f"what {key_source(key)} gives is not a key: it holds odd characters")
    return value


def _from_file(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a named pipe would be waited for without end
            raise Failure(ExitStatus.KEY, f"the key file {path} is no regular file")
        if mode & 0o077:
            raise Failure(ExitStatus.KEY, f"the key file {path} can be read by others; run: chmod 600 {path}")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Failure(ExitStatus.KEY, f"the key file {path} cannot be read: {error.strerror}") from error


def _from_command(command: list[str]) -> str:
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it may hold what must not be shown
            timeout=_COMMAND_SECONDS,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failure(
            ExitStatus.KEY, f"the key command {command[0]} took over {_COMMAND_SECONDS} s"
        ) from None
    except OSError as error:
        raise Failure(ExitStatus.KEY, f"the key command {command[0]} failed: {error.strerror}") from error
    if result.returncode != 0:
        raise Failure(ExitStatus.KEY, f"the key command {command[0]} ended with code {result.returncode}")
    return result.stdout
