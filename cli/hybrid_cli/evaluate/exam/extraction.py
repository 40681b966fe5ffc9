"""Extraction from text to JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any

from hybrid_cli.evaluate.exam import tables
from hybrid_cli.evaluate.exam.dates import MONTHS
from hybrid_cli.evaluate.exam.forms import Item

Fields = Mapping[str, Any]
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _object(fields: Fields) -> dict[str, Any]:
    properties = {name: _schema_of(value) for name, value in fields.items()}
    return {
        "type": "object",
        "properties": properties,
        "required": list(fields),
        "additionalProperties": False,
    }


def _schema_of(value: object) -> dict[str, Any]:
    if isinstance(value, list):
        return {"type": "array", "items": _schema_of(value[0])}
    return _object(value) if isinstance(value, dict) else {"type": _TYPES[type(value)]}


def _item(text: str, fields: Fields, draw: Random, note: str = "") -> Item:
    """Ask for `fields` of `text` as JSON with exactly these keys."""
    keys = ", ".join(fields)
    ask = draw.choice(
        (
            "Extract the following as JSON with the keys {}.",
            "Give me a JSON object with {} from this text.",
            "Print only JSON with the keys {}.",
            "Turn this into JSON with these keys: {}.",
        )
    )
    ask = f"{ask.format(keys)}{note}"
    return Item(
        ask,
        json.dumps(fields),
        text,
        check={"json": fields},
        schema=_object(fields),
        value=fields,
        brief="No explanation.",
    )


def person(draw: Random) -> Item:
    """Ask for the contact in an email's signature."""
    first, last, city = (
        draw.choice(tables.FIRST_NAMES),
        draw.choice(tables.LAST_NAMES),
        draw.choice(tables.CITIES),
    )
    phone, age = (
        f"+{draw.randint(30, 49)} {draw.randint(100, 999)} {draw.randint(1000, 9999)}",
        draw.randint(19, 70),
    )
    email = f"{first.lower()}.{last.lower()}@{draw.choice(('example.org', 'mail.test', 'acme.test'))}"
    text, fields = draw.choice(
        (
            (
                f"Hi all,\nplease note my new number {phone}. Mail still goes to {email}.\nRegards\n{first} {last}, {city}",
                {"name": f"{first} {last}", "phone": phone, "email": email},
            ),
            (
                f"{first} {last} ({age}) moved from {draw.choice(tables.CITIES)} to {city} last year and works as a baker.",
                {"name": f"{first} {last}", "age": age, "job": "baker"},
            ),
            (
                f"From: {first} {last} <{email}>\nSubject: Offer {age}\n\nThe offer stands until Friday.",
                {"sender": email, "subject": f"Offer {age}"},
            ),
        )
    )
    return _item(text, fields, draw)


def log_line(draw: Random) -> Item:
    """Ask for the fields of a log line."""
    level, module = draw.choice(("ERROR", "WARN", "INFO")), draw.choice(("db", "auth", "cache", "http"))
    code, seconds = draw.randint(100, 599), draw.randint(1, 90)
    day = f"2024-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
    address = f"10.0.{draw.randint(0, 255)}.{draw.randint(1, 254)}"
    text, fields = draw.choice(
        (
            (
                f"{day} 12:{seconds % 60:02}:07 {level} [{module}] request failed with code {code} after {seconds}s",
                {"level": level, "module": module, "code": code},
            ),
            (
                f'{address} - - [{day}] "GET /items/{code} HTTP/1.1" 200 {seconds * 37}',
                {"ip": address, "path": f"/items/{code}", "status": 200},
            ),
            (
                f"{day} {level} user={draw.choice(tables.FIRST_NAMES).lower()} action=login duration={seconds} retry=false",
                {"level": level, "duration": seconds, "retry": False},
            ),
        )
    )
    return _item(text, fields, draw)


def order(draw: Random) -> Item:
    """Ask for the parts of an order."""
    name, thing, count = draw.choice(tables.FIRST_NAMES), draw.choice(tables.WORDS), draw.randint(2, 40)
    price, city = draw.randint(2, 90), draw.choice(tables.CITIES)
    text, fields = draw.choice(
        (
            (
                f"Hello, this is {name}. I would like {count} pieces of the {thing} at {price} euros each, sent to {city}, please.",
                {"customer": name, "item": thing, "quantity": count, "city": city},
            ),
            (
                f"Invoice no. {count * 37}\n{thing}  {count} x {price}.00 EUR\nTotal {count * price}.00 EUR, due in 14 days",
                {"invoice": count * 37, "total": count * price},
            ),
            (
                f"Order {count * 91} for {name} was shipped to {city} and has not been paid yet.",
                {"order": count * 91, "customer": name, "paid": False},
            ),
        )
    )
    return _item(text, fields, draw)


def event(draw: Random) -> Item:
    """Ask for an event's title, date and place."""
    month, day, year = draw.randint(1, 12), draw.randint(1, 28), draw.randint(2024, 2029)
    city, title = draw.choice(tables.CITIES), f"{draw.choice(tables.WORDS).capitalize()} Fair"
    text = f"The {title} takes place in {city} on {MONTHS[month - 1]} {day}, {year}. Doors open at {draw.randint(8, 11)} am."
    fields = {"title": title, "date": f"{year}-{month:02}-{day:02}", "city": city}
    return _item(text, fields, draw, " Write the date as YYYY-MM-DD.")


def names(draw: Random) -> Item:
    """Ask for all names or numbers in a sentence, as a list."""
    chosen, cities = draw.sample(tables.FIRST_NAMES, 3), draw.sample(tables.CITIES, 2)
    text = f"{chosen[0]} wrote to {chosen[1]} from {cities[0]}; {chosen[2]} answered both of them from {cities[1]}."
    key, value = draw.choice((("people", chosen), ("cities", cities)))
    return _item(text, {key: value}, draw, f" {key} is a list in the order of the text.")


def nested(draw: Random) -> Item:
    """Ask for CSV rows or a nested object."""
    rows = [
        {"name": name, "score": draw.randint(1, 99)}
        for name in draw.sample(tables.FIRST_NAMES, draw.randint(2, 4))
    ]
    text = "\n".join(["name;score", *(f"{row['name']};{row['score']}" for row in rows)])
    note = " rows is a list with an object for each line, with name and score."
    return _item(text, {"rows": rows}, draw, note)
