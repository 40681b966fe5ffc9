"""Bytes a second from a server on loopback: `curl` writing a file, and a pull, which also hashes it.

Run by hand on a quiet machine: python tests/benchmarks/throughput.py [--megabytes 1500] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.https import RemoteFile
from hybrid_cli.weights.incoming import Slot
from hybrid_cli.weights.integrity import sha256_of
from hybrid_cli.weights.reporter import Reporter
from hybrid_cli.weights.transfer import transfer

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class _Handler(BaseHTTPRequestHandler):
    """Sends the file by the kernel, so that the server is not what is measured."""

    protocol_version = "HTTP/1.1"
    file: Path

    def log_message(self, *_arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        size = self.file.stat().st_size
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        first = int(match[1]) if match else 0
        behind = min(int(match[2]) + 1, size) if match and match[2] else size
        self.send_response(206 if match else 200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(behind - first))
        if match:
            self.send_header("Content-Range", f"bytes {first}-{behind - 1}/{size}")
        self.end_headers()
        self.wfile.flush()
        with self.file.open("rb") as file:
            while first < behind:
                first += os.sendfile(self.connection.fileno(), file.fileno(), first, behind - first)


def _serve(file: Path) -> None:
    """In a process of its own, as a server is."""
    _Handler.file = file
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def _curl(url: str, folder: Path, _sha256: str) -> None:
    subprocess.run(["curl", "--silent", "--fail", "--output", folder / "file", url], check=True)


def _pull(url: str, folder: Path, sha256: str) -> None:
    world = Environment(stdin=None, stdout=None, stderr=None, variables={})
    _path, found = transfer(
        RemoteFile(url, "file"), Slot(folder, waited=False), Reporter(world, as_json=False)
    )
    assert found == sha256, "the file came wrong"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(options.serve)
        return
    size = options.megabytes * 1_000_000
    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "source")
        with source.open("wb") as file:
            for _ in range(options.megabytes):
                file.write(os.urandom(1_000_000))
        sha256 = sha256_of(source)
        command = [sys.executable, __file__, "--serve", str(source)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}/file"
            rates: dict[str, list[float]] = {"curl": [], "hybrid": []}
            for _ in range(options.rounds):
                for name, fetch in (("curl", _curl), ("hybrid", _pull)):
                    folder = Path(work, name)
                    folder.mkdir()
                    os.sync()
                    start = time.perf_counter()
                    fetch(url, folder, sha256)
                    rates[name].append(size / 1e6 / (time.perf_counter() - start))
                    shutil.rmtree(folder)
            server.terminate()
    for name, found in rates.items():
        print(
            f"{name}: median {statistics.median(found):.0f} MB/s ({', '.join(f'{rate:.0f}' for rate in found)})"
        )
    ratio = statistics.median(rates["hybrid"]) / statistics.median(rates["curl"])
    print(f"hybrid, with the sha256, is {ratio:.2f} times curl; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
