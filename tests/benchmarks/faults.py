"""What a download makes of faults: outcome, and the bytes that were sent again. As a table.

Run by hand: python tests/benchmarks/faults.py. SIGKILL falls at 20 random moments of one download of 400 MB over
four connections; then one clean pull follows. The other faults are those of tests/weights/test_transfer.py, at 40 MB.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from hybrid_cli.exit_status import Failure
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.https import RemoteFile
from hybrid_cli.weights.incoming import Slot
from hybrid_cli.weights.partial import Partial
from hybrid_cli.weights.ranges import Tuning
from hybrid_cli.weights.reporter import Reporter
from hybrid_cli.weights.transfer import transfer
from loopback_hub import LoopbackHub, Served, gguf

_HYBRID = Path(sys.executable).with_name("hybrid")
_SMALL = gguf() + os.urandom(40_000_000)
_OTHER = gguf() + os.urandom(40_000_000)
_LARGE = gguf() + os.urandom(400_000_000)
_TUNING = Tuning(segment=4 << 20, patience=1.0, pause=0.05)
_KILLS = 20


def _faults() -> list[tuple[str, Served, str | None]]:
    wrong = hashlib.sha256(_OTHER).hexdigest()
    return [
        ("none", Served(_SMALL), None),
        ("cut 10 times", Served(_SMALL, cuts=10), None),
        ("stalls 4 times", Served(_SMALL, stalls=4), None),
        ("503, 429, 502 first", Served(_SMALL, busy=[503, 429, 502]), None),
        ("ignores ranges", Served(_SMALL, ranges=False), None),
        ("ignores ranges, cut once", Served(_SMALL, ranges=False, cuts=1), None),
        ("changes file and ETag", Served(_SMALL, cuts=1, later=Served(_OTHER)), None),
        ("announces 9 bytes too many", Served(_SMALL, announced=9), None),
        ("wrong body", Served(_SMALL), wrong),
        ("404", Served(_SMALL, 404), None),
    ]


def _fetched(hub: LoopbackHub, served: Served, sha256: str | None) -> str:
    hub.files["/m.gguf"] = served
    world = Environment(stdin=None, stdout=None, stderr=None, variables={})
    with tempfile.TemporaryDirectory() as folder:
        remote = RemoteFile(f"{hub.origin}/m.gguf", "m.gguf", sha256=sha256)
        try:
            _, found = transfer(
                remote, Slot(Path(folder), waited=False), Reporter(world, as_json=False), _TUNING
            )
        except Failure as failure:
            return f"code {int(failure.status)}: {failure}"
    if sha256 not in (None, found):
        return "code 6: the checksum differs, nothing is stored"
    right = {
        hashlib.sha256(body).hexdigest(): name
        for body, name in ((_SMALL, "right file"), (_OTHER, "the new file"))
    }
    return right.get(found, "WRONG FILE")


def _killed(hub: LoopbackHub, work: Path) -> str:
    """Kill the download again and again, then pull once; what comes of it."""
    served = hub.files["org/repo/m.gguf"] = Served(_LARGE, chunk_pause=0.004)
    variables = {**os.environ, "HYBRID_HOME": str(work), "HF_ENDPOINT": hub.origin, "HOME": str(work)}
    command = [str(_HYBRID), "pull", "-q", "hf:org/repo/m.gguf"]
    again = 0
    for _ in range(_KILLS):
        sent, here = served.sent, _bytes_here(work)
        with subprocess.Popen(command, env=variables) as process:
            while served.sent == sent and process.poll() is None:
                time.sleep(0.01)
            time.sleep(random.uniform(0, 0.25))
            process.send_signal(signal.SIGKILL)
        again += served.sent - sent - (_bytes_here(work) - here)
    here = _bytes_here(work)
    clean = hub.files["org/repo/m.gguf"] = Served(_LARGE)
    subprocess.run(command, env=variables, check=True)
    (blob,) = (work / "data/blobs").iterdir()
    right = hashlib.sha256(blob.read_bytes()).hexdigest() == served.sha256
    exact = clean.sent == len(_LARGE) - here
    return (
        f"{'right file' if right else 'WRONG FILE'} | 0 by the clean pull ({clean.sent / 1e6:.1f} MB sent, "
        f"{'exactly' if exact else 'NOT'} what was missing); {again / 1e6:.2f} MB in all were on their way at the kills"
    )


def _bytes_here(work: Path) -> int:
    for folder in (work / "data/incoming").glob("*/"):
        if (partial := Partial.resume(folder)) is not None:
            partial.close()
            return partial.done()
    return 0


def main() -> None:
    print("| fault | outcome | bytes sent again |\n|---|---|---|")
    with LoopbackHub() as hub:
        for name, served, sha256 in _faults():
            outcome = _fetched(hub, served, sha256)
            later = served.later.sent if served.later else 0
            again = max(0, served.sent + later - len(_SMALL))
            print(f"| {name} | {outcome.replace(hub.origin[7:], 'HOST')} | {again:,} |", flush=True)
        with tempfile.TemporaryDirectory() as work:
            print(f"| SIGKILL at {_KILLS} random moments | {_killed(hub, Path(work))} |")
    print(f"\nload {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
