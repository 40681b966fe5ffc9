"""Reasoning over a longer text: walks, liars, swaps, rows, schedules, arguments, references and nested conditions."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from hybrid_cli.evaluate.exam import tables
from hybrid_cli.evaluate.exam.arithmetic import numeric
from hybrid_cli.evaluate.exam.forms import Item

_COLOURS = ("red", "blue", "green", "white", "black", "orange", "purple", "yellow")
_THINGS = ("cup", "pen", "key", "book", "candle", "ball", "plate", "scarf")
_INSTRUMENTS = ("flute", "drum", "violin", "trumpet", "harp", "piano")
_ANIMALS = ("goat", "duck", "horse", "rabbit", "frog", "donkey")


def walk(draw: Random) -> Item:
    """Ask whether a walk ends where it began."""
    steps = [
        (draw.choice(("forward", "backward", "left", "right")), draw.randint(1, 9))
        for _ in range(draw.randint(2, 4))
    ]
    back = {"forward": "backward", "backward": "forward", "left": "right", "right": "left"}
    if draw.random() < 0.5:
        steps += [(back[where], count) for where, count in steps]
        draw.shuffle(steps)
    sums = {where: sum(count for way, count in steps if way == where) for where in back}
    returns = sums["forward"] == sums["backward"] and sums["left"] == sums["right"]
    story = " ".join(f"Take {count} step{'s' * (count > 1)} {where}." for where, count in steps)
    return Item(f"You always face the same way. {story} Do you end where you began?", returns)


def liars(draw: Random) -> Item:
    """Ask whether the last of a chain of people tells the truth."""
    names = draw.sample(tables.FIRST_NAMES, draw.randint(3, 5))
    honest = draw.random() < 0.5
    story = [f"{names[0]} {'tells the truth' if honest else 'lies'}."]
    for before, name in pairwise(names):
        claims = draw.random() < 0.5
        story.append(f"{name} says that {before} {'tells the truth' if claims else 'lies'}.")
        honest = claims == honest
    return Item(f"{' '.join(story)} Does {names[-1]} tell the truth?", honest)


def swaps(draw: Random) -> Item:
    """Ask what somebody holds after several swaps."""
    names = draw.sample(tables.FIRST_NAMES, 3)
    held = dict(zip(names, draw.sample(_THINGS, 3), strict=True))
    begin = ", ".join(f"{name} has the {thing}" for name, thing in held.items())
    story = []
    for _ in range(3):
        one, other = draw.sample(names, 2)
        held[one], held[other] = held[other], held[one]
        story.append(f"{one} and {other} trade.")
    asked = draw.choice(names)
    wrong = tuple(thing for name, thing in held.items() if name != asked)
    return Item(
        f"At the start {begin}. {' '.join(story)} What does {asked} hold in the end?",
        held[asked],
        wrong=wrong,
    )


def rank(draw: Random) -> Item:
    """Ask for the thing at one place of a row, by statements about neighbours and ends."""
    things = draw.sample(_ANIMALS, 3)
    story = [f"The {things[0]} is left of the {things[1]}.", f"The {things[2]} is the rightmost."]
    if draw.random() < 0.5:
        story = [
            f"The {things[1]} is right of the {things[0]}.",
            f"The {things[2]} is right of the {things[1]}.",
        ]
    draw.shuffle(story)
    place, answer = draw.choice(
        (("leftmost", things[0]), ("second from the left", things[1]), ("rightmost", things[2]))
    )
    wrong = tuple(thing for thing in things if thing != answer)
    return Item(f"Three animals stand in a row. {' '.join(story)} Which is the {place}?", answer, wrong=wrong)


def row_of_things(draw: Random) -> Item:
    """Ask about coloured things in a row."""
    colours, things = draw.sample(_COLOURS, 4), draw.sample(_THINGS, 4)
    listed = ", ".join(f"a {colour} {thing}" for colour, thing in zip(colours, things, strict=True))
    place = draw.randint(1, 3)
    ask, answer = draw.choice(
        (
            (f"What colour is the thing directly to the right of the {things[place - 1]}?", colours[place]),
            (f"What colour is the thing directly to the left of the {things[place]}?", colours[place - 1]),
            ("What colour is the thing furthest from the left end?", colours[-1]),
        )
    )
    wrong = tuple(colour for colour in colours if colour != answer)
    return Item(f"On a shelf, from left to right, there are {listed}. {ask}", answer, wrong=wrong)


def many_things(draw: Random) -> Item:
    """Ask how many of the listed things are of one sort, each named one by one."""
    words = {1: "a", 2: "two", 3: "three", 4: "four"}
    counts = {name: draw.choice((1, 1, 1, 2, 3, 4)) for name in draw.sample(_INSTRUMENTS, 4)}
    others = {name: draw.choice((1, 1, 2)) for name in draw.sample(_ANIMALS, 3)}
    listed = [(name, count) for group in (counts, others) for name, count in group.items()]
    draw.shuffle(listed)
    story = ", ".join(f"{words[count]} {name}{'s' * (count > 1)}" for name, count in listed)
    sort, group = draw.choice((("musical instruments", counts), ("animals", others)))
    return numeric(
        f"I have {story}. How many {sort} do I have?", sum(group.values()), (len(group), len(listed))
    )


def free_hours(draw: Random) -> Item:
    """Ask when somebody could have been at a place, by what is known of the day."""
    name, place = draw.choice(tables.FIRST_NAMES), draw.choice(("library", "gym", "market", "museum"))
    begin = draw.randint(6, 9)
    hours = [begin]
    for _ in range(4):
        hours.append(hours[-1] + draw.randint(1, 3))
    doings = draw.sample(
        ("was in a meeting", "repaired a bicycle", "was on the train", "sat in a café", "gave a lesson"), 4
    )
    free = draw.randint(0, 3)
    story = " ".join(
        f"From {a} to {b} o'clock {name} {doing}."
        for number, ((a, b), doing) in enumerate(zip(pairwise(hours), doings, strict=True))
        if number != free
    )
    spans = [f"{a} to {b} o'clock" for a, b in pairwise(hours)]
    wrong = tuple(span for number, span in enumerate(spans) if number != free)
    ask = f"{name} was at the {place} once between {hours[0]} and {hours[-1]} o'clock. {story} When was {name} at the {place}?"
    return Item(ask, spans[free], wrong=wrong)


def argument(draw: Random) -> Item:
    """Ask whether a longer argument is valid."""
    a, b, c = draw.sample(("gardeners", "pilots", "singers", "teachers", "swimmers", "bakers"), 3)
    name = draw.choice(tables.FIRST_NAMES)
    text, valid = draw.choice(
        (
            (
                f"Every one of the {a} is also one of the {b}. {name} is not one of the {b}. So {name} is not one of the {a}.",
                True,
            ),
            (
                f"Every one of the {a} is also one of the {b}. {name} is not one of the {a}. So {name} is not one of the {b}.",
                False,
            ),
            (
                f"Whoever belongs to the {a} belongs to the {b} or to the {c}. {name} belongs to the {a} but not to the {c}. So {name} belongs to the {b}.",
                True,
            ),
            (
                f"Whoever belongs to the {a} belongs to the {b} or to the {c}. {name} belongs to the {b}. So {name} belongs to the {a}.",
                False,
            ),
            (
                f"None of the {a} is one of the {b}. Some of the {c} are {a}. So some of the {c} are not {b}.",
                True,
            ),
            (
                f"None of the {a} is one of the {b}. Some of the {c} are not {a}. So some of the {c} are {b}.",
                False,
            ),
        )
    )
    return Item(f'"{text}" Does the conclusion follow from the premises?', valid)


def reference(draw: Random) -> Item:
    """Ask whom a pronoun means."""
    one, other = draw.sample(("nurse", "lawyer", "farmer", "painter", "driver", "cook"), 2)
    text, answer = draw.choice(
        (
            (f"The {one} thanked the {other} because they had helped with the move.", other),
            (f"The {one} asked the {other} for advice because they did not know what to do.", one),
            (f"The {one} paid the {other} after they had sent the bill.", other),
            (f"The {one} apologised to the {other} because they had come too late.", one),
        )
    )
    wrong = (one if answer == other else other,)
    return Item(
        f'In "{text}", who is meant by "they"?', f"the {answer}", also=(answer,), wrong=(f"the {wrong[0]}",)
    )


def conditions(draw: Random) -> Item:
    """Ask for the value of a deeply nested boolean expression."""
    text = draw.choice(("True", "False"))
    for _ in range(draw.randint(3, 5)):
        other = draw.choice(("True", "False", "not True", "not False"))
        text = draw.choice(
            (f"not ({text})", f"({text} and {other})", f"({other} or {text})", f"({text} or {other})")
        )
    value = _value(text)
    return Item(f"{text} is", str(value), wrong=(str(not value),))


def _value(text: str) -> bool:
    """Evaluate an expression of True, False, not, and, or and brackets."""
    depth = 0
    for operator in (" or ", " and "):
        for place, sign in enumerate(text):
            depth += (sign == "(") - (sign == ")")
            if depth == 0 and text.startswith(operator, place):
                left, right = _value(text[:place]), _value(text[place + len(operator) :])
                return left or right if operator == " or " else left and right
    if text.startswith("not "):
        return not _value(text[4:])
    return _value(text[1:-1]) if text.startswith("(") else text == "True"
