"""What the gate promises and what it keeps: from the rows that `hybrid eval --rows` made.

    python tests/benchmarks/gate.py ROWS.jsonl

Prints, over 200 resplits, the share handed off under escalate_at_most=0.3 and how often wrong_at_most breaks its
promise at delta = 0.1 (gate_time.py has what the gate's work costs). A resplit fits the score on a random 40 % of the rows. The other 60 % then are the world: rows drawn from it with replacement set the
threshold, and what that does is known exactly, in all of the world. So no test part's own noise is in the figure.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hybrid_cli.evaluate import fit, rows, thresholds
from hybrid_cli.evaluate.rows import Row

SPLITS = 200
DELTA = 0.1


def main(file: Path) -> None:
    measured = [msgspec.json.decode(line, type=Row) for line in file.read_bytes().splitlines()]
    wrong = float(1 - rows.right(measured).mean())
    print(f"{len(measured)} rows, {wrong:.0%} of the local answers wrong")
    generator = np.random.default_rng(0)
    shares: list[float] = []
    worlds = []
    for _ in range(SPLITS):
        order = generator.permutation(len(measured))
        part = len(order) * 2 // 5
        model = fit.fit([measured[place] for place in order[:part]], fit.RICH, "wrong")
        world = [measured[place] for place in order[part:]]
        score, label = fit.scores(model, world), 1 - rows.right(world)
        drawn = generator.integers(0, len(world), len(world))
        worlds.append((score, label, drawn))
        shares.append(float((score > thresholds.escalate_at_most(score[drawn], 0.3)).mean()))
    low, high = np.percentile(shares, [2.5, 97.5])
    print(
        f"escalate_at_most=0.3: handed off {statistics.mean(shares):.3f} on average of {SPLITS} resplits,"
        f" standard deviation {statistics.stdev(shares):.3f}, 95 % of them {low:.3f} to {high:.3f}"
    )
    for part_of_error in (0.6, 0.75):
        _promise(worlds, round(wrong * part_of_error, 2))


def _promise(worlds: list[tuple[Any, Any, Any]], limit: float) -> None:
    """How often a promise of at most `limit` wrong was made, and how often it was broken in the world itself."""
    promised = broken = 0
    kept_shares = []
    for score, label, drawn in worlds:
        keep_to = thresholds.wrong_at_most(score[drawn], label[drawn], limit, DELTA)
        if keep_to is not None:
            kept = score <= keep_to
            promised += 1
            kept_shares.append(float(kept.mean()))
            broken += float(label[kept].mean()) > limit
    kept_share = statistics.mean(kept_shares) if kept_shares else 0.0
    print(
        f"wrong_at_most={limit:g}, delta {DELTA}: promised in {promised} of {len(worlds)} resplits, broken in {broken};"
        f" kept {kept_share:.2f} on average"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
