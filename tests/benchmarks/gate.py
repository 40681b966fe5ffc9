"""What the gate promises and what it keeps: from the rows that `hybrid eval --rows` made.

    python tests/benchmarks/gate.py ROWS.jsonl

Prints, over 200 resplits, the share handed off under escalate_at_most=0.3 and how often wrong_at_most breaks its
promise at delta = 0.1; and what the gate's own work costs for an answer that is kept. A resplit fits the score
on a random 40 % of the rows. The other 60 % then are the world: rows drawn from it with replacement set the
threshold, and what that does is known exactly, in all of the world. So no test part's own noise is in the figure.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hybrid_cli.evaluate import fit, rows, thresholds
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.handoff.calibration import Calibration, Model
from hybrid_cli.handoff.criterion import Criterion
from hybrid_cli.handoff.gate import LocalResult, judge, signals_of
from hybrid_cli.local.protocol import TokenSignal

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
    _cost(fit.fit(measured, fit.RICH, "wrong"))


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


def _cost(model: Model) -> None:
    """The parent's share of one kept answer of 64 tokens, told in groups of 8, in milliseconds."""
    calibration = Calibration("", "wrong_at_most", 0.1, 1.0, model, "wrong", None, 0)
    criterion = Criterion(0.0, calibration)
    times = []
    for _ in range(50):
        result = LocalResult(text="word " * 64, finish_reason="stop", tokens_in=50, tokens_out=64)
        started = time.perf_counter()
        for number in range(64):
            result.add(TokenSignal(math.log(0.9), 0.8, 0.2, "content" if number else "first"))
            if number % 8 == 7:
                criterion.leans(signals_of(result, criterion))
                criterion.fails_early(result.logprobs)
        judge(result, criterion)
        times.append((time.perf_counter() - started) * 1000)
    print(f"the gate's work for a kept answer of 64 tokens: {statistics.median(times):.2f} ms")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
