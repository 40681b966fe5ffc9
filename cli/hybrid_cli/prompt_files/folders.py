"""The files of a folder: those that Git tracks or, outside a repository, those that are not hidden.

Symbolic links are not followed: a repository may link to any file of its reader's.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.child_environment import for_git
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import one_line, shorten

_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks")
"""Git without the commands that a repository's own settings may name."""
_GIT_SECONDS = 20
_MAX_FILES = 10_000


def files_in(folder: str, environment: Environment) -> list[str]:
    """Return the paths of the regular files in `folder` and below, sorted. Raises Failure (USAGE)."""
    listed = _tracked(folder, environment)
    root = os.path.realpath(folder)
    found = []
    for relative in listed if listed is not None else _walk(folder):
        path = os.path.join(root, relative)  # noqa: PTH118  many paths: strings are quicker
        if os.path.realpath(path) == path and _is_regular(path):
            found.append(os.path.join(folder, relative))  # noqa: PTH118
        if len(found) > _MAX_FILES:
            raise Failure(ExitStatus.USAGE, f"{one_line(folder)} has over {_MAX_FILES} files; name fewer")
    if not found:
        tracked = "" if listed is None else " that Git tracks"
        raise Failure(ExitStatus.USAGE, f"{one_line(folder)} has no files{tracked}")
    return sorted(found)


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:  # Git tracks it, but it is deleted
        return False


def _tracked(folder: str, environment: Environment) -> list[str] | None:
    """Return the paths that Git tracks, relative to `folder`; None outside a repository, or without Git."""
    try:
        done = subprocess.run(
            [*_GIT, "-C", folder, "ls-files", "-z", "--cached"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=for_git(environment.variables),
            timeout=_GIT_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        environment.note(f"Git is not installed: reading all files of {one_line(folder)} that are not hidden")
        return None
    except subprocess.TimeoutExpired:
        raise _no_list(folder, f"it took over {_GIT_SECONDS} s") from None
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode == 0:
        return list(dict.fromkeys(os.fsdecode(name) for name in done.stdout.split(b"\0") if name))
    if "not a git repository" in said:
        return None
    raise _no_list(folder, next(iter(said.splitlines()), f"exit code {done.returncode}"))


def _no_list(folder: str, why: str) -> Failure:
    return Failure(
        ExitStatus.USAGE, f"Git cannot list the files of {one_line(folder)}: {shorten(why)}; name files"
    )


def _walk(folder: str) -> Iterator[str]:
    """Yield the paths of files that are not hidden, relative to `folder`."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(parent, name), folder)  # noqa: PTH118
