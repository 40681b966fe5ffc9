"""The local score: what it learns from answered questions, and what it must not learn from a row itself."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_cli.evaluate import fit_local as module
from hybrid_cli.evaluate import metrics
from hybrid_cli.evaluate.fit_local import fit_local, local_scores, parts, unseen_local_scores
from hybrid_cli.evaluate.rows import Row, right
from hybrid_cli.gate.features import answer_signals
from hybrid_cli.gate.local_score import (
    CLIP,
    FORMS,
    AnswerForm,
    LocalScore,
    answer_form,
    expected_logit,
    logistic,
    logit,
)
from made_rows import FIRST, KINDS, MEANS, WRONG_BY_KIND, made_row, made_rows, one_kind

SHARES = st.floats(0.001, 0.999)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return made_rows(np.random.default_rng(3), 1500)


@pytest.fixture(scope="module")
def score(rows: list[Row]) -> LocalScore:
    return fit_local(rows)


def chance(score: LocalScore, kinds: list[float], form: AnswerForm, mean: float) -> float:
    found = score.probability(kinds, form, answer_signals([mean] * 10, 10, FIRST))
    assert found is not None
    return found


@pytest.mark.parametrize("form", FORMS)
def test_the_score_falls_with_the_log_probability_within_a_form(score: LocalScore, form: AnswerForm) -> None:
    fitted = score.forms[form]
    within = fitted.mean + fitted.deviation * np.linspace(-CLIP, CLIP, 9)
    if form == "long":  # its signal is the sum of the ten tokens of `chance`
        within /= 10
    found = [chance(score, one_kind(6), form, float(mean)) for mean in within]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1] + 0.3
    beyond = [chance(score, one_kind(6), form, within[0] - 9), chance(score, one_kind(6), form, 9.0)]
    assert beyond == pytest.approx([found[0], found[-1]])  # an outlier is no more than the clipped value


def test_a_form_is_not_blamed_for_its_log_probability() -> None:
    """All forms are equally often wrong here, but their mean log-probabilities are far apart.

    A form's own mean counts fully only with many rows: it is shrunk by a hundred.
    """
    rows = made_rows(np.random.default_rng(12), 6000)
    score = fit_local(rows)
    by_form = [
        np.mean([chance(score, one_kind(kind), form, MEANS[form] - 0.15) for kind in range(KINDS)])
        for form in FORMS  # halfway between right and wrong
    ]
    assert max(by_form) - min(by_form) < 0.15
    alike = [msgspec.structs.replace(row, kinds=one_kind(6)) for row in rows]
    raw = -np.array([row.signals["mean_logprob"] or 0.0 for row in rows])
    wrong = 1 - right(rows)
    assert metrics.auroc(local_scores(score, alike), wrong) > metrics.auroc(raw, wrong) + 0.05


def test_a_long_answer_is_judged_by_its_sum_and_a_short_one_by_its_mean() -> None:
    """The mean says nothing here; wrong answers have more tokens, as reasoning with a detour has."""
    generator = np.random.default_rng(8)
    found = []
    for number in range(800):
        form: AnswerForm = "long" if number % 2 else "middle"
        wrong = bool(generator.random() < 0.5)
        tokens = int(generator.integers(60, 120)) + 60 * wrong
        signals = answer_signals([float(generator.normal(-0.3, 0.02))] * tokens, 10, FIRST)
        found.append(made_row(str(number), wrong=wrong, form=form, signals=signals))
    score = unseen_local_scores(found)
    reached = {
        form: metrics.auroc(score[of_form], (1 - right(found))[of_form])
        for form in ("long", "middle")
        for of_form in [np.array([row.form == form for row in found])]
    }
    assert reached["long"] > 0.9
    assert 0.4 < reached["middle"] < 0.6


def test_the_kind_moves_the_score_at_the_same_log_probability(score: LocalScore) -> None:
    found = [chance(score, one_kind(kind), "short", MEANS["short"] - 0.15) for kind in range(KINDS)]
    assert found[0] < 0.3
    assert found[-1] > 0.7
    assert np.corrcoef(found, WRONG_BY_KIND)[0, 1] > 0.9


def test_a_form_that_a_kind_fails_in_moves_that_form_only() -> None:
    """One kind of prompt is always wrong in JSON and always right in short answers."""
    found = []
    for number in range(200):
        form: AnswerForm = "json" if number % 2 else "short"
        found.append(made_row(str(number), wrong=form == "json", form=form, kinds=one_kind(0)))
    found += made_rows(np.random.default_rng(1), 400)
    score = fit_local(found)
    assert chance(score, one_kind(0), "json", -0.5) > 0.8
    assert chance(score, one_kind(0), "short", -0.5) < 0.2


def test_a_prompt_like_no_kind_has_the_overall_share(score: LocalScore) -> None:
    even = [1 / KINDS] * KINDS
    rates = score.forms["short"].wrong
    assert logistic(expected_logit(even, rates, 0.4)) == pytest.approx(0.4, abs=0.01)
    assert logistic(expected_logit(even, [0.999] * KINDS, 0.4)) == pytest.approx(0.4, abs=0.02)


@given(
    st.lists(st.floats(0, 1), min_size=KINDS, max_size=KINDS),
    st.lists(SHARES, min_size=KINDS, max_size=KINDS),
    SHARES,
)
@settings(max_examples=100)
def test_the_expected_share_lies_between_the_kinds_and_all(
    weights: list[float], rates: list[float], overall: float
) -> None:
    total = sum(weights)
    kinds = [weight / total for weight in weights] if total else one_kind(0)
    by_kind = sum(share * rate for share, rate in zip(kinds, rates, strict=True))
    low, high = sorted((by_kind, overall))
    assert low - 1e-9 <= logistic(expected_logit(kinds, rates, overall)) <= high + 1e-9
    assert expected_logit(one_kind(2), rates, overall) == pytest.approx(logit(rates[2]))


@given(st.floats(allow_nan=False), st.floats(0, 1))
def test_log_odds_are_finite_and_return_the_share(value: float, share: float) -> None:
    assert 0 <= logistic(value) <= 1
    assert logistic(logit(share)) == pytest.approx(share, abs=2e-4)


@pytest.mark.parametrize(
    ("tokens", "form"),
    [(1, "token"), (2, "token"), (3, "short"), (12, "short"), (13, "middle"), (48, "middle"), (49, "long")],
)
def test_the_form_of_an_answer(tokens: int, form: AnswerForm) -> None:
    assert answer_form(tokens, has_schema=False, has_choices=False) == form
    assert answer_form(tokens, has_schema=True, has_choices=False) == "json"
    assert answer_form(tokens, has_schema=True, has_choices=True) == "choice"


def test_scores_are_calibrated_on_new_questions(score: LocalScore, rows: list[Row]) -> None:
    new = made_rows(np.random.default_rng(4), 3000)
    found, wrong = local_scores(score, new), 1 - right(new)
    assert local_scores(score, rows).mean() == pytest.approx((1 - right(rows)).mean(), abs=0.01)
    assert metrics.ece(found, wrong) < 0.05
    assert metrics.auroc(found, wrong) > 0.8


def test_answers_without_a_use_are_never_kept(score: LocalScore) -> None:
    whole = made_row("whole", wrong=False)
    useless = [
        msgspec.structs.replace(whole, signals=answer_signals([None, -0.1], 3, FIRST)),
        msgspec.structs.replace(whole, signals=answer_signals([], 3, None)),
        *(
            msgspec.structs.replace(whole, finish_reason=reason)
            for reason in ("length", "loop", "overflow", "")
        ),
        msgspec.structs.replace(whole, doubted=True),
    ]
    assert np.isfinite(local_scores(score, [whole]))[0]
    assert local_scores(score, useless).tolist() == [np.inf] * len(useless)
    fitted = made_rows(np.random.default_rng(5), 60)
    unseen = unseen_local_scores([*fitted, *useless[1:]])
    assert np.isfinite(unseen[:60]).all()
    assert np.isinf(unseen[60:]).all()


@pytest.mark.parametrize("wrong", [True, False])
def test_answers_that_are_all_alike_give_a_finite_score(wrong: bool) -> None:
    rows = [made_row(str(number), wrong=wrong, mean=-0.5) for number in range(100)]
    (found,) = set(local_scores(fit_local(rows), rows).tolist())
    assert found > 0.9 if wrong else found < 0.1


def test_the_shares_of_a_row_do_not_hold_its_own_answer() -> None:
    """As if the row were not there: the kinds' shares of all others, with the overall share as it is."""
    rows = made_rows(np.random.default_rng(6), 80)
    table = module._Table.of(rows)
    found = table.expected_without_own()
    for place, row in enumerate(rows):
        rest = module._Table.of(rows[:place] + rows[place + 1 :])
        rest.overall = table.overall
        assert found[place] == pytest.approx(
            expected_logit(row.kinds, rest.shares(row.form).tolist(), table.overall), abs=1e-9
        )
        flipped = msgspec.structs.replace(row, local_right=not row.local_right)
        other = module._Table.of([*rows[:place], flipped, *rows[place + 1 :]])
        other.overall = table.overall
        assert other.expected_without_own()[place] == pytest.approx(found[place], abs=1e-9)


def test_chance_teaches_no_competence() -> None:
    """With few answers of each kind and form, a share that held the row's own answer would look like knowledge."""
    even = [0.5] * KINDS
    found = [
        fit_local(made_rows(np.random.default_rng(seed), 150, wrong_by_kind=even, gap=0.0)).competence
        for seed in range(10)
    ]
    assert np.mean(found) < 0.2


@pytest.mark.parametrize("by", ["key", "group"])
def test_each_row_is_scored_once_and_by_others(by: str) -> None:
    rows = [row for task in "abcdefg" for row in made_rows(np.random.default_rng(8), 30, task)]
    scored = []
    for rest, left_out in parts(rows, by, 5, 0):
        seen = {getattr(rows[place], by) for place in rest}
        assert not seen & {getattr(rows[place], by) for place in left_out}
        scored += left_out
    assert sorted(scored) == list(range(len(rows)))


def test_the_own_label_changes_no_unseen_score() -> None:
    rows = made_rows(np.random.default_rng(9), 120)
    found = unseen_local_scores(rows)
    for place in (0, 31, 119):
        flipped = list(rows)
        flipped[place] = msgspec.structs.replace(rows[place], local_right=not rows[place].local_right)
        again = unseen_local_scores(flipped)
        assert again[place] == found[place]
        assert (again != found).sum() > 50  # the others' scores see it


def test_the_labels_of_a_group_change_none_of_its_unseen_scores() -> None:
    rows = [row for task in "abcd" for row in made_rows(np.random.default_rng(ord(task)), 40, task)]
    flipped = [
        msgspec.structs.replace(row, local_right=not row.local_right) if row.group == "b" else row
        for row in rows
    ]
    own = np.array([row.group == "b" for row in rows])
    found, again = (unseen_local_scores(part, "group") for part in (rows, flipped))
    assert (found[own] == again[own]).all()
    assert not (found[~own] == again[~own]).any()
    by_key = [unseen_local_scores(part, "key") for part in (rows, flipped)]
    assert not (by_key[0][own] == by_key[1][own]).any()  # single questions do see the rest of their group
