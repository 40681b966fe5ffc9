"""Starts `hybrid` by fork, from a process that has already imported the package and its libraries.

Starting Python and importing typer, numpy, llama.cpp and the openai SDK takes up to a second of processor time, and
a run of the tests starts the command about a thousand times. A fork takes milliseconds. From `main` on, the fork
behaves as the installed command: it has its own process, arguments, variables, folder and streams. Tests of imports
and start-up use the fixture `installed`, which executes the command; `pytest --exec` executes it in all tests.

As a program, this module is the server. It starts no threads. Each connection is one run: the client sends JSON with
the descriptors of stdin, stdout and stderr, and receives the process id, then the exit code.
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
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

READ_AT_START = ("LANG", "LC_", "LD_", "MALLOC_", "OMP_", "OPENAI_LOG", "PYTHON")
"""Prefixes of variables that the interpreter or a library reads before `main`. A fork would ignore them."""
_MAX_MESSAGE = 1 << 20
_SHIM = """#!{python} -SE
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect({path!r})
request = {{"arguments": sys.argv[1:], "variables": dict(os.environ), "folder": os.getcwd()}}
socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
pid = json.loads(server.recv(64))
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _frame: os.kill(pid, number))
code = json.loads(server.recv(64))
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


def can_fork(variables: Mapping[str, str]) -> bool:
    """Whether a forked command honours `variables`."""
    return not any(name.startswith(READ_AT_START) for name in variables)


class ForkServer:
    """A running server. Threads may call `run` at the same time."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._folder = Path(tempfile.mkdtemp(prefix="hy-"))  # short: a socket's path is 108 bytes at most
        self._path = str(self._folder / "socket")
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._path, command], stdin=subprocess.PIPE
        )
        self.shim = self._folder / "bin" / "hybrid"
        """The path of a `hybrid` that runs in a fork of the server, on its caller's streams, and forwards signals."""
        self.shim.parent.mkdir()
        self.shim.write_text(_SHIM.format(python=sys.executable, path=self._path), encoding="utf-8")
        self.shim.chmod(0o755)
        while not Path(self._path).exists():
            assert self._process.poll() is None, "the fork server ended at start-up"
            time.sleep(0.02)

    def run(
        self,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        stdin: bytes | None,
        cwd: Path | None,
        timeout: float,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the command to its end. Raises subprocess.TimeoutExpired."""
        read_end, write_end = (os.open(os.devnull, os.O_RDONLY), None) if stdin is None else os.pipe()
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        folder = str(cwd or Path.cwd())
        request = {"arguments": list(arguments), "variables": dict(variables), "folder": folder}
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
            server.connect(self._path)
            socket.send_fds(server, [json.dumps(request).encode()], [read_end, out_end, err_end])
            for end in (read_end, out_end, err_end):
                os.close(end)
            started = [self._command, *arguments]
            return _finish(server, started, (write_end, stdin), (out, err), timeout)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        shutil.rmtree(self._folder)


def _finish(
    server: socket.socket,
    command: Sequence[str],
    given: tuple[int | None, bytes | None],
    streams: tuple[int, int],
    timeout: float,
) -> subprocess.CompletedProcess[bytes]:
    until = time.monotonic() + timeout
    pid = json.loads(server.recv(64))
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
    server.settimeout(max(0.001, until - time.monotonic()))
    try:
        code = json.loads(server.recv(64))
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        raise subprocess.TimeoutExpired(command, timeout) from None
    return subprocess.CompletedProcess(command, code, bytes(held[0]), bytes(held[1]))


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
    """Import everything that a command imports, except Ray, which only --cluster needs."""
    import hybrid_cli

    for module in pkgutil.walk_packages(hybrid_cli.__path__, "hybrid_cli."):
        if module.name not in ("hybrid_cli.pipe.cluster", "hybrid_cli.pipe.remote"):
            importlib.import_module(module.name)
    for name in ("openai.resources.chat.completions", "openai.resources.responses"):
        importlib.import_module(name)
    assert "huggingface_hub" not in sys.modules, "it reads HF_ENDPOINT and others when it is imported"


def _serve(listener: socket.socket, command: str) -> int:
    """Fork for each connection until stdin is closed. In a forked process, return the command's exit code."""
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(listener, selectors.EVENT_READ)
    running: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for key, _events in selector.select():
            if key.fd == 0:
                return 0
            if key.fileobj is not listener:
                pid, client = running.pop(key.fd)
                selector.unregister(key.fd)
                os.close(key.fd)
                _send(client, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                client.close()
                continue
            client, _address = listener.accept()
            message, streams, _flags, _address = socket.recv_fds(client, _MAX_MESSAGE, 3)
            pid = os.fork()
            if pid == 0:
                return _become(json.loads(message), streams, command)
            for descriptor in streams:
                os.close(descriptor)
            _send(client, pid)
            watch = os.pidfd_open(pid)
            running[watch] = (pid, client)
            selector.register(watch, selectors.EVENT_READ)


def _send(client: socket.socket, value: int) -> None:
    with contextlib.suppress(OSError):  # the test was given up
        client.send(json.dumps(value).encode())


def _become(request: dict[str, Any], streams: Sequence[int], command: str) -> int:
    """Run the command with the streams, variables, folder and arguments of `request`; return its exit code."""
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
    """Serve at the path in argv. A forked process ends as the interpreter does, without freeing its memory."""
    path, command = sys.argv[1:]
    sys.path[0] = str(Path(command).parent)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # it would start threads, which a fork does not have
    if "PYTEST_XDIST_WORKER" in os.environ:  # tests side by side have a core each: a second thread would wait
        os.environ["OMP_THREAD_LIMIT"] = "1"
    from hybrid_cli.local.threads import SPIN_COUNT

    os.environ["GOMP_SPINCOUNT"] = (
        SPIN_COUNT  # read when llama.cpp is loaded, and set by the worker before that
    )
    _preload()
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"{path}.new")
    listener.listen(64)
    Path(f"{path}.new").rename(path)
    status = 1
    try:
        status = _serve(listener, command)
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
