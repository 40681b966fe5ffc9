"""Fifty `hybrid run` at once against a limit of ten calls: how many reach the server.

python tests/benchmarks/parallel_limit.py [PROCESSES]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from scripted_cloud import ScriptedCloud


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    hybrid = str(Path(sys.executable).parent / "hybrid")
    with ScriptedCloud() as cloud, tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "limited.yaml"
        profile.write_text(f"version: 1\n{cloud.section()}limits: {{calls_per_day: 10}}\n")
        variables = {**os.environ, "HYBRID_HOME": folder, "HYBRID_CONSENT": cloud.origin}
        started = time.perf_counter()
        running = [
            subprocess.Popen(
                [hybrid, "run", "-p", str(profile), "--escalation", "force", "hi"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=variables,
            )
            for _ in range(count)
        ]
        codes = Counter(process.wait() for process in running)
        print(
            f"{count} processes in {time.perf_counter() - started:.0f} s: exit codes {dict(codes)},"
            f" {len(cloud.received)} requests reached the server"
        )


if __name__ == "__main__":
    main()
