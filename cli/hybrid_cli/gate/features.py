"""Features: a local answer in numbers, computed from its tokens' signals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hybrid_cli.local.protocol import TokenSignal

VERSION = 4
"""Increase it when a feature changes its meaning: calibrations of another version are not used."""

CHECKPOINTS = (8, 16, 32)
"""After so many tokens the gate may judge a running answer."""
_WINDOW = 8

Signals = dict[str, float | None]

NAMES = (
    "mean_logprob",
    "min_logprob",
    "q10_logprob",
    "first_logprob",
    "worst_window_logprob",
    "sum_logprob",
    "log_tokens",
    "log_prompt_tokens",
    "first_margin",
    "first_entropy",
)
"""The signals of a finished answer, in the order of `answer_signals`."""


def answer_signals(
    logprobs: Sequence[float | None], prompt_tokens: int, first: TokenSignal | None
) -> Signals:
    """Return the signals of a finished answer.

    They come from the log-probabilities of its content tokens (natural, raw logits) and from the distribution at
    the `first` of them. If a token has none, or there is no token, all are None: a missing signal never reads as
    confident. The mean hides one bad step in a long answer; low quantiles and the worst window show it (DeepConf,
    arXiv 2508.15260, calls the window's mean group confidence).
    """
    known = [value for value in logprobs if value is not None]
    if not known or len(known) < len(logprobs):
        return dict.fromkeys(NAMES, None)
    ranked = sorted(known)
    values: list[float | None] = [
        sum(known) / len(known),
        ranked[0],
        ranked[len(ranked) // 10],
        known[0],
        _worst_window(known),
        sum(known),
        math.log(len(known)),
        math.log(max(prompt_tokens, 1)),
        first.margin if first is not None else None,
        first.entropy if first is not None else None,
    ]
    return dict(zip(NAMES, values, strict=True))


def _worst_window(logprobs: Sequence[float]) -> float:
    """Return the lowest mean over eight consecutive tokens; for shorter answers, the mean."""
    width = min(_WINDOW, len(logprobs))
    window = worst = sum(logprobs[:width])
    for gone, come in zip(logprobs, logprobs[width:], strict=False):
        window += come - gone
        worst = min(worst, window)
    return worst / width


def running_mean(logprobs: Sequence[float | None], tokens: int) -> float | None:
    """Return the mean log-probability of the first `tokens` tokens; None if one is missing."""
    first = [value for value in logprobs[:tokens] if value is not None]
    return sum(first) / tokens if len(first) == tokens else None
