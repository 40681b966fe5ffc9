"""The probability that a local answer is wrong: by the kind of prompt, the answer's form, and its log-probability.

A model is good at some kinds of work and bad at others, at much the same confidence. So the score starts from the
model's measured share of wrong answers for the prompt's kind and the answer's form. The log-probability then moves it,
compared with other answers of the same form: a bare letter and a paragraph have different means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from hybrid_cli.gate.features import Signals

AnswerForm = Literal["choice", "json", "token", "short", "middle", "long"]
FORMS: tuple[AnswerForm, ...] = ("choice", "json", "token", "short", "middle", "long")
_LONGEST: dict[AnswerForm, int] = {"token": 2, "short": 12, "middle": 48}
"""Content tokens."""
CLIP = 4.0
_LEAST, _MOST = 1e-4, 1 - 1e-4


def answer_form(tokens: int, *, has_schema: bool, has_choices: bool) -> AnswerForm:
    """Return the form of an answer with so many content tokens."""
    if has_choices:
        return "choice"
    if has_schema:
        return "json"
    return next((form for form, longest in _LONGEST.items() if tokens <= longest), "long")


def signal_of(form: AnswerForm) -> str:
    """Return the signal that tells right from wrong within a form.

    It is the mean log-probability. A long answer has many steps, of which one wrong one is enough: there it is the sum.
    """
    return "sum_logprob" if form == "long" else "mean_logprob"


class FormScore(msgspec.Struct, frozen=True):
    """What one model's answers of one form are like."""

    wrong: list[float]
    """For each kind of prompt the share of wrong answers."""
    mean: float
    """Of the form's signal (`signal_of`), in nats."""
    deviation: float
    slope: float
    """The weight of the standardised signal in the log odds of "wrong"."""


class LocalScore(msgspec.Struct, frozen=True):
    """The fitted score of one model."""

    wrong: float
    """The share of wrong answers over all kinds and forms."""
    forms: dict[AnswerForm, FormScore]
    competence: float
    """The weight of the kind's share of wrong answers."""
    bias: float

    def probability(self, kinds: Sequence[float], form: AnswerForm, signals: Signals) -> float | None:
        """Return the probability that the answer is wrong; None if a signal is missing.

        `kinds` has the prompt's share in each kind; their largest says how far the kinds count at all.
        """
        value, fitted = signals[signal_of(form)], self.forms[form]
        if value is None:
            return None
        expected = expected_logit(kinds, fitted.wrong, self.wrong)
        deviations = max(-CLIP, min(CLIP, (value - fitted.mean) / fitted.deviation))
        return logistic(self.competence * expected + fitted.slope * deviations + self.bias)


def expected_logit(kinds: Sequence[float], wrong_by_kind: Sequence[float], wrong: float) -> float:
    """Return the logit of "wrong" by the prompt's kinds alone.

    A prompt that is like no kind has the overall share of wrong answers.
    """
    by_kind = sum(share * rate for share, rate in zip(kinds, wrong_by_kind, strict=True))
    likeness = max(kinds) ** 2
    return likeness * logit(by_kind) + (1 - likeness) * logit(wrong)


def shifted(wrong: float, shifts: Sequence[float], agreement: float) -> float:
    """Return the probability of "wrong" by the share of samples that agree; `shifts` has one entry for each number."""
    return logistic(logit(wrong) + shifts[round(agreement * (len(shifts) - 1))])


def logit(share: float) -> float:
    """Return the log odds of `share`, which is kept away from 0 and 1."""
    share = max(_LEAST, min(_MOST, share))
    return math.log(share / (1 - share))


def logistic(value: float) -> float:
    """Return the share whose log odds are `value`."""
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, value))))
