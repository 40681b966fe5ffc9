"""Logic: order, sets, truth, counting and series."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from hybrid_cli.evaluate.exam import tables
from hybrid_cli.evaluate.exam.arithmetic import numeric
from hybrid_cli.evaluate.exam.forms import Item


def order(draw: Random) -> Item:
    """Ask who is first, last or in the middle by given comparisons."""
    names = draw.sample(tables.FIRST_NAMES, draw.choice((3, 3, 4, 5)))
    more, most, least = draw.choice(
        (
            ("taller", "tallest", "shortest"),
            ("older", "oldest", "youngest"),
            ("faster", "fastest", "slowest"),
            ("richer", "richest", "poorest"),
        )
    )
    facts = [f"{one} is {more} than {other}." for one, other in pairwise(names)]
    draw.shuffle(facts)
    last, answer = draw.choice(((most, names[0]), (least, names[-1])))
    return Item(
        f"{' '.join(facts)} Who is the {last}?", answer, wrong=tuple(one for one in names if one != answer)
    )


def syllogism(draw: Random) -> Item:
    """Ask whether a conclusion follows from two statements about made-up things."""
    a, b, c = draw.sample(("bloops", "razzies", "lazzies", "wumps", "florks", "dakes", "mips", "tovs"), 3)
    text, follows = draw.choice(
        (
            (f"All {a} are {b}. All {b} are {c}. Are all {a} {c}?", True),
            (f"All {a} are {b}. All {c} are {b}. Does it follow that all {a} are {c}?", False),
            (f"No {a} are {b}. All {c} are {a}. Does it follow that no {c} are {b}?", True),
            (f"Some {a} are {b}. Some {b} are {c}. Does it follow that some {a} are {c}?", False),
            (f"If it is a {a[:-1]}, it is {b[:-1]}ish. It is not {b[:-1]}ish. Can it be a {a[:-1]}?", False),
        )
    )
    return Item(text, follows)


def truth(draw: Random) -> Item:
    """Ask for the value of a boolean expression."""
    parts = draw.sample(("True", "False", "True", "False"), 3)
    text = draw.choice(
        ("{} and {} or {}", "not {} or {} and {}", "({} or {}) and not {}", "not ({} and {}) or {}")
    )
    text = text.format(*parts)
    return Item(
        f"What does the Python expression `{text}` evaluate to?",
        str(_value(text)),
        wrong=(str(not _value(text)),),
    )


def _value(text: str) -> bool:
    """Evaluate a boolean expression of Python's words, by precedence not, and, or."""
    while "(" in text:
        start = text.rindex("(")
        end = text.index(")", start)
        text = f"{text[:start]}{_value(text[start + 1 : end])}{text[end + 1 :]}"
    return any(all(_literal(part) for part in term.split(" and ")) for term in text.split(" or "))


def _literal(part: str) -> bool:
    words = part.split()
    return (words[-1] == "True") != (words.count("not") % 2 == 1)


def counting(draw: Random) -> Item:
    """Ask how many of the listed things are of one kind."""
    fruit = draw.sample(tables.FRUIT, draw.randint(2, 3))
    tools = draw.sample(("hammers", "saws", "drills", "wrenches", "axes"), draw.randint(2, 3))
    counts = {name: draw.randint(1, 6) for name in [*fruit, *tools]}
    listed = list(counts)
    draw.shuffle(listed)
    text = ", ".join(f"{counts[name]} {name}" for name in listed)
    kind, names = draw.choice((("pieces of fruit", fruit), ("tools", tools)))
    return numeric(
        f"I have {text}. How many {kind} do I have?",
        sum(counts[name] for name in names),
        (sum(counts.values()), len(names)),
    )


def letters(draw: Random) -> Item:
    """Ask for letters in a word."""
    word = draw.choice(tables.WORDS)
    letter = draw.choice(word)
    ask, value = draw.choice(
        (
            (f'How many times does the letter {letter} occur in "{word}"?', word.count(letter)),
            (f'How many letters does the word "{word}" have?', len(word)),
        )
    )
    return numeric(ask, value)


def series(draw: Random) -> Item:
    """Ask for the next number of a series."""
    start, step = draw.randint(1, 12), draw.randint(2, 9)
    values, after = draw.choice(
        (
            ([start + step * place for place in range(5)], start + step * 5),
            ([start * 2**place for place in range(5)], start * 32),
            ([(start + place) ** 2 for place in range(5)], (start + 5) ** 2),
            ([start + place * (place + 1) // 2 for place in range(5)], start + 15),
            ([100 - step * place for place in range(5)], 100 - step * 5),
        )
    )
    return numeric(f"What number comes next: {', '.join(map(str, values))}, ?", after, (values[-1] + 1,))


def odd_one(draw: Random) -> Item:
    """Ask which word does not belong to the others."""
    groups = (
        tables.FRUIT,
        tuple(tables.SYMBOLS),
        tuple(tables.ANIMALS),
        tuple(tables.CURRENCIES),
        tables.FIRST_NAMES,
    )
    main, other = draw.sample(groups, 2)
    words, odd = draw.sample(main, 3), draw.choice([one for one in other if one not in main])
    listed = [*words, odd]
    draw.shuffle(listed)
    return Item(
        f"Which of these does not belong with the others: {', '.join(listed)}?", odd, wrong=tuple(words)
    )


def seats(draw: Random) -> Item:
    """Ask who holds a thing after some swaps."""
    names = draw.sample(tables.FIRST_NAMES, 3)
    balls = dict(zip(names, draw.sample(("red", "blue", "green", "white", "black"), 3), strict=True))
    story = [f"{name} has the {colour} ball." for name, colour in balls.items()]
    for _ in range(draw.randint(1, 3)):
        one, other = draw.sample(names, 2)
        balls[one], balls[other] = balls[other], balls[one]
        story.append(f"Then {one} and {other} swap balls.")
    asked = draw.choice(names)
    wrong = tuple(colour for name, colour in balls.items() if name != asked)
    return Item(f"{' '.join(story)} Which colour is {asked}'s ball now?", balls[asked], wrong=wrong)


def larger(draw: Random) -> Item:
    """Ask for the larger of two numbers, or whether a number is prime or divisible."""
    a, b = draw.randint(1, 9), draw.randint(1, 9) * 10 + draw.randint(1, 9)
    one, other = f"{a}.{b}", f"{a}.{draw.randint(2, 9)}"
    number, divisor = draw.randint(20, 200), draw.choice((3, 4, 6, 7, 9))
    prime = all(number % part for part in range(2, number))
    return draw.choice(
        (
            Item(
                f"Which number is larger, {one} or {other}?",
                max(one, other, key=float),
                wrong=(min(one, other, key=float),),
            ),
            Item(f"Is {number} a prime number?", prime),
            Item(f"Is {number} divisible by {divisor}?", number % divisor == 0),
        )
    )
