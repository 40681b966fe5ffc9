"""What the gate promises and what it keeps: from the rows that `hybrid eval --rows` made.

    python tests/benchmarks/gate.py ROWS.jsonl

Prints, over 200 random halvings of the rows (one half fits the score, a quarter of all sets the threshold,
a quarter tests it), the share handed off under escalate_at_most=0.3, and how often wrong_at_most breaks
its promise at delta = 0.1; and what the gate's own work costs for an answer that is kept.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from pathlib import Path

import msgspec
import numpy as np

from hybrid_cli.evaluate import fit, rows, thresholds
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.handoff.calibration import Calibration, Model
from hybrid_cli.handoff.criterion import Criterion
from hybrid_cli.handoff.gate import LocalResult, judge
from hybrid_cli.local.protocol import TokenSignal

SPLITS = 200
DELTA = 0.1


def main(file: Path) -> None:
    measured = [msgspec.json.decode(line, type=Row) for line in file.read_bytes().splitlines()]
    wrong = float(1 - rows.right(measured).mean())
    print(f"{len(measured)} rows, {wrong:.0%} of the local answers wrong")
    generator = np.random.default_rng(0)
    shares, broken, promised, kept_shares = [], 0, 0, []
    limit = round(wrong * 0.6, 2)
    for _ in range(SPLITS):
        order = generator.permutation(len(measured))
        half, three = len(order) // 2, len(order) * 3 // 4
        fitted, held, tested = (
            [measured[place] for place in part] for part in (order[:half], order[half:three], order[three:])
        )
        model = fit.fit(fitted, fit.RICH, "wrong")
        score, test = fit.scores(model, held), fit.scores(model, tested)
        shares.append(float((test > thresholds.escalate_at_most(score, 0.3)).mean()))
        keep_to = thresholds.wrong_at_most(score, 1 - rows.right(held), limit, DELTA)
        if keep_to is not None:
            promised += 1
            kept = test <= keep_to
            kept_shares.append(float(kept.mean()))
            broken += bool(kept.any()) and float(1 - rows.right(tested)[kept].mean()) > limit
    print(f"escalate_at_most=0.3: handed off {statistics.mean(shares):.3f} (mean of {SPLITS} resplits)")
    kept_share = statistics.mean(kept_shares) if kept_shares else 0.0
    print(
        f"wrong_at_most={limit:g}, delta {DELTA}: promised in {promised} of {SPLITS} resplits,"
        f" over the limit on the test quarter in {broken}; kept {kept_share:.2f} on average"
    )
    _cost(fit.fit(measured, fit.RICH, "wrong"))


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
                criterion.leans(result.logprobs, result.tokens_in, result.first)
                criterion.fails_early(result.logprobs)
        judge(result, criterion)
        times.append((time.perf_counter() - started) * 1000)
    print(f"the gate's work for a kept answer of 64 tokens: {statistics.median(times):.2f} ms")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
