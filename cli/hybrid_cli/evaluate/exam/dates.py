"""Dates, times, and units."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from random import Random

from hybrid_cli.evaluate.exam.arithmetic import numeric
from hybrid_cli.evaluate.exam.forms import Item

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def _day(draw: Random) -> date:
    return date(draw.randint(1995, 2030), 1, 1) + timedelta(days=draw.randint(0, 364))


def later(draw: Random) -> Item:
    """Ask for the date some days after or before another."""
    start, days = _day(draw), draw.choice((1, 7, 10, 14, 21, 30, 45, 60, 90))
    sign, name = draw.choice(((1, "after"), (-1, "before")))
    end = start + timedelta(days=sign * days)
    ask = f"What date is {days} day{'s' if days > 1 else ''} {name} {start}? Use the form YYYY-MM-DD."
    wrong = tuple(str(end + timedelta(days=slip)) for slip in (-1, 1, 2, 10))
    return Item(ask, str(end), wrong=wrong)


def between(draw: Random) -> Item:
    """Ask for the number of days between two dates."""
    start, days = _day(draw), draw.randint(3, 80)
    return numeric(f"How many days are there from {start} to {start + timedelta(days=days)}?", days)


def weekday(draw: Random) -> Item:
    """Ask for a weekday, counted from another weekday or from a date whose weekday the prompt gives."""
    start, days = _day(draw), draw.randint(2, 40)
    name = DAYS[(start.weekday() + days) % 7]
    ask = draw.choice(
        (
            f"Today is {DAYS[start.weekday()]}. Which day of the week is it in {days} days?",
            f"{start} is a {DAYS[start.weekday()]}. Which weekday is {start + timedelta(days=days)}?",
        )
    )
    return Item(ask, name, wrong=tuple(one for one in DAYS if one != name))


def calendar(draw: Random) -> Item:
    """Ask about months and leap years."""
    year, month = draw.randint(1896, 2104), draw.randint(1, 12)
    after = date(year + month // 12, month % 12 + 1, 1)
    if draw.random() < 0.5:
        days = (after - timedelta(days=1)).day
        return numeric(f"How many days does {MONTHS[month - 1]} {year} have?", days, (28, 29, 30, 31))
    leap = (date(year, 12, 31) - date(year, 1, 1)).days == 365
    return Item(f"Is {year} a leap year?", leap)


def clock(draw: Random) -> Item:
    """Ask for a time of day, or for minutes between two times."""
    start, minutes = datetime(2024, 1, 1, draw.randint(0, 22), draw.randint(0, 59)), draw.randint(15, 400)
    end = start + timedelta(minutes=minutes)
    if draw.random() < 0.5 and end.day == 1:
        return numeric(f"How many minutes are there from {start:%H:%M} to {end:%H:%M}?", minutes)
    length = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} minutes"
    ask = f"A job starts at {start:%H:%M} and takes {length}. At what time does it end? Use the form HH:MM."
    wrong = tuple(f"{end + timedelta(minutes=slip):%H:%M}" for slip in (60, -60, 10, -10))
    return Item(ask, f"{end:%H:%M}", wrong=wrong)


def zone(draw: Random) -> Item:
    """Ask for a time in another time zone."""
    start, offset = (
        datetime(2024, 1, 1, draw.randint(0, 23), draw.choice((0, 15, 30, 45))),
        draw.randint(-11, 12),
    )
    there = start + timedelta(hours=offset)
    ask = f"It is {start:%H:%M} UTC. What time is it at UTC{offset:+d}? Use the form HH:MM."
    wrong = tuple(f"{there + timedelta(minutes=slip):%H:%M}" for slip in (60, -60, 120, 720))
    return Item(ask, f"{there:%H:%M}", wrong=wrong)


_UNITS = (
    ("kilometres", "metres", 1000),
    ("hours", "minutes", 60),
    ("hours", "seconds", 3600),
    ("kilograms", "grams", 1000),
    ("metres", "centimetres", 100),
    ("days", "hours", 24),
    ("weeks", "days", 7),
    ("litres", "millilitres", 1000),
    ("feet", "inches", 12),
    ("yards", "feet", 3),
    ("pounds", "ounces", 16),
    ("tonnes", "kilograms", 1000),
    ("KiB", "bytes", 1024),
    ("GiB", "MiB", 1024),
    ("bytes", "bits", 8),
    ("centuries", "years", 100),
    ("metres", "millimetres", 1000),
    ("days", "minutes", 1440),
    ("dozen", "pieces", 12),
)


def unit(draw: Random) -> Item:
    """Ask for a length, a weight, a time or a size in another unit."""
    large, small, factor = draw.choice(_UNITS)
    count = draw.randint(2, 25)
    if draw.random() < 0.4:
        return numeric(f"How many {large} are {count * factor} {small}?", count, (count * 10, factor))
    ask = draw.choice((f"How many {small} are {count} {large}?", f"Convert {count} {large} to {small}."))
    return numeric(ask, count * factor, (count * factor * 10, factor))


def temperature(draw: Random) -> Item:
    """Ask for a temperature on the other scale."""
    celsius = draw.randint(-6, 24) * 5
    fahrenheit = celsius * 9 // 5 + 32
    if draw.random() < 0.5:
        return numeric(f"What is {celsius} degrees Celsius in Fahrenheit?", fahrenheit, (celsius + 32,))
    return numeric(f"What is {fahrenheit} degrees Fahrenheit in Celsius?", celsius, (fahrenheit - 32,))


def timestamp(draw: Random) -> Item:
    """Ask for a part of a timestamp in a log line."""
    moment = datetime(2024, 1, 1) + timedelta(minutes=draw.randint(0, 525_000))
    line = f"{moment:%Y-%m-%dT%H:%M:%S}Z worker-{draw.randint(1, 9)} finished job {draw.randint(100, 999)}"
    name, value = draw.choice(
        (
            ("month, by its English name", MONTHS[moment.month - 1]),
            ("weekday, by its English name", DAYS[moment.weekday()]),
        )
    )
    wrong = tuple(one for one in (*MONTHS, *DAYS) if one != value and (one in MONTHS) == (value in MONTHS))
    return Item(
        f"Which {name}, does the timestamp of this log line fall in?", value, context=line, wrong=wrong
    )
