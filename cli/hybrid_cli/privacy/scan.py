"""Find what should not leave: credentials, addresses, numbers of people and of money. Pure functions.

Credentials are found by their published formats (`privacy.credentials`) and by names that give a value
away (`privacy.assignments`); cards, IBANs and IP addresses are checked, not only matched.
"""

from __future__ import annotations

import bisect
import ipaddress
import re
import string
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from hybrid_cli.privacy.assignments import PLACEHOLDER, assignments
from hybrid_cli.privacy.credentials import CREDENTIALS


@dataclass(frozen=True)
class Finding:
    """Where something was found, and what it is; never the value itself."""

    kind: str
    """One of the profile's kinds: secret, email, phone, card, iban, ip."""
    name: str
    """What exactly, for the user."""
    start: int
    end: int


def find(text: str, kinds: Collection[str], country: str | None = None) -> list[Finding]:
    """All that is found of `kinds` in `text`, in its order and without overlaps: the longest wins.

    `country` (ISO 3166) is where telephone numbers without a country code are taken to be from; it needs
    the `pii` extra.
    """
    seen, places = visible(text)
    return without_overlaps(
        Finding(one.kind, one.name, places[one.start], places[one.end - 1] + 1)
        for kind in kinds
        for one in _find_kind(kind, seen, country)
        if one.end > one.start
    )


def without_overlaps(found: Iterable[Finding]) -> list[Finding]:
    """The longest of those that overlap, in the order of the text."""
    kept: list[Finding] = []
    starts: list[int] = []
    for finding in sorted(found, key=lambda finding: (finding.start - finding.end, finding.start)):
        place = bisect.bisect(starts, finding.start)
        clear_before = place == 0 or kept[place - 1].end <= finding.start
        clear_after = place == len(kept) or finding.end <= kept[place].start
        if clear_before and clear_after:
            kept.insert(place, finding)
            starts.insert(place, finding.start)
    return kept


# Soft hyphens, zero-width characters, direction and variation marks, tags and fillers, as copies out of web
# pages and PDF files hold them; control characters, and the sequences that colour a terminal's output.
_INVISIBLE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0e-\x1f\x7f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    r"\U000e0000-\U000e01ef]"
)
# Full-width letters and digits, and those of mathematics: they look like the plain ones, and stand for them.
_STYLED = re.compile("[\uff01-\uff5e\U0001d400-\U0001d7ff]+")


def visible(text: str) -> tuple[str, Sequence[int]]:
    """`text` in plain characters and without what cannot be seen, and where each of them stands in `text`."""
    letters = "".join(set(text))
    if _STYLED.search(letters):
        text = _STYLED.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)  # one for one
    if _INVISIBLE.search(letters) is None:
        return text, range(len(text))
    places: list[int] = []
    end = 0
    for found in _INVISIBLE.finditer(text):
        places += range(end, found.start())
        end = found.end()
    places += range(end, len(text))
    return "".join(text[place] for place in places), places


def _find_kind(kind: str, text: str, country: str | None) -> Iterable[Finding]:
    if kind == "phone":
        return _phones(text, country)
    return {"secret": _secrets, "email": _emails, "card": _cards, "iban": _ibans, "ip": _addresses}[kind](
        text
    )


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _secrets(text: str) -> Iterator[Finding]:
    # A byte a character is found faster; and each stays in its place, as `str.lower` does not promise.
    lowered = text.encode("ascii", "replace").lower().decode("ascii")
    words = " ".join(set(lowered.split()))  # each once: a third of the text to look through for each keyword
    for name, keywords, pattern in CREDENTIALS:
        if not any(keyword in (lowered if " " in keyword else words) for keyword in keywords):
            continue
        for match in _compiled(pattern).finditer(text):
            group = "value" if match.re.groupindex else 0
            value = match[group]
            if _starts_a_word(text, match.start()) and not (group and PLACEHOLDER.search(value)):
                yield Finding("secret", name, match.start(group), match.end(group))
    for start, end in assignments(text, lowered):
        yield Finding("secret", "value of a secret's name", start, end)
    yield from _tails_of_private_keys(text)


_ESCAPE = re.compile(r"(?:\\[nrtbfv0]|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2})\Z")


def _starts_a_word(text: str, start: int) -> bool:
    """Whether no letter, digit or underscore stands before `start`, but as the end of an escape."""
    before = text[start - 1 : start]
    if not (before.isalnum() or before == "_"):
        return True
    return _ESCAPE.search(text, max(0, start - 6), start) is not None


_END_OF_PRIVATE_KEY = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_BASE64 = string.ascii_letters + string.digits + "+/="
_LINE_OF_BASE64 = re.compile(rf"[{_BASE64}]{{20,}}")
_LONGEST_PRIVATE_KEY = 20_000


def _tails_of_private_keys(text: str) -> Iterator[Finding]:
    """The last lines of keys whose first ones are not there."""
    for end in _END_OF_PRIVATE_KEY.finditer(text):
        before = text[max(0, end.start() - _LONGEST_PRIVATE_KEY) : end.start()]
        rest = len(before.rstrip(_BASE64 + string.whitespace))
        first = _LINE_OF_BASE64.search(text, end.start() - len(before) + rest, end.start())
        if first is not None:
            yield Finding("secret", "private key", first.start(), end.end())


_MAIL_DOMAIN = re.compile(r"@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_MAIL_NAME = re.compile(r"[\w.+-]{1,64}\Z")
_USER_OF_A_URL = re.compile(r"://[^\s/@]{0,90}\Z")


def _emails(text: str) -> Iterator[Finding]:
    for match in _MAIL_DOMAIN.finditer(text):
        name = _MAIL_NAME.search(text, max(0, match.start() - 64), match.start())
        if name is not None and not _USER_OF_A_URL.search(text, max(0, name.start() - 100), name.start()):
            yield Finding("email", "e-mail address", name.start(), match.end())


_CARD = re.compile(r"(?<![\w.,-])\d{4}(?:[ ._\u00a0\u2010-\u2015\uff0d-]?\d){8,15}(?!\w|[.,]\d)")
_CARD_GROUPS = {(4, 4, 4, 4), (4, 6, 5), (4, 4, 4, 4, 3)}


def _cards(text: str) -> Iterator[Finding]:
    for match in _CARD.finditer(text):
        groups = re.findall(r"\d+", match[0])
        digits = "".join(groups)
        if not 13 <= len(digits) <= 19 or int(digits[0]) not in range(2, 7) or len(set(digits)) == 1:
            continue
        # Dots and underscores stand in other numbers, too.
        written_so = not re.search(r"[._]", match[0]) or tuple(map(len, groups)) in _CARD_GROUPS
        if written_so and _luhn(digits):
            yield Finding("card", "card number", match.start(), match.end())


def _luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812."""
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(n - 9 if n > 9 else n for n in doubled)) % 10 == 0


_IBAN = re.compile("(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ \u00a0\u202f-]?[A-Za-z0-9]){11,30}")
_IBAN_LENGTHS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28"
    " EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27"
    " JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18"
    " NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28"
    " TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
"""The countries of ISO 13616's registry, each with its length."""


def _ibans(text: str) -> Iterator[Finding]:
    for match in _IBAN.finditer(text):
        country = _IBAN_LENGTHS.find(match[0][:2].upper())
        if country < 0:
            continue
        length = int(_IBAN_LENGTHS[country + 2 : country + 4])
        for end in range(match.start() + length, match.end() + 1):
            compact = re.sub(r"[^A-Za-z0-9]", "", text[match.start() : end])
            if len(compact) == length:
                if _mod_97(compact) and not text[end : end + 1].isalnum():
                    yield Finding("iban", "IBAN", match.start(), end)
                break


def _mod_97(iban: str) -> bool:
    """The check of ISO 7064: letters count from 10, the first four characters go last."""
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{1,39}(?:\.\d{1,3}){0,3}(?![\w:])", re.ASCII)
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{0,39}")
"""What every IPv6 address holds, after four characters at most: found far faster than one of its digits."""


def _addresses(text: str) -> Iterator[Finding]:
    for match in _IPV4.finditer(text):
        if _is_somebodys(match[0]):
            yield Finding("ip", "IPv4 address", match.start(), match.end())
    for colons in _COLONS.finditer(text):
        for start in range(max(0, colons.start() - 4), colons.start() + 1):
            found = _IPV6.match(text, start)
            if found is not None and _is_somebodys(found[0]):
                yield Finding("ip", "IPv6 address", start, found.end())


def _is_somebodys(text: str) -> bool:
    """Whether it is an address, and one that says anything: not 0.0.0.0, a mask or the loopback."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    enough = address.version == 4 or (text.count(":") > 2 and any(map(str.isdigit, text)))
    return enough and not (address.is_loopback or address.is_unspecified or text.startswith("255."))


_DIGITS = re.compile(r"\d(?:\W{0,4}\d){5,}")
"""What every telephone number holds. The extra's matcher is slow, so it is given only what is around."""
_AROUND = 30
_PHONE = re.compile(r"(?<![\w+])\+[1-9](?:[ ()./-]{0,2}\d){7,14}(?!\w)", re.ASCII)


def _phones(text: str, country: str | None) -> Iterator[Finding]:
    """By the `pii` extra's metadata where it is installed; else numbers that start with + and country."""
    try:
        import phonenumbers
    except ImportError:
        spans = [match.span() for match in _PHONE.finditer(text)]
    else:
        spans = []
        for digits in _DIGITS.finditer(text):
            first = max(0, digits.start() - _AROUND)
            near = text[first : digits.end() + _AROUND]
            matches = phonenumbers.PhoneNumberMatcher(near, country, max_tries=len(near))
            spans += [(first + match.start, first + match.end) for match in matches]
    for start, end in spans:
        yield Finding("phone", "telephone number", start, end)
