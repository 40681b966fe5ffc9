"""The parent's side of the local engine: a guarded child process, and its events.

Requests and events are lines of JSON through two pipes. The child sees no key and can open no
socket; the parent never parses a model file. The child's side is `local.child`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from hybrid_cli.exit_status import ExitStatus, Failure


class Worker:
    """One child process. `stop` is safe to call at any time and leaves nothing behind."""

    def __init__(self, pid: int, requests: int, events: int) -> None:
        self._pid: int | None = pid
        self._requests = requests
        self._events = os.fdopen(events, "rb")

    @classmethod
    def fork(cls) -> Worker:
        """Start the child. To be called before any thread runs and before heavy imports."""
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
        """Start the child as a new program, where threads run already. It is slower than `fork`."""
        from hybrid_cli.local.child import kept_variables

        request_end, requests = os.pipe()
        events, event_end = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "hybrid_cli.local.worker", str(request_end), str(event_end)],
            pass_fds=(request_end, event_end),
            env=kept_variables(os.environ),
            cwd="/",  # python looks for modules where it starts, and projects hold all sorts
        )
        process.returncode = 0  # whoever has the pid waits for it, not this object
        os.close(request_end)
        os.close(event_end)
        return cls(process.pid, requests, events)

    def events(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Send one request and yield its events, up to and with the one called `done` or `failed`.

        Raises Failure when the child dies on the way (a native crash, or no memory).
        """
        self.send(request)
        yield from self.received()

    def received(self) -> Iterator[dict[str, Any]]:
        """As `events`, for a request that was sent already."""
        for line in self._events:
            event: dict[str, Any] = json.loads(line)
            yield event
            if event["event"] in ("done", "failed"):
                return
        self._raise_death()

    def send(self, message: dict[str, Any]) -> None:
        """One line: a request, or a part of the flow that one began. Raises Failure where the child is dead."""
        try:
            data = memoryview(json.dumps(message).encode() + b"\n")
            while data:
                data = data[os.write(self._requests, data) :]
        except BrokenPipeError:
            self._raise_death()

    def _raise_death(self) -> NoReturn:
        pid, self._pid = self._pid, None
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else 0
        how = f"with code {code}"
        if code < 0:
            how = f"by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                how += " (is there enough memory for this model?)"
            elif -code == signal.SIGILL:
                how += " (is llama.cpp built for another processor? `hybrid doctor` tells)"
            elif -code in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE):
                how += " (is the model file damaged?)"
        raise Failure(ExitStatus.FAILURE, f"the local engine ended {how}")

    def stop(self) -> None:
        """End the child at once, whatever it is doing."""
        if self._pid is None:
            return
        pid, self._pid = self._pid, None
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(self._requests)
        self._events.close()


def _become_child(requests: int, events: int) -> NoReturn:
    """Keep the two pipes and nothing else of the parent's files, then serve."""
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
