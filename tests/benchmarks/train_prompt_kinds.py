"""Train the classifier of prompt kinds on generated exam questions, and write its file into the package.

No model runs. The questions have other seeds than those that calibrations are fitted on.

usage: python tests/benchmarks/train_prompt_kinds.py
"""

from __future__ import annotations

import base64
import json

import numpy as np

from hybrid_cli.evaluate.exam import questions
from hybrid_cli.evaluate.exam.generate import KINDS
from hybrid_cli.evaluate.metrics import Numbers
from hybrid_cli.gate.prompt_kinds import BUCKETS, FILE, SHAPE_SCALE, WORD_SCALE, prompt_kinds, shape_of
from hybrid_cli.gate.word_hash import excerpt, hashed_words
from hybrid_cli.prompt import Question

SEEDS = range(100, 110)
HELD_OUT = 110
RIDGE = 1.0
STEPS = 400


def main() -> None:
    """Write the file, and print the share of held-out questions whose kind is the likeliest."""
    names = [kind.name for kind in KINDS]
    asked = [one for seed in SEEDS for one in questions(300, seed)]
    shape = np.array([_shape(one) for one in asked])
    means, deviations = shape.mean(axis=0), shape.std(axis=0)
    deviations[deviations < 1e-9] = 1.0
    design = np.column_stack([_words(asked), np.clip((shape - means) / deviations, -5, 5) * SHAPE_SCALE])
    weights, bias = _softmax_regression(
        design, np.array([names.index(one.kind) for one in asked]), len(names)
    )
    words = weights[:, :BUCKETS]
    scales = np.abs(words).max(axis=1) / 127
    steps = np.round(words / scales[:, None]).astype(np.int8)
    data = {
        "kinds": names,
        "words": base64.b64encode(steps.T.tobytes()).decode(),
        "scales": _rounded(scales),
        "shape": [_rounded(row) for row in weights[:, BUCKETS:]],
        "bias": _rounded(bias),
        "means": _rounded(means),
        "deviations": _rounded(deviations),
    }
    FILE.write_text(json.dumps(data) + "\n", encoding="utf-8")
    prompt_kinds.cache_clear()
    held = questions(300, HELD_OUT)
    right = [names[int(np.argmax(_shares(one)))] == one.kind for one in held]
    print(
        f"{FILE.name}: {FILE.stat().st_size} bytes; held-out questions of the right kind: {np.mean(right):.2f}"
    )


def _shares(one):
    kinds = prompt_kinds()
    return kinds.shares(
        Question(one.prompt, one.context), has_schema=one.schema is not None, choices=len(one.choices)
    )


def _shape(one) -> list[float]:
    return shape_of(
        Question(one.prompt, one.context), has_schema=one.schema is not None, choices=len(one.choices)
    )


def _words(asked) -> Numbers:
    design = np.zeros((len(asked), BUCKETS), dtype=np.float32)
    for row, one in zip(design, asked, strict=True):
        grams = hashed_words(excerpt(f"{one.prompt}\n{one.context}"), BUCKETS)
        row[grams] = WORD_SCALE / np.sqrt(max(len(grams), 1))
    return design


def _softmax_regression(design, labels, classes: int):
    """L2-penalised softmax regression by accelerated gradient descent (Nesterov)."""
    rows = len(design)
    design = np.column_stack([design, np.ones(rows)]).astype(np.float32)
    target = np.eye(classes, dtype=np.float32)[labels]
    weights = np.zeros((classes, design.shape[1]), dtype=np.float32)
    penalty = np.full(design.shape[1], RIDGE, dtype=np.float32)
    penalty[-1] = 1e-6
    step = 1 / (0.5 * float((design**2).sum(axis=1).max()) * rows / 8 + RIDGE)
    ahead, momentum = weights.copy(), 1.0
    for _ in range(STEPS):
        logits = design @ ahead.T
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        moved = ahead - step * ((shares - target).T @ design + penalty * ahead)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / following * (moved - weights)
        weights, momentum = moved, following
    return weights[:, :-1].astype(float), weights[:, -1].astype(float)


def _rounded(values) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


if __name__ == "__main__":
    main()
