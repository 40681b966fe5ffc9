"""Regular expressions: written ones are tried on examples, given ones are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from hybrid_cli.evaluate.exam.forms import Item
from hybrid_cli.evaluate.exam.tables import WORDS


@dataclass(frozen=True)
class Form:
    """A form of text: its name, a pattern, and what does and does not have it."""

    name: str
    pattern: str
    match: tuple[str, ...]
    reject: tuple[str, ...]


FORMS = (
    Form(
        "a date such as 2024-03-17 (digits only, any values)",
        r"\d{4}-\d{2}-\d{2}",
        ("2024-03-17", "1999-12-31"),
        ("24-03-17", "2024/03/17", "2024-3-17"),
    ),
    Form(
        "a time such as 09:45 (two digits, colon, two digits)",
        r"\d{2}:\d{2}",
        ("09:45", "23:59"),
        ("9:45", "0945", "09-45"),
    ),
    Form(
        "a hex colour such as #a1b2c3",
        r"#[0-9a-fA-F]{6}",
        ("#a1b2c3", "#00FF00"),
        ("a1b2c3", "#a1b2c", "#gggggg"),
    ),
    Form("one or more digits", r"\d+", ("7", "2048"), ("", "12a", "x")),
    Form("a whole number with an optional minus sign", r"-?\d+", ("-12", "305"), ("--1", "1.5", "-")),
    Form(
        "a number with exactly two decimals, such as 12.50",
        r"\d+\.\d{2}",
        ("12.50", "0.99"),
        ("12.5", "12", "1250"),
    ),
    Form(
        "three capital letters, a dash and four digits, such as ABC-1234",
        r"[A-Z]{3}-\d{4}",
        ("ABC-1234", "XYZ-0001"),
        ("abc-1234", "ABC1234", "ABCD-123"),
    ),
    Form("a word of lowercase letters only", r"[a-z]+", ("tunnel", "a"), ("Tunnel", "two words", "abc1")),
    Form("a name of a Python variable", r"[A-Za-z_]\w*", ("count", "_x9"), ("9x", "my-var", "a b")),
    Form("the words cat or dog and nothing else", r"cat|dog", ("cat", "dog"), ("cats", "bird", "catdog")),
    Form(
        "a file name that ends in .txt", r".*\.txt", ("a.txt", "notes.old.txt"), ("a.txt.gz", "txt", "a.csv")
    ),
    Form("a text of exactly five characters", r".{5}", ("abcde", "12 45"), ("abcd", "abcdef")),
    Form("the letter a, then any number of b, then c", r"ab*c", ("ac", "abbbc"), ("abb", "bc", "aabc")),
    Form(
        "an IPv4-like text of four numbers of one to three digits with dots",
        r"(\d{1,3}\.){3}\d{1,3}",
        ("10.0.0.1", "192.168.1.254"),
        ("10.0.0", "1.2.3.4.5", "a.b.c.d"),
    ),
    Form("an even number of digits, at least two", r"(\d\d)+", ("12", "123456"), ("1", "123", "")),
    Form(
        "an email address of letters, one @ and a domain with one dot",
        r"\w+@\w+\.\w+",
        ("ann@mail.org", "bo@x.test"),
        ("ann.mail.org", "ann@mail", "@mail.org"),
    ),
    Form(
        "a line that starts with # and has any text behind it",
        r"#.*",
        ("# note", "#"),
        ("note #", "", " # x"),
    ),
    Form(
        "a US-style phone number such as 555-123-4567",
        r"\d{3}-\d{3}-\d{4}",
        ("555-123-4567", "800-000-1111"),
        ("5551234567", "555-1234", "55-123-4567"),
    ),
    Form("a version such as v1.20.3", r"v\d+\.\d+\.\d+", ("v1.20.3", "v0.0.1"), ("1.20.3", "v1.2", "v1.2.x")),
    Form(
        "an optional plus sign and 8 to 12 digits",
        r"\+?\d{8,12}",
        ("+4912345678", "12345678"),
        ("1234567", "++12345678"),
    ),
)


def write(draw: Random) -> Item:
    """Ask for a pattern that matches a form of text as a whole."""
    form = draw.choice(FORMS)
    flavour = draw.choice(("regular expression", "Python regex", "regex"))
    ask = draw.choice(
        (
            "Write a {} that matches exactly {}.",
            "Give a {} for {}; it must match the whole string.",
            "Which {} matches {} and nothing else?",
        )
    )
    check = {"regex": {"match": list(form.match), "reject": list(form.reject)}}
    wrong = tuple(sorted({other.pattern for other in FORMS if not _has_form(other.pattern, form)}))
    return Item(
        ask.format(flavour, form.name),
        form.pattern,
        check=check,
        wrong=tuple(draw.sample(wrong, 4)),
        brief=draw.choice(("Reply with the pattern only.", "Only the regex, no explanation.")),
    )


def _has_form(pattern: str, form: Form) -> bool:
    matched = [re.fullmatch(pattern, one) is not None for one in form.match]
    refused = [re.fullmatch(pattern, one) is None for one in form.reject]
    return all(matched) and all(refused)


def does_match(draw: Random) -> Item:
    """Ask whether a pattern matches a whole text."""
    form = draw.choice(FORMS)
    holds = draw.random() < 0.5
    text = draw.choice([one for one in (form.match if holds else form.reject) if one])
    return Item(f"Does the regex `^(?:{form.pattern})$` match the text `{text}`?", holds)


def which_matches(draw: Random) -> Item:
    """Ask which of several texts a pattern matches."""
    form = draw.choice(FORMS)
    right, wrong = draw.choice(form.match), [one for one in form.reject if one.strip()]
    others = [one for other in FORMS for one in other.match if re.fullmatch(form.pattern, one) is None]
    listed = [right, *wrong[:2], *draw.sample(sorted(set(others) - set(wrong)), 2)]
    draw.shuffle(listed)
    ask = f"Which of these lines does the regex `^(?:{form.pattern})$` match?"
    return Item(ask, right, context="\n".join(listed), wrong=tuple(one for one in listed if one != right))


def first_found(draw: Random) -> Item:
    """Ask for what a pattern finds first in a text."""
    word, number = draw.choice(WORDS), draw.randint(10, 9999)
    text = f"{word.capitalize()} {number} costs {draw.randint(2, 9)}.{draw.randint(10, 99)} today"
    pattern, name = draw.choice(
        ((r"\d+", "first"), (r"[a-z]+", "first"), (r"\w+$", "only"), (r"\d\.\d\d", "only"), (r"^\w", "only"))
    )
    found = re.search(pattern, text)
    right = found[0] if found else ""
    wrong = tuple(one for one in text.split() if one != right)
    return Item(f"What is the {name} match of the regex `{pattern}` in `{text}`?", right, wrong=wrong)
