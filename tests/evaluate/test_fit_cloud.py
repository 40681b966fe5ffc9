"""The cloud's score: the words that tell its outcome, a solution that is the right one, and rows it has not seen."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from hybrid_cli.evaluate import fit_cloud as module
from hybrid_cli.evaluate.fit_cloud import CloudOutcome, fit_cloud
from hybrid_cli.evaluate.fit_local import LeftOut
from hybrid_cli.evaluate.questions import LabelledQuestion
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.evaluate.unseen import unseen_scores
from hybrid_cli.gate.cloud_score import BUCKETS, CloudScore, handoff_gain, words_of
from hybrid_cli.gate.word_hash import excerpt, hashed_words
from hybrid_cli.prompt import Question
from made_rows import made_row

WORDS = ["red", "blue", "green", "old", "new", "fast", "slow", "house", "river", "stone", "bread", "paper"]

BOTH: tuple[LeftOut, ...] = ("key", "group")


def drawn_text(generator: np.random.Generator, *planted: str) -> str:
    return " ".join([*generator.choice(WORDS, 6), *planted])


def outcome(key: str, text: str, *, right: bool, subject: str = "a") -> CloudOutcome:
    return CloudOutcome.of(LabelledQuestion(text, "x", "text", subject=subject), key, right=right)


def planted_outcomes(count: int = 300) -> list[CloudOutcome]:
    """Outcomes of a cloud that is wrong 8 times in 10 where `tax` occurs, else once in 10."""
    generator = np.random.default_rng(1)
    found = []
    for number in range(count):
        hard = number % 3 == 0
        text = drawn_text(generator, *(["tax"] if hard else []))
        found.append(outcome(str(number), text, right=bool(generator.random() < (0.2 if hard else 0.9))))
    return found


def dense_ridge(outcomes: list[CloudOutcome]) -> tuple[np.ndarray, float]:
    """Return the weights and the bias by numpy's solver, on every bucket that occurs."""
    design = np.zeros((len(outcomes), BUCKETS))
    for row, one in zip(design, outcomes, strict=True):
        row[one.words] = 1 / np.sqrt(max(len(one.words), 1))
    right = np.array([one.right for one in outcomes], dtype=float)
    used = np.flatnonzero(design.any(axis=0))
    part = design[:, used]
    weights = np.zeros(BUCKETS)
    weights[used] = np.linalg.solve(
        part.T @ part + module._RIDGE * np.eye(len(used)), part.T @ (right - right.mean())
    )
    return weights, float(right.mean())


def unpacked(score: CloudScore) -> np.ndarray:
    return np.frombuffer(score.words, dtype=np.int8) * score.scale


def test_a_planted_word_is_found() -> None:
    score = fit_cloud(planted_outcomes())
    generator = np.random.default_rng(2)
    texts = [drawn_text(generator) for _ in range(50)]
    without = [score.probability(Question(text, "")) for text in texts]
    with_word = [score.probability(Question(f"{text} tax", "")) for text in texts]
    assert max(with_word) < min(score.bias, *without)
    assert np.mean(with_word) < np.mean(without) - 0.25
    in_context = [score.probability(Question(text, "tax")) for text in texts]
    assert np.mean(in_context) == pytest.approx(np.mean(with_word))


@pytest.mark.parametrize("empty", [0, 60], ids=["words everywhere", "prompts without a word"])
def test_the_fit_equals_a_dense_solution(empty: int) -> None:
    outcomes = planted_outcomes(200)
    outcomes += [outcome(f"empty{number}", "  ", right=False) for number in range(empty)]
    assert sum(not one.words for one in outcomes) == empty
    score, (weights, bias) = fit_cloud(outcomes), dense_ridge(outcomes)
    assert score.bias == pytest.approx(bias)
    assert unpacked(score) == pytest.approx(weights, abs=0.6 * score.scale + 1e-5)  # a byte each
    for one in outcomes:
        exact = bias + weights[one.words].sum() / np.sqrt(max(len(one.words), 1))
        assert score.value(one.words) == pytest.approx(min(max(exact, 0.01), 0.99), abs=0.02)


@pytest.mark.parametrize("right", [True, False])
def test_a_cloud_that_is_always_right_or_wrong(right: bool) -> None:
    score = fit_cloud([outcome(str(number), f"{WORDS[number]} tax", right=right) for number in range(10)])
    assert score.probability(Question("tax", "")) == (0.99 if right else 0.01)
    assert score.probability(Question("", "")) == (0.99 if right else 0.01)


def test_a_score_is_the_same_after_it_was_stored() -> None:
    score = fit_cloud(planted_outcomes())
    assert msgspec.json.decode(msgspec.json.encode(score), type=CloudScore) == score
    assert len(score.words) == BUCKETS


def test_words_are_few_and_the_same_everywhere() -> None:
    assert hashed_words("The tax, the TAX!", 1 << 14) == sorted(
        set(hashed_words("the tax, the tax!", 1 << 14))
    )
    assert hashed_words("12 cats", 4096) == hashed_words("97 CATS", 4096) != hashed_words("123 cats", 4096)
    assert hashed_words("", 4096) == []
    assert hashed_words("tax", 1 << 14) == [0x8E81BA76 % (1 << 14)]  # its CRC-32
    long = "a " * 100_000
    assert len(excerpt(long)) < 10_000
    assert words_of(Question(f"begin {long} end", "")) == words_of(Question(f"begin {long}{long} end", ""))


def test_the_gain_of_a_handoff() -> None:
    assert handoff_gain(1.0, 1.0) == 1.0  # only the cloud is right
    assert handoff_gain(0.0, 0.0) == 0.0  # only the local model is right
    assert handoff_gain(0.0, 1.0) == handoff_gain(1.0, 0.0) == pytest.approx(1 / 3)  # they are equally good
    shares = np.linspace(0, 1, 21)
    for one in shares:
        assert (np.diff([handoff_gain(float(share), float(one)) for share in shares]) >= -1e-9).all()
        assert (np.diff([handoff_gain(float(one), float(share)) for share in shares]) >= -1e-9).all()


def recorded(subjects: str, each: int) -> tuple[list[Row], list[CloudOutcome]]:
    """Return rows and outcomes of subjects, each with a word of its own. The cloud is wrong in the last subject only."""
    generator = np.random.default_rng(3)
    rows, outcomes = [], []
    for subject in subjects:
        for number in range(each):
            key, right = f"{subject}{number}", subject != subjects[-1]
            rows.append(
                made_row(
                    key, wrong=bool(number % 2), group=subject, mean=-0.5 - number / 100, cloud_right=right
                )
            )
            text = drawn_text(generator, f"word{subject}")
            outcomes.append(outcome(key, text, right=right, subject=subject))
    return rows, outcomes


def test_without_outcomes_there_is_no_gain() -> None:
    rows, _ = recorded("abc", 20)
    wrong, gain = unseen_scores(rows, [])
    assert gain is None
    assert np.isfinite(wrong).all()


def test_a_subjects_own_word_is_unseen_with_its_subject() -> None:
    rows, outcomes = recorded("abcdefgh", 20)
    last = np.array([row.group == "h" for row in rows])
    by_question, by_subject = (unseen_scores(rows, outcomes, by)[1] for by in BOTH)
    assert by_question is not None
    assert by_subject is not None
    assert (
        by_question[last].mean() < by_question[~last].mean() - 0.05
    )  # other questions of it tell of the cloud
    assert by_subject[last].mean() > by_subject[~last].mean() - 0.05  # nothing does


@pytest.mark.parametrize("by", BOTH)
def test_the_own_outcomes_change_no_unseen_gain(by: LeftOut) -> None:
    rows, outcomes = recorded("abcde", 16)
    own = np.array([row.group == "b" if by == "group" else row.key == "b3" for row in rows])
    keys = {row.key for row, mine in zip(rows, own, strict=True) if mine}
    flipped = [
        CloudOutcome(one.key, one.group, one.task, one.words, not one.right) if one.key in keys else one
        for one in outcomes
    ]
    found, again = (unseen_scores(rows, part, by)[1] for part in (outcomes, flipped))
    assert found is not None
    assert again is not None
    assert (found[own] == again[own]).all()
    assert (found[~own] != again[~own]).sum() > 20


def test_outcomes_of_other_questions_are_used() -> None:
    """The word occurs with a wrong answer of the cloud only in questions that the local model never answered."""
    generator = np.random.default_rng(4)
    rows = [made_row(str(number), wrong=number % 2 == 0, cloud_right=True) for number in range(40)]
    texts = [drawn_text(generator, *(["tax"] if number < 20 else [])) for number in range(40)]
    asked = [outcome(row.key, text, right=True) for row, text in zip(rows, texts, strict=True)]
    beyond = [
        outcome(f"more{number}", f"tax {texts[20 + number % 20]}", right=False) for number in range(100)
    ]
    beyond += [outcome(f"other{number}", texts[20 + number % 20], right=True) for number in range(100)]
    (_, alone), (_, found) = unseen_scores(rows, asked), unseen_scores(rows, asked + beyond)
    assert alone is not None
    assert found is not None
    assert alone[:20].mean() == pytest.approx(alone[20:].mean(), abs=0.01)
    assert found[:20].mean() < found[20:].mean() - 0.1


def test_an_answer_that_is_never_kept_has_no_gain_to_weigh() -> None:
    rows, outcomes = recorded("abc", 20)
    rows[5] = msgspec.structs.replace(rows[5], finish_reason="length")
    wrong, gain = unseen_scores(rows, outcomes)
    assert gain is not None
    assert np.isinf([wrong[5], gain[5]]).all()
    assert np.isfinite(np.delete(gain, 5)).all()


def test_one_subject_alone_still_gets_scores() -> None:
    """There is nothing to fit on then, so each score is as if nothing were known."""
    rows, outcomes = recorded("a", 30)
    wrong, gain = unseen_scores(rows, outcomes, "group")
    assert gain is not None
    assert np.isfinite(wrong).all()
    assert ((wrong >= 0) & (wrong <= 1)).all()
    assert np.isfinite(gain).all()
