"""Questions about a given passage."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from hybrid_cli.evaluate.exam import tables
from hybrid_cli.evaluate.exam.arithmetic import numeric
from hybrid_cli.evaluate.exam.dates import DAYS, MONTHS
from hybrid_cli.evaluate.exam.forms import Item


@dataclass(frozen=True)
class Story:
    """A passage and the answers it holds."""

    text: str
    asks: tuple[tuple[str, str | int | bool, tuple[str, ...]], ...]
    """Questions, each with its answer and wrong answers."""


def _item(story: Story, draw: Random) -> Item:
    ask, answer, wrong = draw.choice(story.asks)
    if isinstance(answer, int) and not isinstance(answer, bool):
        item = numeric(ask, answer, tuple(int(one) for one in wrong))
        return Item(ask, answer, context=story.text, wrong=item.wrong)
    return Item(ask, answer, context=story.text, wrong=wrong)


def company(draw: Random) -> Item:
    """A passage about a company."""
    founder, head, third = draw.sample(tables.LAST_NAMES, 3)
    home, branch, other = draw.sample(tables.CITIES, 3)
    begun, staff, moved = draw.randint(1950, 2010), draw.randint(3, 90) * 10, draw.randint(2, 9)
    thing = draw.choice(("bicycles", "sensors", "furniture", "pumps", "lamps", "paper"))
    text = (
        f"{founder} & Sons was founded in {home} in {begun} and makes {thing}. In {begun + moved} it opened a second plant in"
        f" {branch}, where most of its {staff} people now work. A third plant in {other} was closed after two years. Since"
        f" last spring the company has been led by {head}, who followed {third}."
    )
    return _item(
        Story(
            text,
            (
                ("Where was the company founded?", home, (branch, other)),
                ("Who leads the company now?", head, (founder, third)),
                ("In which year did the second plant open?", begun + moved, (str(begun), str(staff))),
                ("In which city do most of the employees work?", branch, (home, other)),
                (f"Was the plant in {other} closed?", True, ()),
                ("Who led the company before the present head?", third, (founder, head)),
                ("What does the company make?", thing, ("bicycles", "sensors", "furniture")),
            ),
        ),
        draw,
    )


def trip(draw: Random) -> Item:
    """A passage about a journey."""
    one, other, third = draw.sample(tables.FIRST_NAMES, 3)
    first, second, last = draw.sample(tables.CITIES, 3)
    day, nights, price = draw.randrange(7), draw.randint(2, 5), draw.randint(20, 90)
    text = (
        f"{one} and {other} left for {first} on {DAYS[day]}. They stayed there {nights} nights at {price} euros a night, then"
        f" took the train to {second}. {third} wanted to come along but missed the train and met them in {last} a week later."
        f" It rained on every day but the first."
    )
    return _item(
        Story(
            text,
            (
                (f"Where did {third} meet the others?", last, (first, second)),
                (
                    "What did all the nights in the first city cost together, in euros?",
                    nights * price,
                    (str(price), str(nights)),
                ),
                ("Which city did they visit second?", second, (first, last)),
                (
                    f"On which day did they leave {first}, if they stayed exactly as long as the text says?",
                    DAYS[(day + nights) % 7],
                    tuple(one for place, one in enumerate(DAYS) if place != (day + nights) % 7),
                ),
                ("Who missed the train?", third, (one, other)),
                ("Did it rain on the first day?", False, ()),
            ),
        ),
        draw,
    )


def incident(draw: Random) -> Item:
    """A passage from a report on an outage."""
    one, other = draw.sample(tables.FIRST_NAMES, 2)
    service, cause, wrong_cause = (
        *draw.sample(("checkout", "search", "login", "billing", "upload"), 1),
        *draw.sample(("a full disk", "an expired certificate", "a bad migration", "a memory leak"), 2),
    )
    start, length, affected = draw.randint(1, 20), draw.randint(12, 58), draw.randint(2, 80) * 50
    text = (
        f"Incident report. At {start:02}:05 the {service} service began to return errors. {one} first suspected"
        f" {wrong_cause}, but {other} found that {cause} was the cause. The fix was deployed at {start:02}:{length:02}."
        f" About {affected} users were affected; no data was lost."
    )
    causes = ("a full disk", "an expired certificate", "a bad migration", "a memory leak")
    return _item(
        Story(
            text,
            (
                ("What was the cause of the incident?", cause, tuple(one for one in causes if one != cause)),
                ("Who found the cause?", other, (one,)),
                ("How many minutes did the incident last?", length - 5, (str(length), str(affected))),
                ("Which service failed?", service, ("checkout", "search", "login", "billing")),
                ("About how many users were affected?", affected, (str(length),)),
                ("Was data lost?", False, ()),
            ),
        ),
        draw,
    )


def notice(draw: Random) -> Item:
    """A notice with opening hours and exceptions."""
    closed, short = draw.sample(DAYS[:5], 2)
    opens, closes, early = draw.randint(7, 10), draw.randint(17, 20), draw.randint(12, 15)
    month, fee = draw.choice(MONTHS), draw.randint(3, 15)
    text = (
        f"The library is open from {opens}:00 to {closes}:00. It is closed on {closed}s, and on {short}s it closes at"
        f" {early}:00. In {month} it is closed for repairs. A card costs {fee} euros a year; children pay half."
    )
    open_day = next(day for day in DAYS[:5] if day not in (closed, short))
    return _item(
        Story(
            text,
            (
                (
                    f"At what hour does the library close on {short}s? Give the hour as a number.",
                    early,
                    (str(closes), str(opens)),
                ),
                (f"Is the library open on {closed}s?", False, ()),
                (f"Is the library open at {early + 1}:00 on {open_day}s?", True, ()),
                (f"Is the library open at {early + 1}:00 on {short}s?", False, ()),
                (
                    "In which month is the library closed?",
                    month,
                    tuple(one for one in MONTHS if one != month),
                ),
                ("How many euros do two adults pay for cards in a year?", fee * 2, (str(fee), str(fee * 3))),
                (
                    f"For how many hours is the library open on {open_day}s?",
                    closes - opens,
                    (str(closes), str(early - opens)),
                ),
            ),
        ),
        draw,
    )


def table(draw: Random) -> Item:
    """A small CSV table."""
    names = draw.sample(tables.FIRST_NAMES, draw.randint(4, 7))
    cities = [draw.choice(tables.CITIES[:5]) for _ in names]
    points = draw.sample(range(10, 99), len(names))
    rows = [f"{name},{city},{value}" for name, city, value in zip(names, cities, points, strict=True)]
    text = "\n".join(["name,city,points", *rows])
    best, asked = names[points.index(max(points))], draw.randrange(len(names))
    others = tuple(name for name in names if name != best)
    return _item(
        Story(
            text,
            (
                ("Who has the most points?", best, others),
                (f"Which city is {names[asked]} from?", cities[asked], tuple(dict.fromkeys(cities))),
                (f"How many people are from {cities[0]}?", cities.count(cities[0]), ()),
                (f"How many points does {names[asked]} have?", points[asked], tuple(map(str, points[:3]))),
                (
                    "How many points do the first two people have together?",
                    points[0] + points[1],
                    tuple(map(str, points[:2])),
                ),
                (
                    "How many rows does the table have, without the header?",
                    len(names),
                    (str(len(names) + 1),),
                ),
            ),
        ),
        draw,
    )
