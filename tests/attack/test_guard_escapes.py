"""What a guarded process cannot do: take sockets, memory or keys from elsewhere, or use files that are not its own."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_cli.guard import landlock
from hybrid_cli.guard.seccomp import _REFUSED

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "aarch64"),
    reason="the guard is for Linux on x86_64 and aarch64",
)
needs_landlock = pytest.mark.skipif(not landlock.is_supported(), reason="this kernel has no Landlock")

_PRELUDE = """
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    return result, ctypes.get_errno()
"""
ESCAPES = {
    "pidfd_getfd": "pidfd = os.pidfd_open(PID); fd, _ = call(438, pidfd, FD, 0); os.write(fd, b'stolen')",
    "memory": "os.write(os.open(f'/proc/{PID}/mem', os.O_RDWR), b'')",
    "descriptor": "os.write(os.open(f'/proc/{PID}/fd/{FD}', os.O_RDWR), b'stolen')",
}


def run(code: str, guard: str, *arguments: object) -> str:
    """Try `code` under `guard` in a process of its own; return `out` or `blocked`."""
    body = "\n    ".join(code.split("\n"))
    program = f"{_PRELUDE}\n{guard}\ntry:\n    {body}\n    print('out')\nexcept OSError: print('blocked')\n"
    names = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(names, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


FORBID = "from hybrid_cli.guard.forbid import forbid_network\nforbid_network(os.environ)"


@needs_landlock
@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("guard", ["", FORBID])
def test_nothing_is_taken_from_another_process(name: str, guard: str) -> None:
    ours, theirs = socket.socketpair()
    victim = subprocess.Popen(["sleep", "60"], pass_fds=[theirs.fileno()])
    theirs_number = theirs.fileno()
    theirs.close()
    try:
        code = ESCAPES[name].replace("PID", str(victim.pid)).replace("FD", str(theirs_number))
        outcome = run(code, guard)
        if name == "descriptor":  # sockets cannot be opened through /proc at all
            assert outcome == "blocked"
        elif not guard and os.geteuid() == 0:
            assert outcome == "out"  # the attempt itself works
        if guard:
            assert outcome == "blocked"
            ours.settimeout(0.1)
            with pytest.raises(TimeoutError):
                ours.recv(9)
    finally:
        victim.kill()
        victim.wait()
        ours.close()


@pytest.mark.parametrize("name", _REFUSED)
def test_each_refused_call_fails_with_eperm(name: str) -> None:
    number = _REFUSED[name][platform.machine() == "aarch64"]
    code = f"result, error = call({number}, -1, 0, 0, 0, 0, 0)\nif error == errno.EPERM: raise OSError"
    assert run(code, FORBID) == "blocked"


CONFINED = """
from hybrid_cli.local.confinement import confine_engine
assert confine_engine(sys.argv[1], sys.argv[2] or None)
"""


@needs_landlock
def test_the_engine_uses_only_its_own_files(tmp_path: Path) -> None:
    model, other, cache = tmp_path / "model.gguf", tmp_path / "other.txt", tmp_path / "cache"
    model.write_text("model")
    other.write_text("private")
    for code, outcome in (
        (f"open({str(model)!r}).read()", "out"),
        ("import html.parser, xml.dom; open('/proc/meminfo').read()", "out"),
        ("open('/dev/null', 'w').write('x')", "out"),
        (
            f"open({str(cache / 'entry')!r}, 'w').write('x'); os.rename({str(cache / 'entry')!r}, {str(cache / 'b')!r})",
            "out",
        ),
        (f"open({str(other)!r}).read()", "blocked"),
        (f"open({str(model)!r}, 'a').write('x')", "blocked"),
        (f"os.truncate({str(model)!r}, 0)", "blocked"),
        (f"os.unlink({str(other)!r})", "blocked"),
        (f"open({str(tmp_path / 'new')!r}, 'w')", "blocked"),
        (f"os.symlink('/', {str(tmp_path / 'link')!r})", "blocked"),
        (f"os.listdir({str(tmp_path)!r})", "blocked"),
        (f"os.read(os.open('/proc/{os.getpid()}/environ', os.O_RDONLY), 9)", "blocked"),
        (
            f"import threading; t = threading.Thread(target=lambda: open({str(tmp_path / 't')!r}, 'w')); t.start(); t.join()",
            "out",
        ),
    ):
        assert run(code, CONFINED, model, cache) == outcome, code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "model.gguf", "other.txt"]
    assert (model.read_text(), other.read_text()) == ("model", "private")


@needs_landlock
def test_all_parts_of_a_split_model_may_be_read(tmp_path: Path) -> None:
    parts = [tmp_path / "links" / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    parts[0].parent.mkdir()
    for number, part in enumerate(parts):
        (tmp_path / f"blob{number}").write_text("x")
        part.symlink_to(tmp_path / f"blob{number}")
    code = "; ".join(f"open({str(part)!r}).read()" for part in parts)
    assert run(code, CONFINED, parts[0], "") == "out"
