"""Starts a server of another project on loopback."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen


@contextmanager
def served(command: Sequence[str | Path], ready: str) -> Iterator[str]:
    """Run `command` with --host and --port; yield its origin once it answers a request for the path `ready`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    origin = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            assert process.poll() is None, f"{command[0]} ended at start-up"
            try:
                with urlopen(f"{origin}{ready}", timeout=1):  # noqa: S310  a fixed loopback origin
                    break
            except HTTPError:  # it answers, if only with a refusal
                break
            except OSError:
                time.sleep(0.2)
        yield origin
    finally:
        process.terminate()
        process.wait(timeout=20)
