"""Ways for a process to reach the network. Each is really tried, in its own process, under a guard."""

from __future__ import annotations

import subprocess
import sys

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
    "tcp fast open": "socket.socket().sendto(b'x', socket.MSG_FASTOPEN, ('127.0.0.1', PORT))",
    "unix": "socket.socket(socket.AF_UNIX).connect(sys.argv[2])",
    "c unix": (
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "fd = libc.socket(1, 1, 0)\n"
        "address = struct.pack('=H', 1) + sys.argv[2].encode() + bytes(1)\n"
        "if libc.connect(fd, address, len(address)) != 0: raise OSError(ctypes.get_errno())"
    ),
    "earlier thread": "earlier_thread()",
}

GUARDS = {
    "none": "",
    "seccomp": "assert forbid_sockets() == 'seccomp'",
    # As on a kernel without seccomp, then on one without namespaces as well: another filter refuses both.
    "namespace": "refuse(SECCOMP)\nassert forbid_sockets() == 'namespace'",
    "audit-hook": "refuse(UNSHARE); refuse(SECCOMP)\nassert forbid_sockets() == 'audit-hook'",
}

_PRELUDE = """
import ctypes, platform, socket, struct, subprocess, sys, threading
from hybrid_cli.guard import seccomp
from hybrid_cli.guard.forbid import forbid_sockets
PORT = int(sys.argv[1])
ARCH = seccomp._ARCHITECTURES[platform.machine()]
SECCOMP, UNSHARE = ARCH.seccomp, {'x86_64': 272, 'aarch64': 97}[platform.machine()]
def refuse(number):
    seccomp._ARCHITECTURES[platform.machine()] = ARCH._replace(refused=(number,))
    assert seccomp.install_filter()
    seccomp._ARCHITECTURES[platform.machine()] = ARCH
go, failed = threading.Event(), []
def work():
    go.wait()
    try: socket.create_connection(('127.0.0.1', PORT), 2)
    except OSError as error: failed.append(error)
thread = threading.Thread(target=work)
if THREADED: thread.start()
def earlier_thread():
    go.set(); thread.join()
    if failed: raise failed[0]
BEFORE
GUARD
try:
    ATTEMPT
    print('out')
except OSError: print('blocked')
finally: go.set()
"""


def attempt(name: str, guard: str, port: int, unix: str, before: str = "") -> str:
    """Try to reach a listener at `port` or at the path `unix`; return `out` or `blocked`.

    `before` is Python code that runs before the guard.
    """
    body = ATTEMPTS[name].replace("\n", "\n    ")
    code = _PRELUDE.replace("THREADED", str(name == "earlier thread"))
    code = code.replace("GUARD", GUARDS[guard]).replace("ATTEMPT", body).replace("BEFORE", before)
    done = subprocess.run(
        [sys.executable, "-c", code, str(port), unix], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
