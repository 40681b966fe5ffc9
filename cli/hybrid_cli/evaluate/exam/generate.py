"""The exam: seeded questions over all kinds and forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from hybrid_cli.evaluate.exam import (
    arithmetic,
    classification,
    code,
    dates,
    extraction,
    facts,
    idioms,
    instructions,
    logic,
    patterns,
    reading,
    reasoning,
    rewriting,
)
from hybrid_cli.evaluate.exam.forms import Item, Maker, question
from hybrid_cli.evaluate.exam.question import ExamQuestion

_VALUE = ("bare", "word", "schema", "choices", "letter")
_ABOUT = ("bare", "context", "word", "schema", "choices", "letter")
_YES_NO = ("bare", "word", "schema", "choices")
_LIMIT = 200
"""Draws that may repeat an earlier question before the exam repeats one."""


@dataclass(frozen=True)
class Kind:
    """One skill: the functions that make its tasks, each with the forms that suit it."""

    name: str
    makers: tuple[tuple[Maker, tuple[str, ...]], ...]


def _each(forms: tuple[str, ...], *makers: Maker) -> tuple[tuple[Maker, tuple[str, ...]], ...]:
    return tuple((maker, forms) for maker in makers)


_TEXT = ("bare", "context")
KINDS = (
    Kind(
        "facts",
        (
            *_each(
                _VALUE,
                facts.capital,
                facts.symbol,
                facts.place,
                facts.standard,
                facts.year,
                facts.author,
                facts.animal,
                facts.word,
                facts.translation,
                facts.term,
                facts.term,
            ),
            *_each(("letter", "letter", "choices"), facts.meaning, facts.meaning),
            *_each(_YES_NO, facts.is_true),
        ),
    ),
    Kind(
        "arithmetic",
        (
            *_each(
                _VALUE, arithmetic.expression, arithmetic.expression, arithmetic.percentage, arithmetic.powers
            ),
            *_each(_ABOUT, arithmetic.extreme),
        ),
    ),
    Kind(
        "word problems",
        _each(
            ("bare", "bare", *_VALUE),
            arithmetic.take_away,
            arithmetic.take_away,
            arithmetic.shop,
            arithmetic.rates,
            arithmetic.fractions_left,
            arithmetic.ages,
        ),
    ),
    Kind(
        "dates and units",
        (
            *_each(
                _VALUE,
                dates.later,
                dates.between,
                dates.weekday,
                dates.clock,
                dates.zone,
                dates.unit,
                dates.unit,
                dates.temperature,
            ),
            *_each(_YES_NO, dates.calendar),
            *_each(_ABOUT, dates.timestamp),
        ),
    ),
    Kind(
        "logic",
        (
            *_each(
                _VALUE,
                logic.order,
                logic.truth,
                logic.counting,
                logic.letters,
                logic.series,
                logic.odd_one,
                logic.seats,
            ),
            *_each(_YES_NO, logic.syllogism, logic.larger),
        ),
    ),
    Kind(
        "reasoning",
        (
            *_each(
                ("letter", "letter", "word", "choices", "bare"),
                reasoning.swaps,
                reasoning.rank,
                reasoning.row_of_things,
                reasoning.free_hours,
                reasoning.reference,
                reasoning.conditions,
            ),
            *_each(
                ("word", "word", "bare", "choices", "schema"),
                reasoning.walk,
                reasoning.liars,
                reasoning.argument,
            ),
            *_each(("bare", "word", "letter"), reasoning.many_things),
        ),
    ),
    Kind(
        "reading",
        _each(_ABOUT, reading.company, reading.trip, reading.incident, reading.notice, reading.table),
    ),
    Kind(
        "extraction",
        _each(
            ("bare", "context", "schema", "schema", "word"),
            extraction.person,
            extraction.log_line,
            extraction.order,
            extraction.event,
            extraction.names,
            extraction.nested,
        ),
    ),
    Kind(
        "classification",
        (
            *_each(
                _ABOUT,
                classification.sentiment,
                classification.ticket,
                classification.topic,
                classification.severity,
                classification.intent,
                classification.language,
            ),
            *_each(("bare", "context", "word", "schema", "choices"), classification.spam),
            *_each(_TEXT, classification.each_line),
            *_each(_ABOUT, classification.how_many),
        ),
    ),
    Kind(
        "rewriting",
        (
            *_each(_TEXT, rewriting.sort_words, rewriting.sort_numbers, rewriting.pick_lines),
            *_each(("bare", "word"), rewriting.case, rewriting.tense),
            *_each(_VALUE, rewriting.spell),
            *_each(("bare", "context", "word"), rewriting.convert),
        ),
    ),
    Kind(
        "patterns",
        (
            *_each(("bare", "word", "word", "letter"), patterns.write, patterns.write),
            *_each(_YES_NO, patterns.does_match),
            *_each(_ABOUT, patterns.which_matches),
            *_each(_VALUE, patterns.first_found),
        ),
    ),
    Kind(
        "shell and queries",
        (
            *_each(_VALUE, idioms.option, idioms.command, idioms.fields),
            *_each(_ABOUT, idioms.pipeline, idioms.jq, idioms.sql_result),
            *_each(("bare", "word"), idioms.sql, idioms.sql),
        ),
    ),
    Kind(
        "code",
        (
            *_each(
                _ABOUT, code.loop, code.strings, code.lists, code.functions, code.other_language, code.errors
            ),
            *_each(_VALUE, code.complexity),
        ),
    ),
    Kind(
        "instructions",
        _each(
            ("bare",),
            instructions.word_count,
            instructions.sentence_count,
            instructions.letter_case,
            instructions.bullets,
            instructions.must_contain,
            instructions.begin_end,
            instructions.repeat,
            instructions.address,
        ),
    ),
)


def questions(count: int = 300, seed: int = 0, kinds: Sequence[Kind] = KINDS) -> list[ExamQuestion]:
    """Return `count` questions, the `kinds` in turn; equal arguments return equal questions."""
    draw = Random(f"exam {seed}")  # noqa: S311  an exam needs no secret
    made: list[ExamQuestion] = []
    seen: set[tuple[str, str]] = set()
    order: list[Kind] = []
    for number in range(count):
        if not order:
            order = draw.sample(kinds, len(kinds))
        made.append(_unseen(number, order.pop(), seen, draw))
    return made


def _unseen(number: int, kind: Kind, seen: set[tuple[str, str]], draw: Random) -> ExamQuestion:
    """Return a question of `kind` that is not in `seen` yet, as far as draws can find one."""
    made = _one(number, kind, draw)
    for _ in range(_LIMIT):
        if (made.prompt, made.context) not in seen:
            break
        made = _one(number, kind, draw)
    seen.add((made.prompt, made.context))
    return made


def _one(number: int, kind: Kind, draw: Random) -> ExamQuestion:
    maker, forms = draw.choice(kind.makers)
    item = maker(draw)
    return question(number, kind.name, draw.choice(_suitable(item, forms)), item, draw)


def _suitable(item: Item, forms: tuple[str, ...]) -> list[str]:
    """Return the forms that `item` can take: choices and letters need wrong answers, context needs a text."""
    found = list(forms)
    if not item.context:
        found = [form for form in found if form != "context"]
    if isinstance(item.answer, bool):
        found = [form for form in found if form != "letter"]
    elif not item.wrong:
        found = [form for form in found if form not in ("choices", "letter")]
    return found
