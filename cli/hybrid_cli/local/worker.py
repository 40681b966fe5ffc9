"""The parent's side of the local engine: start and stop the guarded child process.

The child sees no key and cannot open a socket; the parent never parses a model file. `local.protocol` defines the
messages and events in the two pipes, and `local.child` runs in the child.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import NoReturn

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.connection import Connection

SPAWN = "HYBRID_SPAWN_WORKER"
"""The variable that makes every system start the child as macOS needs it, so that tests can try it."""


class Worker(Connection):
    """An `Engine` in a child process of its own."""

    def __init__(self, pid: int, requests: int, events: int) -> None:
        super().__init__(requests, os.fdopen(events, "rb"))
        self._pid: int | None = pid

    @classmethod
    def start(cls) -> Worker:
        """Start the child: by fork where that is safe, else as a new program. Call it before any thread starts.

        On macOS a forked process must not use Metal.
        """
        return cls.spawn() if sys.platform == "darwin" or os.environ.get(SPAWN) else cls.fork()

    @classmethod
    def fork(cls) -> Worker:
        """Start the child by fork. Call this before heavy imports and before any thread starts."""
        request_end, requests = os.pipe()
        events, event_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            _become_child(request_end, event_end)
        os.close(request_end)
        os.close(event_end)
        return cls(pid, requests, events)

    @classmethod
    def spawn(cls) -> Worker:
        """Start the child as a new program, if threads are already running. Slower than `fork`."""
        from hybrid_cli.local.child import kept_variables

        request_end, requests = os.pipe()
        events, event_end = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "hybrid_cli.local.worker", str(request_end), str(event_end)],
            pass_fds=(request_end, event_end),
            env=kept_variables(os.environ),
            cwd="/",  # python looks for modules in its working folder, which may be a hostile project
        )
        process.returncode = 0  # `stop` waits for the process, not this object
        os.close(request_end)
        os.close(event_end)
        return cls(process.pid, requests, events)

    def _raise_death(self) -> NoReturn:
        pid, self._pid = self._pid, None
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else 0
        how = f"exited with code {code}"
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}{_likely_cause(-code)}"
        raise Failure(ExitStatus.FAILURE, f"the local engine {how}")

    def stop(self) -> None:
        """Kill the child, whatever it is doing. Safe to call at any time."""
        if self._pid is None:
            return
        pid, self._pid = self._pid, None
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(self._requests)
        self._events.close()


def _likely_cause(number: int) -> str:
    """Return the likely cause of death by the signal `number`, as the end of a message; "" if unknown."""
    if number == signal.SIGKILL:
        return "; is there enough memory for this model?"
    if number == signal.SIGPROF:
        return ": its chat template computes without end; use another model file"
    if number == signal.SIGILL:
        return "; is llama.cpp built for another processor? run: hybrid doctor"
    if number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE):
        return "; is the model file damaged? run: hybrid models verify"
    return ""


def _become_child(requests: int, events: int) -> NoReturn:
    """Close every inherited file except the two pipes, then serve requests."""
    status = 1
    try:
        # Ctrl-C reaches the whole foreground group; the parent alone decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        low = 3
        for descriptor in (*sorted((requests, events)), os.sysconf("SC_OPEN_MAX")):
            os.closerange(low, descriptor)
            low = max(low, descriptor + 1)
        sys.stdin = sys.stdout = sys.stderr = None
        from hybrid_cli.local.child import serve

        serve(requests, events)
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    _become_child(int(sys.argv[1]), int(sys.argv[2]))
