"""What checking the weights costs a run: the first after a pull, and every later one.

Run by hand: python tests/benchmarks/verification.py, with the default model pulled.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import SMALL
from hybrid_cli.weights.store import Store


def _milliseconds(model: str) -> float:
    environment = Environment.of_process()
    start = time.perf_counter()
    Store(environment).locate(model)
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    """As `hybrid run` does it, with the modules loaded; a fresh Store each time."""
    model = sys.argv[1] if len(sys.argv) > 1 else SMALL
    _milliseconds(model)
    blob = Path(os.path.realpath(Store(Environment.of_process()).locate(model).path))
    for name, given in (("by name", model), ("by path", str(blob))):
        blob.touch()
        first = _milliseconds(given)
        later = [_milliseconds(given) for _ in range(200)]
        print(
            f"{name}: {first:.1f} ms where the file was touched ({blob.stat().st_size / 1e6:.0f} MB are hashed),"
            f" later median {statistics.median(later):.3f} ms, slowest {max(later):.3f} ms"
        )
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
