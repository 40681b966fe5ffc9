"""The weight of samples that agree: what is learnt, and that a row never counts for itself."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from hybrid_cli.evaluate.fit_local import unseen_local_scores
from hybrid_cli.evaluate.fit_samples import COUNT, fit_shifts, unseen_sampled_scores
from hybrid_cli.evaluate.metrics import auroc
from hybrid_cli.evaluate.rows import Row, right
from made_rows import made_rows


def agreeing(row: Row, share: float) -> Row:
    return msgspec.structs.replace(row, signals={**row.signals, "agreement": share})


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Long answers, whose samples mostly agree if they are right; every third answer was not compared."""
    generator = np.random.default_rng(5)
    plain = made_rows(generator, 600, forms=["long"], gap=0.0)
    return [
        row
        if number % 3 == 0
        else agreeing(row, int(generator.binomial(COUNT, 0.8 if row.local_right else 0.3)) / COUNT)
        for number, row in enumerate(plain)
    ]


def test_each_sample_that_agrees_makes_a_wrong_answer_less_likely(rows: list[Row]) -> None:
    shifts = fit_shifts(rows, unseen_local_scores(rows, "key"))
    assert len(shifts) == COUNT + 1
    assert shifts == sorted(shifts, reverse=True)
    assert shifts[0] > 1 and shifts[-1] < -0.5


def test_agreement_ranks_answers_that_the_fit_did_not_see(rows: list[Row]) -> None:
    plain = unseen_local_scores(rows, "key")
    found = unseen_sampled_scores(rows, plain, "key")
    compared = np.array(["agreement" in row.signals for row in rows])
    wrong = 1 - right(rows)
    assert auroc(found[compared], wrong[compared]) > auroc(plain[compared], wrong[compared]) + 0.1
    assert (found[~compared] == plain[~compared]).all()  # where nothing was compared, nothing changes


def test_a_row_does_not_count_for_its_own_score(rows: list[Row]) -> None:
    plain = unseen_local_scores(rows, "key")
    turned = [*rows]
    turned[1] = msgspec.structs.replace(rows[1], local_right=not rows[1].local_right)
    before = unseen_sampled_scores(rows, plain, "key")
    after = unseen_sampled_scores(turned, plain, "key")
    assert after[1] == before[1]
    assert (after != before).any()


def test_agreement_that_tells_nothing_changes_nothing() -> None:
    generator = np.random.default_rng(6)
    rows = [
        agreeing(row, int(generator.integers(COUNT + 1)) / COUNT)
        for row in made_rows(generator, 900, forms=["long"])
    ]
    assert fit_shifts(rows, unseen_local_scores(rows, "key")) == pytest.approx([0.0] * 3, abs=0.35)


def test_rows_without_samples_say_nothing(rows: list[Row]) -> None:
    assert fit_shifts(rows[::3], unseen_local_scores(rows[::3], "key")) == []
