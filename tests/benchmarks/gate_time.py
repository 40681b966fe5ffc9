"""What the gate adds to an answer that is kept, as a share of the time to make it.

    python tests/benchmarks/gate_time.py GGUF... [--rounds 5] [--tokens 64]

One answer in this process, loading included: the time in which its tokens' signals are read (measured within), and
the parent's own work: the prompt's kind, signals, checkpoints and verdict, by a shipped calibration, for tokens that
arrive in groups of 8.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the worker has them

from hybrid_cli.gate.calibration import shipped
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.gate.prompt_kinds import prompt_kinds
from hybrid_cli.gate.verdict import LocalResult, judge, signals_of
from hybrid_cli.local.protocol import Event, LocalRequest, Task, TokenSignal
from hybrid_cli.local.threads import SPIN_COUNT
from hybrid_cli.prompt import Question, Request

os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
STORY = "Write a long story about a fox."


def answer(path: str, tokens: int) -> tuple[float, float]:
    """Return the seconds of an answer with its load, and those of them in which signals are read."""
    import llama_cpp

    from hybrid_cli.local.inference import Inference
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.logits import Meter

    read, reading = Meter.read, []

    def timed(meter: Any, logits: Any) -> Any:
        started = time.perf_counter()
        found = read(meter, logits)
        reading.append(time.perf_counter() - started)
        return found

    def emit(_event: Event) -> None:
        pass

    Meter.read = timed  # type: ignore[method-assign]  # a clock around it
    task = Task([{"role": "user", "content": STORY}], tokens, repeat_penalty=1.1)
    started = time.perf_counter()
    loader = Loader()
    Inference(loader).answer(LocalRequest(path, [task], threads=os.cpu_count()), emit)
    took = time.perf_counter() - started
    Meter.read = read  # type: ignore[method-assign]  # and away again
    llama_cpp.llama_model_free(loader.handle)
    return took, sum(reading)


def parents_work(tokens: int) -> float:
    """Return the seconds of the parent's own work on one answer."""
    calibration = shipped()[-1]
    promise = next(one for one in calibration.promises if one.keep_to is not None)
    prompt_kinds()  # read once a process, which counts as loading
    started = time.perf_counter()
    request = Request(Question(STORY, ""), None)
    criterion = Criterion(0.0, calibration, promise).for_request(request)
    result = LocalResult(text="word " * tokens, finish_reason="stop", tokens_in=50, tokens_out=tokens)
    for number in range(tokens):
        result.add(TokenSignal(math.log(0.9), 0.8, 0.2, "content" if number else "first"))
        if number % 8 == 7:
            criterion.heads_for_handoff(signals_of(result))
            criterion.fails_early(result.logprobs)
    judge(result, criterion)
    return time.perf_counter() - started


def reading_files() -> float:
    """Return the seconds in which a run reads the calibrations and the classifier of prompt kinds."""
    prompt_kinds.cache_clear()
    started = time.perf_counter()
    shipped()
    prompt_kinds()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    chosen = parser.parse_args()
    parent = statistics.median(parents_work(chosen.tokens) for _ in range(50))
    files = statistics.median(reading_files() for _ in range(20))
    for path in chosen.models:
        answer(path, 4)
        rounds = [answer(path, chosen.tokens) for _ in range(chosen.rounds)]
        took, reading = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(
            f"{path}: {took:.2f} s for {chosen.tokens} tokens with the load (load {os.getloadavg()[0]:.1f})"
        )
        print(
            f"  signals {reading * 1e3:.1f} ms ({reading / took:.2%}), parent {parent * 1e3:.2f} ms ({parent / took:.2%}),"
            f" files {files * 1e3:.2f} ms ({files / took:.2%})"
        )


if __name__ == "__main__":
    main()
