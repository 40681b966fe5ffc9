"""Instructions whose fulfilment a rule can check."""

from __future__ import annotations

from random import Random

from hybrid_cli.evaluate.exam.forms import Item
from hybrid_cli.evaluate.exam.tables import CITIES, WORDS

_TOPICS = (
    "a rainy day",
    "a lost key",
    "the sea",
    "a night train",
    "an old bridge",
    "winter",
    "a busy market",
    "a quiet library",
    "a broken clock",
    "the first day at work",
)
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def word_count(draw: Random) -> Item:
    """Ask for a sentence of a given number of words."""
    count, topic = draw.randint(3, 9), draw.choice(_TOPICS)
    ask, check = draw.choice(
        (
            (f"Write one sentence about {topic} with exactly {count} words.", {"words_exactly": count}),
            (f"Describe {topic} in at most {count} words.", {"words_at_most": count}),
        )
    )
    return Item(ask, " ".join(WORDS[:count]), check=check)


def sentence_count(draw: Random) -> Item:
    """Ask for a number of sentences."""
    count, topic = draw.randint(1, 4), draw.choice(_TOPICS)
    ask = f"Write exactly {_NUMBERS[count - 1]} sentence{'s' if count > 1 else ''} about {topic}."
    return Item(ask, " ".join(["It was here."] * count), check={"sentences_exactly": count})


def letter_case(draw: Random) -> Item:
    """Ask for a text in one case."""
    topic, name = draw.choice(_TOPICS), draw.choice(("lowercase", "uppercase"))
    ask = draw.choice(
        (
            f"Write a short sentence about {topic}, all in {name} letters.",
            f"In {name} letters only, name three things that go with {topic}.",
        )
    )
    return Item(ask, "it rains" if name == "lowercase" else "IT RAINS", check={name: True})


def bullets(draw: Random) -> Item:
    """Ask for a list of a given length and form."""
    count, topic = draw.randint(2, 6), draw.choice(_TOPICS)
    mark = draw.choice(("- ", "* "))
    ask = (
        f'List exactly {count} things that go with {topic}, one per line, each line beginning with "{mark}".'
        " Write nothing else."
    )
    example = "\n".join(f"{mark}{word}" for word in WORDS[:count])
    return Item(ask, example, check={"lines_exactly": count, "each_line_starts": mark})


def must_contain(draw: Random) -> Item:
    """Ask for a sentence with given words, or without one."""
    one, other = draw.sample(WORDS, 2)
    ask, check, example = draw.choice(
        (
            (
                f"Write one sentence that contains the words {one} and {other}.",
                {"contains": [one, other], "sentences_exactly": 1},
                f"The {one} is near the {other}.",
            ),
            (
                f"Use the word {one} exactly twice in one sentence.",
                {"times": {one: 2}, "sentences_exactly": 1},
                f"A {one} is a {one}.",
            ),
            (
                f"Write one sentence about {draw.choice(_TOPICS)} without the letter z and without commas.",
                {"lacks": ["z", ","], "sentences_exactly": 1},
                "It was here.",
            ),
            (
                f"Write a sentence about the {one} that has no letter e in it.",
                {"lacks": ["e"] if "e" not in one else ["q"]},
                "It is a big sign.",
            ),
        )
    )
    return Item(ask, example, check=check)


def begin_end(draw: Random) -> Item:
    """Ask for a given beginning or end."""
    word, topic = draw.choice(WORDS).capitalize(), draw.choice(_TOPICS)
    ask, check, example = draw.choice(
        (
            (
                f'Write one sentence about {topic} that starts with the word "{word}".',
                {"starts_with": word},
                f"{word} it is.",
            ),
            (
                f'Write two sentences about {topic} and end with the exact words "That is all."',
                {"ends_with": "That is all."},
                "It was here. That is all.",
            ),
            (
                f"Answer in the form <<answer>>: name a thing that goes with {topic}.",
                {"starts_with": "<<", "ends_with": ">>"},
                "<<thing>>",
            ),
            (
                f"Put double quotes around your whole answer: describe {topic} in a few words.",
                {"starts_with": '"', "ends_with": '"'},
                '"It was here."',
            ),
        )
    )
    return Item(ask, example, check=check)


def repeat(draw: Random) -> Item:
    """Ask for a text to be repeated."""
    words, count = draw.sample(WORDS, 3), draw.randint(2, 5)
    text = " ".join(words)
    ask, lines = draw.choice(
        (
            (f"Repeat this line exactly {count} times, one per line: {text}", [text] * count),
            (f"Print these words one per line, in this order: {', '.join(words)}", words),
            (
                f"Print the numbers from {count} to {count + 4}, one per line.",
                [str(count + place) for place in range(5)],
            ),
            (f"Print exactly this and nothing else: {text}!", [f"{text}!"]),
            (
                f"Print the even numbers from 2 to {count * 4}, one per line, nothing else.",
                [str(number) for number in range(2, count * 4 + 1, 2)],
            ),
        )
    )
    return Item(ask, "\n".join(lines), check={"lines": lines})


def address(draw: Random) -> Item:
    """Ask for a short letter with fixed parts."""
    city, word = draw.choice(CITIES), draw.choice(WORDS)
    ask = f'Write a note of at most 40 words to a friend in {city} about a {word}. Begin with "Hi," and end with "Bye".'
    check = {"starts_with": "Hi,", "ends_with": "Bye", "words_at_most": 40, "contains": [word]}
    return Item(ask, f"Hi, the {word} is here. Bye", check=check)
