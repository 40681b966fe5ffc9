"""What each guard keeps in, and what it costs.

    python tests/benchmarks/guard.py

Every attempt is made for real, in a process of its own, against listeners on loopback. The cost is the
wall time of putting a fresh process under the guard, imports left out; median of 21 processes.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from ways_out import ATTEMPTS, GUARDS, attempt

COST = """
import ctypes, platform, time
from hybrid_cli.guard import fallback, seccomp
begun = time.perf_counter()
CALL
print((time.perf_counter() - begun) * 1000)
"""
CALLS = {
    "none": "pass",
    "seccomp": "assert seccomp.install_filter()",
    "namespace": "assert fallback.enter_empty_namespace()",
    "audit-hook": "fallback.refuse_in_python()",
}


def milliseconds(guard: str) -> float:
    code = COST.replace("CALL", CALLS[guard])
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(21)]
    return statistics.median(float(run.stdout) for run in runs)


def main() -> None:
    print(f"load: {os.getloadavg()[0]:.2f}")
    print(f"| {'attempt':<14} | " + " | ".join(f"{guard:<10}" for guard in GUARDS) + " |")
    print("|---" * (len(GUARDS) + 1) + "|")
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as tcp:
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(f"{folder}/u")
        unix.listen()
        for name in ATTEMPTS:
            row = [attempt(name, guard, tcp.getsockname()[1], f"{folder}/u") for guard in GUARDS]
            print(f"| {name:<14} | " + " | ".join(f"{result:<10}" for result in row) + " |")
        unix.close()
    costs = [f"{milliseconds(guard):.2f} ms" for guard in GUARDS]
    print(f"| {'cost':<14} | " + " | ".join(f"{cost:<10}" for cost in costs) + " |")


if __name__ == "__main__":
    main()
