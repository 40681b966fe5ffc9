"""Damaged GGUF headers through the real command: each must end with one line and a code, and in time.

    python tests/benchmarks/fuzz_gguf.py [--count 500] [--seed 1]

Bytes of the default model's header are changed, it is cut, or its lengths are made huge. What still
loads and answers is counted, too: a changed byte may be of no consequence.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store

_HEADER = 2_000_000  # bytes: metadata, vocabulary and the table of tensors
_SIZES = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1)


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """`whole` with one kind of damage to its header."""
    data = bytearray(whole)
    kind = chance.randrange(4)
    if kind == 0:
        return bytes(data[: chance.randrange(4, _HEADER)])
    for _ in range(chance.choice([1, 3, 30])):
        place = chance.randrange(4, chance.choice([64, 4000, _HEADER]))
        if kind == 1:
            data[place] = chance.randrange(256)
        elif kind == 2:
            data[place : place + 8] = chance.choice(_SIZES).to_bytes(8, "little")
        else:
            data[place] ^= 1 << chance.randrange(8)
    return bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    hybrid = shutil.which("hybrid", path=str(Path(sys.executable).parent)) or "hybrid"
    whole = Store(Environment.of_process()).locate("smollm2-135m").path.read_bytes()
    chance = random.Random(chosen.seed)
    codes: collections.Counter[int] = collections.Counter()
    bad = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108
        path = Path(folder, "damaged.gguf")
        for number in range(chosen.count):
            path.write_bytes(damaged(whole, chance))
            done = subprocess.run(
                [
                    hybrid,
                    "run",
                    "-p",
                    "offline",
                    "-m",
                    str(path),
                    "--timeout",
                    "30",
                    "--max-tokens",
                    "1",
                    "hi",
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=60,
                env=dict(os.environ),
            )
            codes[done.returncode] += 1
            lines = done.stderr.decode(errors="replace").splitlines()
            told = [line for line in lines if not line.startswith("hybrid: loading ")]  # said of a slow load
            if done.returncode and (done.returncode < 0 or len(told) != 1 or "internal error" in told[0]):
                bad += 1
                print(f"number {number}: code {done.returncode}, {told}")
    print(f"{chosen.count} damaged headers: codes {dict(codes)}; without one clear line: {bad}")


if __name__ == "__main__":
    main()
