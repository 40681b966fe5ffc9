"""Scores of rows by fits that did not see them: the local model's, and the expected gain of a handoff."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid_cli.evaluate.fit_cloud import CloudOutcome, fit_cloud
from hybrid_cli.evaluate.fit_local import LeftOut, unseen_local_scores
from hybrid_cli.evaluate.fit_samples import unseen_sampled_scores
from hybrid_cli.evaluate.metrics import Numbers
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.gate.cloud_score import handoff_gain

_PARTS = 5


def unseen_scores(
    measured: Sequence[Row], outcomes: Sequence[CloudOutcome], by: LeftOut = "key", *, sampled: bool = False
) -> tuple[Numbers, Numbers | None]:
    """Return each row's probability of "wrong" and its expected gain; the gain is None without `outcomes`.

    With `sampled`, the agreement of samples counts, for rows that have it.
    """
    wrong = unseen_local_scores(measured, by)
    if sampled:
        wrong = unseen_sampled_scores(measured, wrong, by)
    if not outcomes:
        return wrong, None
    cloud = _unseen_cloud(measured, outcomes, by)
    pairs = zip(wrong, cloud, strict=True)
    return wrong, np.array([np.inf if np.isinf(w) else handoff_gain(float(w), float(c)) for w, c in pairs])


def _unseen_cloud(measured: Sequence[Row], outcomes: Sequence[CloudOutcome], by: LeftOut) -> Numbers:
    """Return for each row the probability that the cloud is right, by a fit without the row and its like."""
    names = np.array(sorted({getattr(outcome, by) for outcome in outcomes}))
    part_of = dict(
        zip(np.random.default_rng(0).permutation(names).tolist(), np.arange(len(names)) % _PARTS, strict=True)
    )
    words = {outcome.key: outcome.words for outcome in outcomes}
    found = np.zeros(len(measured))
    for part in range(_PARTS):
        rest = [outcome for outcome in outcomes if part_of[getattr(outcome, by)] != part]
        places = [place for place, row in enumerate(measured) if part_of[getattr(row, by)] == part]
        if places and rest:
            score = fit_cloud(rest)
            found[places] = [score.value(words[measured[place].key]) for place in places]
    return found
