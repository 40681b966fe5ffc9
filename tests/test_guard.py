"""The network guard: nothing gets out under `forbid`, and the worker can never open a socket."""

from __future__ import annotations

import json
import platform
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Hybrid, environment

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "aarch64"),
    reason="the seccomp guard is for Linux on x86_64 and aarch64",
)


@pytest.fixture
def canary() -> Iterator[tuple[int, list[str]]]:
    """A TCP and a UDP listener on one loopback port, and what reached them."""
    reached: list[str] = []
    tcp = socket.create_server(("127.0.0.1", 0))
    port: int = tcp.getsockname()[1]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", port))
    tcp.settimeout(0.1)
    udp.settimeout(0.1)
    done = threading.Event()

    def listen() -> None:
        while not done.is_set():
            try:
                tcp.accept()[0].close()
                reached.append("tcp")
            except TimeoutError:
                pass
            try:
                udp.recv(64)
                reached.append("udp")
            except TimeoutError:
                pass

    thread = threading.Thread(target=listen)
    thread.start()
    yield port, reached
    done.set()
    thread.join()
    tcp.close()
    udp.close()


ATTEMPTS = {
    "tcp": "socket.create_connection(('127.0.0.1', PORT), 2)",
    "udp": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    "c connect": (
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "fd = libc.socket(2, 1, 0)\n"
        "address = struct.pack('=H', 2) + struct.pack('!H', PORT) + bytes([127, 0, 0, 1]) + bytes(8)\n"
        "if libc.connect(fd, address, 16) != 0: raise OSError(ctypes.get_errno())"
    ),
    "child process": (
        "code = f'import socket; socket.create_connection((\"127.0.0.1\", {PORT}), 2)'\n"
        "if subprocess.run([sys.executable, '-c', code], stderr=subprocess.DEVNULL).returncode: raise OSError"
    ),
    "tcp fast open": ("socket.socket().sendto(b'x', socket.MSG_FASTOPEN, ('127.0.0.1', PORT))"),
    "unix": "socket.socket(socket.AF_UNIX)",
    "earlier thread": "earlier_thread()",
}
PRELUDE = """
import ctypes, socket, struct, subprocess, sys, threading
PORT = int(sys.argv[1])
go, failed = threading.Event(), []
def work():
    go.wait()
    try: socket.create_connection(('127.0.0.1', PORT), 2)
    except OSError as error: failed.append(error)
thread = threading.Thread(target=work)
thread.start()
def earlier_thread():
    go.set(); thread.join()
    if failed: raise failed[0]
GUARD
try:
    ATTEMPT
    print('out')
except OSError: print('blocked')
finally: go.set()
"""


def attempt(name: str, port: int, guard: str) -> str:
    body = ATTEMPTS[name].replace("\n", "\n    ")
    code = PRELUDE.replace("GUARD", guard).replace("ATTEMPT", body)
    done = subprocess.run(
        [sys.executable, "-c", code, str(port)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


GUARD = "from hybrid_cli.guard.seccomp import forbid_sockets\nassert forbid_sockets() == 'seccomp'"


@pytest.mark.parametrize("name", ATTEMPTS)
def test_every_way_out_is_open_without_the_guard_and_shut_with_it(
    name: str, canary: tuple[int, list[str]]
) -> None:
    port, reached = canary
    assert attempt(name, port, guard=GUARD) == "blocked"
    assert reached == []
    if name == "tcp fast open":  # which kernels offer it differs; what matters is that it is shut
        return
    assert attempt(name, port, guard="") == "out"


def test_forbid_is_enforced_and_a_real_answer_still_comes(hybrid: Hybrid) -> None:
    answer = json.loads(hybrid("run", "-p", "offline", "--json", "What is 2+2?").stdout)
    assert answer["policy"]["enforcement"] == "seccomp"
    assert "4" in answer["answer"]
    answer = json.loads(hybrid("run", "--json", "What is 2+2?").stdout)
    assert answer["policy"]["enforcement"] == "none"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_strace_sees_no_internet_socket_under_forbid(command: str, home: Path, tmp_path: Path) -> None:
    log = tmp_path / "strace.log"
    done = subprocess.run(
        ["strace", "-f", "-e", "trace=network", "-o", log, command, "run", "-p", "offline", "What is 2+2?"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(home),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"4" in done.stdout
    assert "AF_INET" not in log.read_text()


def test_the_worker_holds_no_secret_and_no_file_of_the_parent(command: str, home: Path) -> None:
    process = subprocess.Popen(
        [command, "run", "--stream", "--max-tokens", "4000", "Write a long story about a fox."],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home, CANARY_KEY="sk-canary"),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.read(1)
        (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        status = Path(f"/proc/{worker}/status").read_text()
        files = sorted(str(link.readlink()) for link in Path(f"/proc/{worker}/fd").iterdir())
    finally:
        process.kill()
        process.communicate()
    assert "Seccomp:\t2" in status
    assert [name for name in files if name.startswith("socket:")] == []
    assert len([name for name in files if name.startswith("pipe:")]) == 2
