"""Runs of `hybrid` in the variables of a clean shell, each a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from fork_server import ForkServer, can_fork

Hybrid = Callable[..., subprocess.CompletedProcess[bytes]]
"""Runs the command to its end. Arguments are the command's; `stdin` (by default /dev/null), `timeout` and `cwd` are
those of subprocess.run, and every other keyword is a variable."""


def environment(home: Path, **variables: str) -> dict[str, str]:
    """The variables of a clean shell, and `variables`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "TMPDIR")
        or name.startswith(("COVERAGE_", "PIP_", "SSL_", "REQUESTS_"))
    }
    return {**kept, "HYBRID_HOME": str(home), **variables}


def executed(command: str, home: Path) -> Hybrid:
    """Runs that execute the command, as a shell does."""

    def run(
        *arguments: str | Path,
        stdin: bytes | None = None,
        timeout: float = 120,
        cwd: Path | None = None,
        **variables: str,
    ) -> subprocess.CompletedProcess[bytes]:
        given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        done: subprocess.CompletedProcess[bytes] = subprocess.run(  # type: ignore[call-overload]
            [command, *map(str, arguments)],
            capture_output=True,
            env=environment(home, **variables),
            timeout=timeout,
            cwd=cwd,
            check=False,
            **given,
        )
        done.stderr = WAITING.sub(b"", done.stderr)
        return done

    return run


def forked(command: str, home: Path, server: ForkServer) -> Hybrid:
    """Runs that are forks of `server`, unless a variable needs a new interpreter."""
    execute = executed(command, home)

    def run(
        *arguments: str | Path,
        stdin: bytes | None = None,
        timeout: float = 120,
        cwd: Path | None = None,
        **variables: str,
    ) -> subprocess.CompletedProcess[bytes]:
        if not can_fork(variables):
            return execute(*arguments, stdin=stdin, timeout=timeout, cwd=cwd, **variables)
        done = server.run(list(map(str, arguments)), environment(home, **variables), stdin, cwd, timeout)
        done.stderr = WAITING.sub(b"", done.stderr)
        return done

    return run


def processes(word: str) -> set[int]:
    """The processes whose command line or variables hold `word`, but this one."""
    found = set()
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdecimal() and int(entry) != os.getpid():
            for kind in ("cmdline", "environ"):
                try:
                    with open(f"/proc/{entry}/{kind}", "rb") as file:  # noqa: PTH123
                        if word.encode() in file.read():
                            found.add(int(entry))
                            break
                except OSError:
                    continue
    return found


WAITING = re.compile(
    rb"^hybrid: (?:loading \S+|the model is reading \d+ tokens|verifying the checksum of \S+)\n", re.MULTILINE
)
"""What is told of a local step after two seconds. Whether it is depends on what else the machine does."""
