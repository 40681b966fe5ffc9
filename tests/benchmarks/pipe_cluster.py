"""`hybrid pipe --cluster`: two nodes of a core each against one, and one node against no cluster at all.

    python tests/benchmarks/pipe_cluster.py [--records 160] [--turns 3]

All is on this machine: the nodes take two of its cores, and this program, Ray and the writing process what is
left of them. Start and end are left out: a rate is that of the lines in the middle. The three are measured one
after the other in each turn, and the ratios are medians over turns.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from loopback_cluster import LoopbackCluster

PROFILE = "version: 1\nlocal: {threads: 1}\nescalation: {target: {threshold: 0.0}}\n"
MARGIN = 32
"""Lines at either end: what two engines have in hand."""


def milliseconds(folder: Path, records: int, *arguments: str) -> float:
    """A record, in the middle of a run."""
    command = shutil.which("hybrid", path=str(Path(sys.executable).parent)) or "hybrid"
    file = folder / "records.txt"
    file.write_text("".join(f"I have read it {number} times.\n" for number in range(records + 2 * MARGIN)))
    words = [command, "pipe", "-p", str(folder / "one.yaml"), "--choices", "good,bad", *arguments]
    with subprocess.Popen(
        [*words, "Is it good or bad?", file], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        times = [time.perf_counter() for _line in process.stdout]
    return (times[-MARGIN] - times[MARGIN]) / records * 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=160)
    parser.add_argument("--turns", type=int, default=3)
    chosen = parser.parse_args()
    turns = []
    with tempfile.TemporaryDirectory() as name, LoopbackCluster(os.environ) as cluster:
        folder = Path(name)
        (folder / "one.yaml").write_text(PROFILE)
        for turn in range(chosen.turns):
            if turn:
                cluster.tell("add")
            two = milliseconds(folder, chosen.records, "--cluster", cluster.address)
            cluster.tell("kill")
            one = milliseconds(folder, chosen.records, "--cluster", cluster.address)
            none = milliseconds(folder, chosen.records)
            print(f"ms a record: two nodes {two:.1f}, one {one:.1f}, no cluster {none:.1f}", flush=True)
            turns.append((one / two, one - none))
    speed, overhead = (statistics.median(column) for column in zip(*turns, strict=True))
    load = os.getloadavg()[0]
    print(f"two nodes against one: {speed:.2f}; overhead: {overhead:+.1f} ms a record; load {load:.1f}")


if __name__ == "__main__":
    main()
