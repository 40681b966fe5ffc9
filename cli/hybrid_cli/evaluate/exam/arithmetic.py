"""Arithmetic and word problems."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from hybrid_cli.evaluate.exam.forms import Item
from hybrid_cli.evaluate.exam.tables import FIRST_NAMES, FRUIT

Number = int | float


def numeric(ask: str, answer: Number, slips: tuple[Number, ...] = ()) -> Item:
    """Return an item whose wrong answers are `slips`, and values near the right one."""
    step = max(1, round(abs(answer) * 0.1))
    near = [answer + step, answer - step, answer + 10, answer * 2, answer + 1, answer - 1]
    found = dict.fromkeys(f"{value:g}" if value < 1e6 else str(value) for value in [*slips, *near])
    wrong = [one for one in found if one != f"{answer:g}" and not one.startswith("-")]
    return Item(ask, answer, wrong=tuple(wrong[:5]))


def expression(draw: Random) -> Item:
    """Ask for the value of a sum, a difference, a product or a mixed expression."""
    level = draw.choice((1, 1, 2, 2, 3))
    most = {1: 20, 2: 99, 3: 999}[level]
    a, b, c = (draw.randint(2, most) for _ in range(3))
    text, value = draw.choice(
        (
            (f"{a} + {b}", a + b),
            (f"{a + b} - {b}", a),
            (f"{a} * {b}", a * b),
            (f"{a} * {b} + {c}", a * b + c),
            (f"({a} + {b}) * {c}", (a + b) * c),
            (f"{a * b} / {b}", a),
        )
    )
    ask = draw.choice(("What is {}?", "Calculate {}.", "{} =", "Compute {}.", "How much is {}?"))
    return numeric(ask.format(text), value)


def percentage(draw: Random) -> Item:
    """Ask for a share of a number, or a changed price."""
    share, base = draw.choice((5, 10, 15, 20, 25, 30, 40, 60, 75)), draw.randint(2, 40) * 20
    part = base * share // 100
    ask, value = draw.choice(
        (
            (f"What is {share}% of {base}?", part),
            (
                f"A bill of {base} dollars gets a {share}% discount. What is the new total in dollars?",
                base - part,
            ),
            (f"A salary of {base} euros rises by {share}%. What is the new salary in euros?", base + part),
            (f"{part} is what percentage of {base}?", share),
        )
    )
    return numeric(ask, value, (base, part))


def powers(draw: Random) -> Item:
    """Ask for a power, a root, a remainder or an average."""
    a, b = draw.randint(2, 15), draw.randint(2, 4)
    modulus = draw.randint(3, 12)
    values = [draw.randint(1, 30) * 4 for _ in range(4)]
    ask, value = draw.choice(
        (
            (f"What is {a} to the power of {b}?", a**b),
            (f"What is the square root of {a * a}?", a),
            (f"What is {a * 37} mod {modulus}?", a * 37 % modulus),
            (f"What is the mean of {', '.join(map(str, values))}?", sum(values) // 4),
            (f"What is 2**{a} in Python?", 2**a),
            (f"Convert the binary number {a * 3:b} to decimal.", a * 3),
            (f"Convert hexadecimal {a * 11:x} to decimal.", a * 11),
        )
    )
    return numeric(ask, value)


def extreme(draw: Random) -> Item:
    """Ask for the largest, the smallest, or the sum of given numbers, one a line."""
    values = draw.sample(range(3, 400), draw.randint(4, 8))
    name, value = draw.choice(
        (
            ("largest", max(values)),
            ("smallest", min(values)),
            ("sum", sum(values)),
            ("second largest", sorted(values)[-2]),
        )
    )
    ask = f"What is the {name} of these numbers?"
    item = numeric(ask, value, tuple(values[:3]))
    return Item(ask, value, context="\n".join(map(str, values)), wrong=item.wrong)


def take_away(draw: Random) -> Item:
    """A one-step story of things given or received."""
    one, other = draw.sample(FIRST_NAMES, 2)
    thing, a, b = draw.choice(FRUIT), draw.randint(12, 90), draw.randint(2, 11)
    ask, value = draw.choice(
        (
            (
                f"{one} has {a} {thing} and gives {b} of them to {other}. How many {thing} does {one} have left?",
                a - b,
            ),
            (
                f"{one} picked {a} {thing}. {other} picked {b} more than {one}. How many {thing} did {other} pick?",
                a + b,
            ),
            (
                f"{one} had some {thing}. After {other} brought {b} more there were {a + b}. How many were there at first?",
                a,
            ),
            (f"{one} buys {b} bags with {a} {thing} each. How many {thing} is that?", a * b),
            (f"{one} shares {a * b} {thing} equally among {b} friends. How many does each friend get?", a),
            (f"{one} has {a} {thing} and {other} has {b}. How many more {thing} does {one} have?", a - b),
        )
    )
    return numeric(ask, value, (a + b, a, b))


def shop(draw: Random) -> Item:
    """A story of two or three steps about prices."""
    name, thing = draw.choice(FIRST_NAMES), draw.choice(FRUIT)
    count, price, other, paid = (
        draw.randint(3, 12),
        draw.randint(2, 9),
        draw.randint(2, 15),
        draw.choice((100, 150, 200)),
    )
    total = count * price + other
    ask, value = draw.choice(
        (
            (
                f"{name} buys {count} kilos of {thing} at {price} euros a kilo and a bag for {other} euros, and pays with a"
                f" {paid} euro note. How many euros does {name} get back?",
                paid - total,
            ),
            (
                f"A ticket costs {price} euros for a child and {price + other} euros for an adult. What do {count} children and"
                f" 2 adults pay together?",
                count * price + 2 * (price + other),
            ),
            (
                f"{name} earns {price + 10} euros an hour and works {count} hours a week. After 4 weeks {name} spends {other * 5}"
                f" euros. How many euros are left?",
                (price + 10) * count * 4 - other * 5,
            ),
        )
    )
    return numeric(ask, value, (total, count * price, paid))


def rates(draw: Random) -> Item:
    """A story about speed, work, or shares."""
    hours, speed, more = draw.randint(2, 6), draw.choice((40, 50, 60, 70, 80, 90)), draw.randint(2, 5)
    ask, value = draw.choice(
        (
            (
                f"A train goes {speed} km/h for {hours} hours, then {speed + 20} km/h for {more} hours. How many km is that?",
                speed * hours + (speed + 20) * more,
            ),
            (
                f"A car needs {hours} hours for {speed * hours} km. How many km does it go in {more + hours} hours at that speed?",
                speed * (more + hours),
            ),
            (
                f"{more} machines make {more * speed} parts in an hour. How many parts do {hours + more} machines make in 2 hours?",
                2 * speed * (hours + more),
            ),
            (
                f"A tank of {speed * 10} litres loses {speed // 10} litres an hour. How many litres are left after {hours * 5} hours?",
                speed * 10 - speed // 10 * hours * 5,
            ),
        )
    )
    return numeric(ask, value, (speed * hours, speed * more))


def fractions_left(draw: Random) -> Item:
    """A story of several steps with fractions."""
    name, thing = draw.choice(FIRST_NAMES), draw.choice(FRUIT)
    total, first, second = draw.randint(2, 9) * 24, draw.choice((2, 3, 4)), draw.choice((2, 3, 4))
    left = total * (1 - Fraction(1, first)) * (1 - Fraction(1, second))
    ask = (
        f"{name} has {total} {thing}, sells 1/{first} of them in the morning and 1/{second} of the rest in the afternoon."
        f" How many {thing} are left in the evening?"
    )
    return numeric(
        ask, int(left), (total // first, total // second, total - total // first - total // second)
    )


def ages(draw: Random) -> Item:
    """A story about ages."""
    one, other, third = draw.sample(FIRST_NAMES, 3)
    young, factor, years = draw.randint(4, 12), draw.choice((2, 3, 4)), draw.randint(3, 9)
    ask, value = draw.choice(
        (
            (
                f"{one} is {young} years old and {other} is {factor} times as old. How old will {other} be in {years} years?",
                young * factor + years,
            ),
            (
                f"{one} is {years} years older than {other}, who is {factor} times as old as {third}. {third} is {young}."
                f" How old are the three together?",
                young + factor * young + factor * young + years,
            ),
        )
    )
    return numeric(ask, value, (young * factor, young + years))
