"""What the gate adds to an answer that is kept, as a share of the time to make it.

    python tests/benchmarks/gate_time.py GGUF... [--rounds 5] [--tokens 64]

Of one answer in this process, loading included: the time in which its tokens' signals are read (measured within), and
the parent's own work: signals, checkpoints and verdict, by a calibration of ten signals, for as many tokens told
in groups of 8. A calibration that reads the hidden state decodes the prompt's last token apart; what that takes is
the difference in the first token's time, with and without, in turns.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the worker has them

from hybrid_cli.evaluate.fit import RICH
from hybrid_cli.gate.calibration import Calibration, LogisticModel
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.gate.verdict import LocalResult, judge, signals_of
from hybrid_cli.local.protocol import Event, LocalRequest, Task, TokenSignal
from hybrid_cli.local.threads import SPIN_COUNT

os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
STORY = "Write a long story about a fox."


def answer(path: str, tokens: int, *, wants_state: bool = False) -> tuple[float, float, float]:
    """Seconds of an answer with its load, of these in reading signals, and to the first token from the load's end."""
    import llama_cpp

    from hybrid_cli.local.inference import Inference
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.logits import Meter

    read, reading, marks = Meter.read, [], {}

    def timed(meter: Any, logits: Any) -> Any:
        started = time.perf_counter()
        found = read(meter, logits)
        reading.append(time.perf_counter() - started)
        marks.setdefault("first", time.perf_counter())
        return found

    def emit(event: Event) -> None:
        marks.setdefault(type(event).__name__, time.perf_counter())

    Meter.read = timed  # type: ignore[method-assign]  # a clock around it
    task = Task([{"role": "user", "content": STORY}], tokens, repeat_penalty=1.1, wants_state=wants_state)
    started = time.perf_counter()
    loader = Loader()
    Inference(loader).answer(LocalRequest(path, [task], threads=os.cpu_count()), emit)
    took = time.perf_counter() - started
    Meter.read = read  # type: ignore[method-assign]  # and away again
    llama_cpp.llama_model_free(loader.handle)
    return took, sum(reading), marks["first"] - marks["Loaded"]


def parents_work(tokens: int) -> float:
    """Seconds."""
    count = len(RICH)
    model = LogisticModel(RICH, [0.0] * count, [1.0] * count, [0.1] * count, 0.0, None)
    criterion = Criterion(0.0, Calibration("", "wrong_at_most", 0.1, 1.0, model, "wrong", None, 0))
    started = time.perf_counter()
    result = LocalResult(text="word " * tokens, finish_reason="stop", tokens_in=50, tokens_out=tokens)
    for number in range(tokens):
        result.add(TokenSignal(math.log(0.9), 0.8, 0.2, "content" if number else "first"))
        if number % 8 == 7:
            criterion.heads_for_handoff(signals_of(result, criterion))
            criterion.fails_early(result.logprobs)
    judge(result, criterion)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    chosen = parser.parse_args()
    parent = statistics.median(parents_work(chosen.tokens) for _ in range(50))
    for path in chosen.models:
        answer(path, 4)
        plain, stated = [], []
        for _ in range(chosen.rounds):
            plain.append(answer(path, chosen.tokens))
            stated.append(answer(path, chosen.tokens, wants_state=True))
        took, reading, first = (statistics.median(column) for column in zip(*plain, strict=True))
        apart = statistics.median(one[2] for one in stated) - first
        print(
            f"{path}: {took:.2f} s for {chosen.tokens} tokens with the load (load {os.getloadavg()[0]:.1f})"
        )
        print(
            f"  signals {reading * 1e3:.1f} ms ({reading / took:.2%}), parent {parent * 1e3:.2f} ms ({parent / took:.2%})"
        )
        print(f"  the hidden state {apart * 1e3:+.1f} ms ({apart / took:+.2%})")


if __name__ == "__main__":
    main()
