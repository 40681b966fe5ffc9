"""Runs of `hybrid`, each in a process of its own, with the variables of a clean shell."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from fork_server import ForkServer, can_fork
from hybrid_cli.local.worker import SPAWN

Hybrid = Callable[..., subprocess.CompletedProcess[bytes]]
"""Runs the command with the given arguments to its end. `stdin` (default: /dev/null), `timeout` and `cwd` are as in
subprocess.run; every other keyword sets an environment variable."""


HELLO = ("-s", "Brief.", "Hello")
"""Arguments with a prompt that the local model answers at once: `Hello.`, two tokens, which `default` keeps."""


REFUSED = (
    *(("--schema", schema) for schema in ("nowhere.json", "{", '{"type": "text"}', '{"$ref": "other.json"}')),
    ("--choices", "a,a"),
    ("--exit-code",),
    ("--verify", "no-such-command"),
    ("--verify", "'"),
    ("-t", "no-such-template"),
    ("--var", "a=b"),
    ("-o", "/nowhere/answer.txt"),
)
"""Options of `hybrid run` with values that no run can use."""


def environment(home: Path, **variables: str) -> dict[str, str]:
    """The environment variables of a clean shell, plus `variables`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "TMPDIR", SPAWN)
        or name.startswith(("COVERAGE_", "PIP_", "SSL_", "REQUESTS_"))
    }
    return {**kept, "HYBRID_HOME": str(home), **variables}


def executed(command: str, home: Path) -> Hybrid:
    """Return a function that executes the command, as a shell does."""

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
    """Return a function that forks `server`, or executes the command if a variable needs a new interpreter."""
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
    """The ids of the other processes whose command line or environment contains `word`."""
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
    rb"^hybrid: (?:loading \S+|the model is reading \d+ tokens|verifying the checksum of \S+|waiting for the process that keeps the model loaded)\n",
    re.MULTILINE,
)
"""Notices about local steps that take over two seconds. Whether they appear depends on the machine's load."""
