"""Time to the first byte of a cloud's answer: `hybrid run` against a bare script on the same SDK.

    python tests/benchmarks/first_byte.py [ROUNDS]

The cloud is a server on loopback that answers at once. Both stream, in turns; a whole process each time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from scripted_cloud import ScriptedCloud

BARE = """
import sys
from openai import OpenAI
client = OpenAI(api_key="none", base_url=sys.argv[1])
messages = [{"role": "user", "content": "hi"}]
for chunk in client.chat.completions.create(model="scripted", messages=messages, stream=True, max_tokens=512):
    if chunk.choices and chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="", flush=True)
"""


def seconds_to_first_byte(arguments: list[str], variables: dict[str, str]) -> float:
    started = time.perf_counter()
    with subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=variables
    ) as process:
        assert process.stdout is not None
        first = process.stdout.read(1)
        taken = time.perf_counter() - started
        process.stdout.read()
    assert first and process.returncode == 0, arguments
    return taken


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with ScriptedCloud() as cloud, tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "force.yaml"
        prices = ", prices: {input: 1, output: 10}"
        profile.write_text(f"version: 1\n{cloud.section(prices)}limits: {{usd_per_day: 1000}}\n")
        variables = {**os.environ, "HYBRID_HOME": folder, "HYBRID_CONSENT": cloud.origin}
        hybrid = str(Path(sys.executable).parent / "hybrid")
        forced = [hybrid, "run", "-p", str(profile), "--escalation", "force", "--stream", "hi"]
        bare = [sys.executable, "-c", BARE, f"{cloud.origin}/v1"]
        times: dict[str, list[float]] = {"bare": [], "hybrid": []}
        for number in range(rounds + 1):
            for name, arguments in (("bare", bare), ("hybrid", forced)):
                taken = seconds_to_first_byte(arguments, variables)
                if number:  # the first warms the disk's cache
                    times[name].append(taken)
    for name, found in times.items():
        print(f"{name}: median {statistics.median(found):.3f} s, least {min(found):.3f} s")
    ratios = [own / other for own, other in zip(times["hybrid"], times["bare"], strict=True)]
    print(
        f"ratio of medians {statistics.median(times['hybrid']) / statistics.median(times['bare']):.3f},"
        f" median of ratios {statistics.median(ratios):.3f}, load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
