"""Starts `hybrid` by fork, from a process that has imported the package and its libraries already.

To start Python and import typer, numpy, llama.cpp and the openai SDK takes a second of processor time, a thousand
times in a run of the tests. A fork of a process that has them takes none. From `main` on everything is as in the
installed command: its own process, arguments, variables, folder and streams. What a test says of start-up itself
(imports, the order of the guard, the interpreter's variables) needs the fixture `installed`, which executes the
command; `pytest --exec` executes it everywhere.

The server is a program that owns no thread. A request is a message of JSON with three descriptors (stdin, stdout,
stderr); it is answered with the process id, and when the process has ended with its exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

READ_AT_START = ("LANG", "LC_", "LD_", "MALLOC_", "OMP_", "OPENAI_LOG", "PYTHON")
"""Variables that the interpreter or a library reads before `main`: a fork comes too late for these."""
_LARGEST_MESSAGE = 1 << 20


def can_fork(variables: Mapping[str, str]) -> bool:
    """Whether a fork is the same as an execution with these variables beside those of this process."""
    return not any(name.startswith(READ_AT_START) for name in variables)


class ForkServer:
    """Starts the server; `run` is `subprocess.run` of the command. Calls may be made side by side."""

    def __init__(self, command: str) -> None:
        self._command = command
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), command], pass_fds=(theirs.fileno(),)
            )
        self._requests = ours

    def run(
        self,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        stdin: bytes | None,
        cwd: Path | None,
        timeout: float,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the command to its end. Raises subprocess.TimeoutExpired."""
        answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        source = os.open(os.devnull, os.O_RDONLY) if stdin is None else None
        read_end, write_end = (source, None) if source is not None else os.pipe()
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        request = {
            "arguments": list(arguments),
            "variables": dict(variables),
            "folder": str(cwd or Path.cwd()),
        }
        ends = [theirs.fileno(), read_end, out_end, err_end]
        socket.send_fds(self._requests, [json.dumps(request).encode()], ends)
        theirs.close()
        for end in ends[1:]:
            os.close(end)
        with answers:
            return self._finish(answers, arguments, (write_end, stdin), (out, err), timeout)

    def _finish(
        self,
        answers: socket.socket,
        arguments: Sequence[str],
        given: tuple[int | None, bytes | None],
        streams: tuple[int, int],
        timeout: float,
    ) -> subprocess.CompletedProcess[bytes]:
        until = time.monotonic() + timeout
        pid = json.loads(answers.recv(_LARGEST_MESSAGE))
        held = [bytearray(), bytearray()]
        threads = [
            threading.Thread(target=_read, args=pair, daemon=True) for pair in zip(streams, held, strict=True)
        ]
        write_end, stdin = given
        if write_end is not None:
            threads.append(threading.Thread(target=_write, args=(write_end, stdin), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0, until - time.monotonic()))
        answers.settimeout(max(0.001, until - time.monotonic()))
        try:
            code = json.loads(answers.recv(_LARGEST_MESSAGE))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired([self._command, *arguments], timeout) from None
        return subprocess.CompletedProcess([self._command, *arguments], code, bytes(held[0]), bytes(held[1]))

    def close(self) -> None:
        self._requests.close()
        self._process.wait(20)


def _read(descriptor: int, into: bytearray) -> None:
    with open(descriptor, "rb", buffering=0) as stream:
        while piece := stream.read(1 << 16):
            into += piece


def _write(descriptor: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), open(descriptor, "wb", buffering=0) as stream:
        rest = memoryview(data)
        while rest:
            rest = rest[stream.write(rest) :]


def _preload() -> None:
    """Import what any command imports, but Ray, which only a cluster needs."""
    import hybrid_cli

    for module in pkgutil.walk_packages(hybrid_cli.__path__, "hybrid_cli."):
        if module.name not in ("hybrid_cli.pipe.cluster", "hybrid_cli.pipe.remote"):
            importlib.import_module(module.name)
    for name in ("openai.resources.chat.completions", "openai.resources.responses"):
        importlib.import_module(name)


def _serve(requests: socket.socket, command: str) -> int:
    """Fork for each request, until nobody can send any; the exit code in a process that was forked."""
    selector = selectors.DefaultSelector()
    selector.register(requests, selectors.EVENT_READ)
    answers: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for key, _events in selector.select():
            if key.fileobj is not requests:
                pid, answer = answers.pop(key.fd)
                selector.unregister(key.fd)
                os.close(key.fd)
                _send(answer, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                answer.close()
                continue
            message, descriptors, _flags, _address = socket.recv_fds(requests, _LARGEST_MESSAGE, 4)
            if not message:
                return 0
            pid = os.fork()
            if pid == 0:
                return _become(json.loads(message), descriptors[1:], command)
            answer = socket.socket(fileno=descriptors[0])
            for descriptor in descriptors[1:]:
                os.close(descriptor)
            _send(answer, pid)
            watch = os.pidfd_open(pid)
            answers[watch] = (pid, answer)
            selector.register(watch, selectors.EVENT_READ)


def _send(answer: socket.socket, value: int) -> None:
    with contextlib.suppress(OSError):  # the test was given up
        answer.send(json.dumps(value).encode())


def _become(request: dict[str, Any], streams: Sequence[int], command: str) -> int:
    """Be the command: its streams, variables, folder and arguments."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    sys.stdin = _text(0, "r")
    sys.stdout = _text(1, "w")
    sys.stderr = _text(2, "w", errors="backslashreplace")
    os.environ.clear()
    os.environ.update(request["variables"])
    time.tzset()
    os.chdir(request["folder"])
    sys.argv = [command, *request["arguments"]]
    from hybrid_cli.__main__ import main

    return main()


def _text(descriptor: int, mode: str, errors: str = "strict") -> io.TextIOWrapper:
    raw = open(descriptor, f"{mode}b", buffering=0, closefd=False)  # noqa: SIM115
    buffered = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    text = io.TextIOWrapper(buffered, encoding="utf-8", errors=errors, line_buffering=raw.isatty())
    text.mode = mode
    return text


def main() -> NoReturn:
    """Serve on the socket of argv; in a forked process, end as the interpreter does, without its tidying."""
    descriptor, command = int(sys.argv[1]), sys.argv[2]
    sys.path[0] = str(Path(command).parent)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # it would start threads, which a fork does not have
    from hybrid_cli.local.threads import SPIN_COUNT

    os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT  # read when llama.cpp is loaded; the worker sets it before
    _preload()
    assert "huggingface_hub" not in sys.modules, "it reads HF_ENDPOINT and others when it is imported"
    gc.collect()
    gc.freeze()
    status: int = 1
    try:
        status = _serve(socket.socket(fileno=descriptor), command)
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
