"""Questions about facts and words."""

from __future__ import annotations

from random import Random
from typing import TypeVar

from hybrid_cli.evaluate.exam import tables
from hybrid_cli.evaluate.exam.forms import Item
from hybrid_cli.evaluate.exam.terms import TERMS

Answer = TypeVar("Answer", str, int)


def _drawn(table: dict[str, Answer], draw: Random) -> tuple[str, Answer, tuple[str, ...]]:
    """Return a row of the table, and the other rows' answers as wrong ones."""
    name = draw.choice(list(table))
    answer = table[name]
    others = sorted({str(other) for other in table.values() if other != answer})
    return name, answer, tuple(draw.sample(others, min(6, len(others))))


def capital(draw: Random) -> Item:
    """Ask for a capital, or for the country of a capital."""
    country, city, wrong = _drawn(tables.CAPITALS, draw)
    if draw.random() < 0.3:
        others = tuple(draw.sample([one for one in tables.CAPITALS if one != country], 5))
        return Item(f"Which country has {city} as its capital?", country, wrong=others)
    ask = draw.choice(("What is the capital of {}?", "Capital of {}?", "Name the capital city of {}."))
    return Item(ask.format(country), city, wrong=wrong)


def symbol(draw: Random) -> Item:
    """Ask for a chemical symbol or an atomic number."""
    if draw.random() < 0.4:
        element, number, other_numbers = _drawn(tables.ATOMIC_NUMBERS, draw)
        return Item(f"What is the atomic number of {element}?", number, wrong=other_numbers)
    element, letters, wrong = _drawn(tables.SYMBOLS, draw)
    return Item(f"What is the chemical symbol for {element}?", letters, wrong=wrong)


def place(draw: Random) -> Item:
    """Ask for a country's currency or continent."""
    if draw.random() < 0.5:
        country, money, wrong = _drawn(tables.CURRENCIES, draw)
        return Item(f"What is the currency of {country} called?", money, wrong=wrong)
    country, continent, wrong = _drawn(tables.CONTINENTS, draw)
    return Item(f"On which continent is {country}?", continent, wrong=wrong)


def standard(draw: Random) -> Item:
    """Ask for a port or an HTTP status code."""
    if draw.random() < 0.5:
        name, port, wrong = _drawn(tables.PORTS, draw)
        return Item(f"What is the default port of {name}?", port, wrong=wrong)
    name, code, wrong = _drawn(tables.STATUS_CODES, draw)
    return Item(f'Which HTTP status code means "{name}"?', code, wrong=wrong)


def year(draw: Random) -> Item:
    """Ask for the year of an event."""
    event, number, wrong = _drawn(tables.YEARS, draw)
    ask = f"In which year did {event}?" if event.endswith("begin") else f"In which year was {event}?"
    return Item(ask, number, wrong=wrong)


def author(draw: Random) -> Item:
    """Ask for the author of a book."""
    book, name, wrong = _drawn(tables.AUTHORS, draw)
    return Item(f'Who wrote "{book}"? Give the last name.', name, wrong=wrong)


def animal(draw: Random) -> Item:
    """Ask for the class of an animal."""
    name, class_, wrong = _drawn(tables.ANIMALS, draw)
    return Item(
        f"What class of animals does the {name} belong to: mammal, bird, reptile, amphibian, fish or insect?",
        class_,
        also=(f"{class_}s",),
        wrong=wrong,
    )


def word(draw: Random) -> Item:
    """Ask for a plural, a past tense or an opposite."""
    table, ask = draw.choice(
        (
            (tables.PLURALS, 'What is the plural of "{}"?'),
            (tables.PAST, 'What is the simple past of the verb "{}"?'),
            (tables.OPPOSITES, 'Give the most common opposite of the word "{}".'),
        )
    )
    name, answer, wrong = _drawn(table, draw)
    return Item(ask.format(name), answer, wrong=wrong)


def translation(draw: Random) -> Item:
    """Ask for a word in another language."""
    language, table = draw.choice(
        (("German", tables.GERMAN), ("Spanish", tables.SPANISH), ("French", tables.FRENCH))
    )
    english, answer, wrong = _drawn(table, draw)
    ask = draw.choice(('What is "{}" in {}?', 'Translate the word "{}" into {}.'))
    return Item(ask.format(english, language), answer, wrong=wrong)


def term(draw: Random) -> Item:
    """Ask for the term of a definition."""
    field = draw.choice(list(TERMS))
    name = draw.choice(list(TERMS[field]))
    wrong = tuple(draw.sample([one for one in TERMS[field] if one != name], 4))
    ask = draw.choice(
        (
            "Which term means: {}?",
            "What do we call {}?",
            "In {field}, what is the name for {}?",
        )
    )
    return Item(ask.format(TERMS[field][name], field=field), name, wrong=wrong)


def meaning(draw: Random) -> Item:
    """Ask for the definition of a term, among definitions of its field."""
    field = draw.choice(list(TERMS))
    name = draw.choice(list(TERMS[field]))
    wrong = tuple(draw.sample([text for other, text in TERMS[field].items() if other != name], 4))
    ask = draw.choice(("Which of these describes {}?", "What does {} mean?", "In {field}, {} is"))
    return Item(ask.format(name, field=field), TERMS[field][name], wrong=wrong)


def is_true(draw: Random) -> Item:
    """Ask whether a statement about a fact is true."""
    name, answer, wrong = _drawn(tables.CAPITALS, draw)
    holds = draw.random() < 0.5
    return Item(f"Is {answer if holds else draw.choice(wrong)} the capital of {name}?", holds)
