"""Sorting and rewriting of given text."""

from __future__ import annotations

import json
from random import Random

from hybrid_cli.evaluate.exam import tables
from hybrid_cli.evaluate.exam.forms import Item

_ONLY = (" Print only the result.", " Output the lines only.", "", " No explanation.")


def _lines(ask: str, given: list[str], wanted: list[str], draw: Random) -> Item:
    """Ask for lines made from given lines."""
    return Item(
        ask + draw.choice(_ONLY), "\n".join(wanted), context="\n".join(given), check={"lines": wanted}
    )


def sort_words(draw: Random) -> Item:
    """Ask for lines in alphabetical order, or in reverse."""
    words = draw.sample(tables.WORDS, draw.randint(3, 7))
    ask, wanted = draw.choice(
        (
            ("Sort these lines alphabetically.", sorted(words)),
            ("Sort these lines in reverse alphabetical order.", sorted(words, reverse=True)),
            ("Reverse the order of these lines.", words[::-1]),
            (
                "Sort these lines by length, shortest first; keep the order of lines of equal length.",
                sorted(words, key=len),
            ),
        )
    )
    return _lines(ask, words, wanted, draw)


def sort_numbers(draw: Random) -> Item:
    """Ask for numbers in order."""
    values = draw.sample(range(2, 300), draw.randint(3, 7))
    ask, wanted = draw.choice(
        (
            ("Sort these numbers from smallest to largest, one per line.", sorted(values)),
            ("Sort these numbers in descending order, one per line.", sorted(values, reverse=True)),
        )
    )
    return _lines(ask, list(map(str, values)), list(map(str, wanted)), draw)


def pick_lines(draw: Random) -> Item:
    """Ask for some of the lines."""
    words = draw.sample(tables.WORDS, 5)
    twice = [*words, *draw.sample(words, 2)]
    draw.shuffle(twice)
    letter = draw.choice("aeo")
    ask, wanted = draw.choice(
        (
            ("Remove duplicate lines, keeping the first of each.", list(dict.fromkeys(twice))),
            (
                f"Print only the lines that contain the letter {letter}.",
                [one for one in twice if letter in one],
            ),
            ("Print the first three lines.", twice[:3]),
            ("Print the last two lines.", twice[-2:]),
            (
                "Number these lines as in `1: first line`.",
                [f"{place}: {one}" for place, one in enumerate(twice, 1)],
            ),
        )
    )
    return _lines(ask, twice, wanted or ["none"], draw) if wanted else sort_words(draw)


def case(draw: Random) -> Item:
    """Ask for another case of letters or another style of a name."""
    words = draw.sample(tables.WORDS, draw.randint(2, 4))
    text = " ".join(words)
    ask, wanted = draw.choice(
        (
            (f"Convert to uppercase: {text}", text.upper()),
            (f"Convert to snake_case: {''.join(word.capitalize() for word in words)}", "_".join(words)),
            (
                f"Convert to camelCase: {'_'.join(words)}",
                words[0] + "".join(word.capitalize() for word in words[1:]),
            ),
            (f"Convert to kebab-case: {text}", "-".join(words)),
            (f"Write in title case: {text}", text.title()),
            (f"Convert to lowercase: {text.upper()}", text),
        )
    )
    wrong = tuple(
        one for one in (text.upper(), "_".join(words), "-".join(words), text.title(), text) if one != wanted
    )
    return Item(ask, wanted, check={"lines": [wanted]}, wrong=wrong, brief="Result only.")


def spell(draw: Random) -> Item:
    """Ask for a word backwards, an acronym, or a part of a text."""
    word, words = draw.choice(tables.WORDS), draw.sample(tables.WORDS, draw.randint(3, 4))
    ask, wanted = draw.choice(
        (
            (f"Write the word {word} backwards.", word[::-1]),
            (
                f"What are the first letters of these words, as one word: {' '.join(words)}?",
                "".join(one[0] for one in words),
            ),
            (f"What is the last word of this line: {' '.join(words)}", words[-1]),
            (f"What is the second word of this line: {' '.join(words)}", words[1]),
            (f"Replace every a by o in the word {word}.", word.replace("a", "o")),
        )
    )
    return Item(ask, wanted, wrong=tuple(one for one in (word, *words, wanted[::-1]) if one != wanted))


def convert(draw: Random) -> Item:
    """Ask for data in another notation."""
    names = draw.sample(tables.FIRST_NAMES, 3)
    ages = [draw.randint(18, 80) for _ in names]
    pairs = list(zip(names, ages, strict=True))
    listed = ", ".join(f"{name} is {age}" for name, age in pairs)
    ask, context, check, example = draw.choice(
        (
            (
                "Write this as CSV with the header name,age.",
                f"{listed}.",
                {"lines": ["name,age", *(f"{name},{age}" for name, age in pairs)]},
                "\n".join(["name,age", *(f"{name},{age}" for name, age in pairs)]),
            ),
            (
                "Convert this comma-separated line to one item per line.",
                ",".join(names),
                {"lines": names},
                "\n".join(names),
            ),
            (
                "Join these lines with commas, without spaces.",
                "\n".join(names),
                {"lines": [",".join(names)]},
                ",".join(names),
            ),
            ("Convert to a JSON array of strings.", "\n".join(names), {"json": names}, json.dumps(names)),
            (
                "Convert to a JSON object from name to age.",
                f"{listed}.",
                {"json": dict(pairs)},
                json.dumps(dict(pairs)),
            ),
        )
    )
    return Item(ask, example, context=context, check=check, brief="Output only the result.")


def tense(draw: Random) -> Item:
    """Ask for a sentence with one change of grammar."""
    verb, past = draw.choice([pair for pair in tables.PAST.items() if pair[0] not in ("go", "fly", "lead")])
    name, thing = draw.choice(tables.FIRST_NAMES), draw.choice(tables.WORDS)
    third = verb + ("es" if verb.endswith(("ch", "o")) else "s")
    ask, wanted = draw.choice(
        (
            (
                f"Put this sentence into the simple past: {name} {third} the {thing}.",
                f"{name} {past} the {thing}.",
            ),
            (
                f"Turn this into a question that begins with Did: {name} {past} the {thing}.",
                f"Did {name} {verb} the {thing}?",
            ),
            (f"Fix the spelling: Teh {thing} is on teh table.", f"The {thing} is on the table."),
            (f"Fix the grammar: The {thing}s is on the table.", f"The {thing}s are on the table."),
        )
    )
    return Item(ask, wanted, check={"lines": [wanted]}, brief="Only the corrected sentence.")
