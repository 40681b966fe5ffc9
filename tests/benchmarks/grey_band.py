"""Whether asking again tells more than the answer itself: samples that agree, P(True), a second model as judge.

    python tests/benchmarks/grey_band.py QUESTIONS.jsonl --model GGUF --rows FILE
        [--judge GGUF] [--samples 4] [--max-tokens 300] [--count 100] [--seed 5]

Of each question (kind `number` or `letter`) the greedy answer and `--samples` sampled ones are made side by side.
Agreement is the share of samples that end in what the greedy answer ends in; P(True) is the model's own chance
of Yes when it is asked whether that is correct (Kadavath et al. 2022, arXiv 2207.05221), and the judge's the
same of another model. FILE keeps what was measured, without prompts and answers; a later run goes on from there.
Prints the AUROC of "the greedy answer is wrong", by each alone and by the mean of its rank and that of the
log-probability, over all and in the grey band: the middle 40 % by log-probability.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_cli.evaluate import metrics
from hybrid_cli.evaluate.questions import LabelledQuestion, is_right, read_questions
from hybrid_cli.local.protocol import LocalRequest, Task, Tokens
from hybrid_cli.local.worker import Worker

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
BAND = (0.3, 0.7)
SCORES = ("mean_logprob", "sum_logprob", "agreement", "p_true", "judge")


class Model:
    """A model in a guarded process of its own."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._worker = Worker.fork()

    def answers(self, tasks: Sequence[Task]) -> list[tuple[str, list[float]]]:
        """Each task's text and its tokens' log-probabilities."""
        made: list[tuple[str, list[float]]] = [("", []) for _ in tasks]
        for event in self._worker.events(LocalRequest(self._path, list(tasks))):
            if isinstance(event, Tokens):
                text, logprobs = made[event.sequence]
                made[event.sequence] = (
                    text + event.text,
                    logprobs + [signal.logprob for signal in event.signals],
                )
        return made

    def chance_of_yes(self, question: LabelledQuestion, proposed: str) -> float:
        words = f"Question: {question.prompt}\nProposed answer: {proposed}\nIs the proposed answer correct?"
        ((text, (logprob,)),) = self.answers([task(words, 4, choices=["Yes", "No"])])
        return math.exp(logprob) if text == "Yes" else 1 - math.exp(logprob)


def task(words: str, most: int, **more: Any) -> Task:
    return Task([{"role": "user", "content": words}], most, **more)


def measured(
    question: LabelledQuestion, model: Model, judge: Model | None, chosen: argparse.Namespace
) -> dict[str, Any]:
    sampled = [
        task(question.asked, chosen.max_tokens, temperature=0.8, sample=sample)
        for sample in range(chosen.samples)
    ]
    (text, logprobs), *others = model.answers([task(question.asked, chosen.max_tokens), *sampled])
    ended = end_of(question, text)
    same = [ended is not None and end_of(question, other) == ended for other, _ in others]
    return {
        "right": is_right(question, text, {}),
        "mean_logprob": sum(logprobs) / len(logprobs),
        "sum_logprob": sum(logprobs),
        "agreement": sum(same) / len(same),
        "p_true": model.chance_of_yes(question, ended or "none"),
        "judge": judge.chance_of_yes(question, ended or "none") if judge is not None else None,
    }


def end_of(question: LabelledQuestion, text: str) -> str | None:
    """What an answer comes down to: its last number, or its first letter that stands alone."""
    if question.kind == "letter":
        letter = re.search(r"\b[A-E]\b", text)
        return letter and letter[0]
    numbers = NUMBER.findall(text)
    return numbers[-1].replace(",", "").rstrip(".") if numbers else None


def ranks(values: Any) -> Any:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") / max(len(values) - 1, 1)


def tell(rows: list[dict[str, Any]]) -> None:
    wrong = np.array([not row["right"] for row in rows], dtype=float)
    print(f"{len(rows)} questions, {wrong.mean():.0%} of the greedy answers wrong")
    print(
        f"{'AUROC of being wrong (95 %)':<16} {'alone':>26} {'beside sum_logprob':>26} {'alone, grey band':>26}"
    )
    surest = np.array([row["sum_logprob"] for row in rows])
    low, high = np.quantile(surest, BAND)
    band = (surest >= low) & (surest <= high)
    for name in SCORES:
        if any(row[name] is None for row in rows):
            continue
        score = -np.array([row[name] for row in rows])
        both = ranks(score) + ranks(-surest)
        columns = [(score, wrong), (both, wrong), (score[band], wrong[band])]
        told = [metrics.bootstrap(metrics.auroc, *column) for column in columns]
        figures = [f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})" for one in told]
        print(f"{name:<28}" + "".join(f"{figure:>26}" for figure in figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--judge")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=300)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=5)
    chosen = parser.parse_args()
    questions = list(read_questions(chosen.questions))
    random.Random(chosen.seed).shuffle(questions)
    done = chosen.rows.read_text().splitlines() if chosen.rows.exists() else []
    model, judge = Model(chosen.model), Model(chosen.judge) if chosen.judge else None
    with chosen.rows.open("a", buffering=1) as file:
        for question in questions[len(done) : chosen.count]:
            started = time.perf_counter()
            row = measured(question, model, judge, chosen)
            file.write(json.dumps({**row, "seconds": round(time.perf_counter() - started, 1)}) + "\n")
    tell([json.loads(line) for line in chosen.rows.read_text().splitlines()])


if __name__ == "__main__":
    main()
