"""Read the cloud's API key from the place that the profile names. It is never logged, shown or passed on."""

from __future__ import annotations

import contextlib
import string
import subprocess
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.cloud_section import Cloud, Key, Server
from hybrid_cli.system.child_environment import with_safe_paths
from hybrid_cli.system.files import NotRegularError, read_regular
from hybrid_cli.ui.environment import Environment

_COMMAND_SECONDS = 20


def key_source(key: Key | None) -> str:
    """The place that the key is read from, for messages; never the key itself."""
    if key is None:
        return "no key"
    if key.env is not None:
        return f"the variable {key.env}"
    if key.file is not None:
        return f"the file {key.file}"
    return f"the command {(key.command or ['?'])[0]}"


def read_key(key: Key, environment: Environment) -> str:
    """The key itself. Raises Failure (KEY) if there is none."""
    if key.env is not None:
        environment.withhold([key.env])
        value = environment.withheld.get(key.env, "")
    elif key.file is not None:
        value = _from_file(Path(key.file))
    else:
        value = _from_command(key.command or [], environment)
    value = _unquoted(_stripped(value))
    if key.command is not None:
        environment.command_keys[tuple(key.command)] = value
    if not value:
        raise Failure(ExitStatus.KEY, f"no API key: {_why_missing(key)}")
    mistake = _mistake(value)
    if mistake:
        raise Failure(ExitStatus.KEY, f"no API key: the text from {key_source(key)} {mistake}")
    return value


def _mistake(value: str) -> str:
    """Why `value` can be no key, without a part of it; "" if it can be one."""
    if value.lower().startswith("bearer "):
        return "begins with `Bearer`, which hybrid adds itself; give the key alone"
    if "\0" in value:
        return "is not UTF-8; save it as UTF-8"
    if not value.isascii():
        return "contains characters that no key has; look for typographic quotes and dashes"
    if not value.isprintable() or " " in value:
        return "contains spaces or line breaks; a key is one word"
    return ""


def _unquoted(value: str) -> str:
    """`value` without the quotes around it, which files of variables and copied commands leave there."""
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return _stripped(value[1:-1]) if is_quoted else value


def _stripped(value: str) -> str:
    """`value` without the white space and invisible marks around it, such as a byte order mark."""
    return value.strip(string.whitespace + "\xa0\u200b\u2060\ufeff")


def known_keys(cloud: Cloud | None, environment: Environment) -> list[str]:
    """The keys of `cloud` and its fallbacks, without running a command: of a command, the key it printed last.

    None of them may be sent in a prompt: each cloud would see the keys of the others.
    """
    servers: list[Server] = [] if cloud is None else [cloud, *cloud.fallbacks]
    found = list(environment.command_keys.values())
    for key in [server.key for server in servers if server.key is not None]:
        with contextlib.suppress(Failure, OSError):  # a missing key is reported when its cloud is asked
            if key.file is not None:  # also one that `read_key` refuses because others can read it
                found.append(_unquoted(_stripped(_text_of(Path(key.file)))))
            elif key.env is not None:
                found.append(read_key(key, environment))
    return found


def why_missing(key: Key | None, environment: Environment) -> str | None:
    """Why there is no key, for a question that needs none then. Only a variable is looked at; None if it is set."""
    if key is None or key.env is None:
        return None
    value = environment.variables.get(key.env) or environment.withheld.get(key.env, "")
    return None if _unquoted(_stripped(value)) else f"no API key: {_why_missing(key)}"


def _why_missing(key: Key) -> str:
    if key.env is not None:
        return f"{key.env} is not set; export it, or set cloud.key"
    return f"{key_source(key)} is empty" if key.file is not None else f"{key_source(key)} printed nothing"


def _from_file(path: Path) -> str:
    try:
        text = _text_of(path)
        mode = path.stat().st_mode
    except OSError as error:
        raise Failure(ExitStatus.KEY, f"the key file {path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise Failure(ExitStatus.KEY, f"the key file {path} can be read by others; run: chmod 600 {path}")
    return text


def _text_of(path: Path) -> str:
    try:
        return read_regular(path).decode(errors="replace")
    except NotRegularError:
        raise Failure(ExitStatus.KEY, f"the key file {path} is not a regular file") from None


def _from_command(command: list[str], environment: Environment) -> str:
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it may contain secrets
            env=with_safe_paths(environment.variables),
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
        raise Failure(
            ExitStatus.KEY, f"the key command {command[0]} cannot be started: {error.strerror}"
        ) from error
    if result.returncode != 0:
        raise Failure(ExitStatus.KEY, f"the key command {command[0]} exited with code {result.returncode}")
    return result.stdout
