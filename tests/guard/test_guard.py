"""The network guard: nothing gets out under `forbid`, and the worker can never open a socket."""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import re
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hybrid_cli.cascade.run_options import RunOptions
from hybrid_cli.cascade.run_prompt import run_prompt
from hybrid_cli.exit_status import Failure
from hybrid_cli.guard.forbid import best_enforcement
from hybrid_cli.local.worker import SPAWN
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
from hybrid_process import HELLO, Hybrid, environment
from ways_out import ATTEMPTS, attempt

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "aarch64"),
    reason="the seccomp guard is for Linux on x86_64 and aarch64",
)


@dataclass
class Canary:
    """Listeners on loopback (TCP and UDP at one port, and a Unix socket), and the data that reached them."""

    port: int
    unix: str
    reached: list[str]


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    tcp = socket.create_server(("127.0.0.1", 0))
    port: int = tcp.getsockname()[1]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", port))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "u"))
    unix.listen()
    canary = Canary(port, str(tmp_path / "u"), [])
    listeners = {"tcp": tcp, "udp": udp, "unix": unix}
    done = threading.Event()

    def take(timeout: float) -> bool:
        ready, _, _ = select.select(list(listeners.values()), [], [], timeout)
        for name, listener in listeners.items():
            if listener in ready:
                listener.recv(64) if name == "udp" else listener.accept()[0].close()
                canary.reached.append(name)
        return bool(ready)

    def listen() -> None:
        while not done.is_set():
            take(0.05)
        while take(0):
            pass

    thread = threading.Thread(target=listen)
    thread.start()
    yield canary
    done.set()
    thread.join()
    for listener in listeners.values():
        listener.close()


HELD = {
    "seccomp": set(ATTEMPTS),
    "namespace": set(ATTEMPTS) - {"c unix"},
    "audit-hook": set(ATTEMPTS) - {"c connect", "c unix", "child process"},
}
"""Ways out that each guard blocks. The weaker guards have gaps; this asserts that the gaps are known."""


@pytest.mark.parametrize("name", ATTEMPTS)
@pytest.mark.parametrize("guard", HELD)
def test_ways_out_that_each_guard_blocks(name: str, guard: str, canary: Canary) -> None:
    if guard == "namespace" and not may_unshare():
        pytest.skip("this system lets nobody have a namespace")
    assert attempt(name, guard, canary.port, canary.unix) == ("blocked" if name in HELD[guard] else "out")
    assert (canary.reached == []) == (name in HELD[guard])


@pytest.mark.parametrize("name", ATTEMPTS)
def test_every_way_out_is_open_without_a_guard(name: str, canary: Canary) -> None:
    if name == "tcp fast open":
        pytest.skip("which kernels offer it differs; what matters is that it is shut")
    assert attempt(name, "none", canary.port, canary.unix) == "out"


def may_unshare() -> bool:
    done = subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True, check=False)
    return done.returncode == 0


def test_the_best_guard_is_found_without_losing_the_network() -> None:
    assert best_enforcement() == "seccomp"
    socket.socket().close()


def test_required_enforcement_refuses_a_weaker_guard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A mock: no kernel without seccomp can be had here, and the process under test would be this one.
    monkeypatch.setattr("hybrid_cli.cascade.session.forbid_network", lambda _variables: "namespace")
    environment = Environment(None, io.BytesIO(), io.StringIO(), {"HYBRID_HOME": str(tmp_path)})
    path = tmp_path / "strict.yaml"
    path.write_text("version: 1\nescalation: {mode: forbid, require_enforcement: true}\n")
    options = RunOptions(
        "hi", None, None, as_json=False, stream=False, may_read_stdin=False, dry_run=True, tags=frozenset()
    )
    flags = Flags(profile=str(path))
    with pytest.raises(
        Failure, match="requires a guard that this system does not have: the best is namespace"
    ):
        run_prompt(merge_policy(flags, environment), flags, options, environment, None, Stopwatch())


_RUN_UNDER = """
import io, sys
import hybrid_cli.local.child
from hybrid_cli.cascade.run_options import RunOptions
from hybrid_cli.cascade.run_prompt import run_prompt
from hybrid_cli.exit_status import Failure
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
level, home, profile = sys.argv[1:]
hybrid_cli.local.child.forbid_sockets = lambda: level
environment = Environment(None, sys.stdout.buffer, io.StringIO(), {"HYBRID_HOME": home})
options = RunOptions(
    "hi", None, None, as_json=True, stream=False, may_read_stdin=False, dry_run=False, tags=frozenset()
)
try:
    flags = Flags(profile=profile)
    run_prompt(merge_policy(flags, environment), flags, options, environment, None, Stopwatch())
except Failure as failure:
    print(failure)
"""


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("namespace", r"requires a guard for the local model .*: the best is namespace"),
        ("seccomp", '"answered_by": "local"'),
    ],
)
def test_required_enforcement_holds_for_the_worker_in_every_mode(
    home: Path, tmp_path: Path, level: str, told: str
) -> None:
    # A mock of the level alone: no kernel without seccomp can be had here. The worker is a real process, which must be
    # forked to have the mock, from a process in which llama.cpp never ran: its threads do not survive a fork.
    path = tmp_path / "strict.yaml"
    path.write_text("version: 1\nescalation: {mode: auto, require_enforcement: true}\n")
    done = subprocess.run(
        [sys.executable, "-c", _RUN_UNDER, level, home, path],
        env={name: value for name, value in os.environ.items() if name != SPAWN},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert re.search(told, done.stdout), done


def test_forbid_is_enforced_and_a_real_answer_still_comes(hybrid: Hybrid) -> None:
    answer = json.loads(hybrid("run", "-p", "offline", "--json", *HELLO).stdout)
    assert answer["policy"]["enforcement"] == "seccomp"
    assert "Hello" in answer["answer"]
    answer = json.loads(hybrid("run", "--json", *HELLO).stdout)
    assert answer["policy"]["enforcement"] == "none"


def test_forbid_leaves_no_key_in_the_process(command: str, home: Path) -> None:
    *system, prompt = HELLO
    process = subprocess.Popen(
        [command, "run", "-p", "offline", *system, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home, CANARY_KEY="sk-canary"),
    )
    try:
        for _ in range(200):
            time.sleep(0.05)
            if "Seccomp:\t2" in Path(f"/proc/{process.pid}/status").read_text():
                break
        assert b"sk-canary" not in Path(f"/proc/{process.pid}/environ").read_bytes()
        out, _errors = process.communicate(prompt.encode(), timeout=60)
    finally:
        process.kill()
        process.wait()
    assert b"Hello" in out


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_strace_sees_no_internet_socket_under_forbid(command: str, home: Path, tmp_path: Path) -> None:
    log = tmp_path / "strace.log"
    done = subprocess.run(
        ["strace", "-f", "-e", "trace=network", "-o", log, command, "run", "-p", "offline", *HELLO],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(home),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"Hello" in done.stdout
    assert "AF_INET" not in log.read_text()


def open_files(pid: str) -> list[str]:
    """What a process has open. It reads /proc/stat four times a second, so a link may be gone before it is read."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(link.readlink()))
    return found


def test_the_worker_has_no_secret_and_no_open_file_of_the_parent(command: str, home: Path) -> None:
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
        variables = Path(f"/proc/{worker}/environ").read_bytes()
        files = open_files(worker)
    finally:
        process.kill()
        process.communicate()
    assert "Seccomp:\t2" in status
    assert b"sk-canary" not in variables
    assert [name for name in files if name.startswith("socket:")] == []
    assert len([name for name in files if name.startswith("pipe:")]) == 2
