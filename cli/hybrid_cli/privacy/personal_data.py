"""Find e-mail addresses, payment cards, IBANs, IP addresses and telephone numbers.

Cards, IBANs and IP addresses are checked (check digits, lengths, ranges), not only matched.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from hybrid_cli.privacy.sensitive_span import SensitiveSpan

_MAIL_DOMAIN = re.compile(r"@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_MAIL_NAME = re.compile(r"[\w.+-]{1,64}\Z")
_USER_IN_URL = re.compile(r"://[^\s/@]{0,90}\Z")


def emails(text: str) -> Iterator[SensitiveSpan]:
    for match in _MAIL_DOMAIN.finditer(text):
        name = _MAIL_NAME.search(text, max(0, match.start() - 64), match.start())
        if name is not None and not _USER_IN_URL.search(text, max(0, name.start() - 100), name.start()):
            yield SensitiveSpan("email", "e-mail address", name.start(), match.end())


_CARD = re.compile(r"(?<![\w.,-])\d{4}(?:[ ._\u00a0\u2010-\u2015\uff0d-]?\d){8,15}(?!\w|[.,]\d)", re.ASCII)
_CARD_GROUPS = {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 5)}
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[0-8]|6[0-9])\d{14}|(?:222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720|220[0-4])\d{12}"
    r"|3[47]\d{13}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-59]|[689]\d)\d{11}|62\d{15,17}"
)
"""The first digits and the length of the cards of each issuer."""
_IDENTIFIER = re.compile(
    r"\b(?:\w{0,20}_?id|order|invoice|tracking|serial|reference|ref|account|user|build|request|trace|span|nonce|seq"
    r"|timestamp|ts|pid|offset|number of \w+)[\"']?[\s:=#.]{1,4}(?:no\.? |number )?[\"']?\Z",
    re.IGNORECASE | re.ASCII,
)
"""Names of numbers that are no cards. One in ten of any numbers has a right check digit."""


def cards(text: str) -> Iterator[SensitiveSpan]:
    for match in _CARD.finditer(text):
        groups = re.findall(r"\d+", match[0])
        digits = "".join(groups)
        if _ISSUERS.fullmatch(digits) is None or len(set(digits)) == 1 or not _luhn(digits):
            continue
        if len(groups) > 1:
            is_numbers = _is_in_dump(text, match.start()) or _is_in_drawing(text, match.start())
            is_card = tuple(map(len, groups)) in _CARD_GROUPS and not is_numbers
        else:
            is_card = _IDENTIFIER.search(text, max(0, match.start() - 40), match.start()) is None
        if is_card:
            yield SensitiveSpan("card", "card number", match.start(), match.end())


_DRAWING = re.compile(
    r"(?<![\w-])(?:d|points|viewBox|values|transform|matrix)\\?[\"']?\s{0,2}[=:(]\s{0,2}\\?[\"']?[-+\d\s.,()MLHVCSQTAZEmlhvcsqtaze]*\Z"
)
_LONGEST_DRAWING = 4_000


def _is_in_drawing(text: str, place: int) -> bool:
    """Whether `place` is among the coordinates of a drawing, as in the path of an SVG."""
    return _DRAWING.search(text, max(0, place - _LONGEST_DRAWING), place) is not None


_OFFSET = re.compile(r"[0-9a-f]{6,16}(?::|  )[ 0-9a-f]*\Z")


def _is_in_dump(text: str, place: int) -> bool:
    """Whether `place` is in a line of a hexadecimal dump, which begins with an offset."""
    line = text.rfind("\n", 0, place) + 1
    return place - line < 80 and _OFFSET.match(text, line, place) is not None


def _luhn(digits: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812)."""
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
"""Each country of the ISO 13616 registry with the length of its IBANs."""


def ibans(text: str) -> Iterator[SensitiveSpan]:
    for match in _IBAN.finditer(text):
        country = _IBAN_LENGTHS.find(match[0][:2].upper())
        if country < 0:
            continue
        length = int(_IBAN_LENGTHS[country + 2 : country + 4])
        for end in range(match.start() + length, match.end() + 1):
            compact = re.sub(r"[^A-Za-z0-9]", "", text[match.start() : end])
            if len(compact) == length:
                is_word = re.match(r"[A-Za-z0-9]", text[end : end + 1]) is not None
                if _mod_97(compact) and not is_word and not _is_in_dump(text, match.start()):
                    yield SensitiveSpan("iban", "IBAN", match.start(), end)
                break


def _mod_97(iban: str) -> bool:
    """Whether the check digits are right (ISO 7064): letters count from 10, the first four characters go last."""
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{1,39}(?:\.\d{1,3}){0,3}(?![\w:])", re.ASCII)
_VERSION = re.compile(
    r"(?:\bv|\bversion[\w ]{0,8}[\"':= ]{0,4}|\brelease |\bbuild |[=~<>]=[\"' ]?|\b[A-Z][A-Za-z]{2,20}/)\Z",
    re.IGNORECASE,
)
"""What comes before versions of four parts, which look like addresses."""
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{0,39}")
"""In every IPv6 address, after at most four characters. Much faster to find than its digits."""


def ip_addresses(text: str) -> Iterator[SensitiveSpan]:
    for match in _IPV4.finditer(text):
        before = text[max(0, match.start() - 24) : match.start()]
        if _identifies_host(match[0]) and _VERSION.search(before) is None:
            yield SensitiveSpan("ip", "IPv4 address", match.start(), match.end())
    for colons in _COLONS.finditer(text):
        for start in range(max(0, colons.start() - 4), colons.start() + 1):
            found = _IPV6.match(text, start)
            if found is not None and _identifies_host(found[0]):
                yield SensitiveSpan("ip", "IPv6 address", start, found.end())


def _identifies_host(text: str) -> bool:
    """Whether `text` is an IP address, but not a mask, the loopback or 0.0.0.0."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    enough = address.version == 4 or (text.count(":") > 2 and any(map(str.isdigit, text)))
    return enough and not (address.is_loopback or address.is_unspecified or text.startswith("255."))


_DIGITS = re.compile(r"\d(?:\W{0,4}\d){5,}")
"""In every telephone number. The matcher of the `pii` extra is slow, so it gets only the text around."""
_AROUND = 30
"""Characters."""
_PHONE = re.compile(r"(?<![\w+])\+[1-9](?:[ ()./-]{0,2}\d){7,14}(?!\w)", re.ASCII)


def phones(text: str, country: str | None) -> Iterator[SensitiveSpan]:
    """Numbers valid by the metadata of the `pii` extra; without the extra, numbers with + and country code.

    Raises ImportError if there is a `country` and no extra: its numbers would leave unseen.
    """
    try:
        import phonenumbers
    except ImportError:
        if country is not None:
            raise
        spans = [match.span() for match in _PHONE.finditer(text)]
    else:
        spans = []
        for digits in _DIGITS.finditer(text):
            first = max(0, digits.start() - _AROUND)
            near = text[first : digits.end() + _AROUND]
            matches = phonenumbers.PhoneNumberMatcher(near, country, max_tries=len(near))
            spans += [(first + match.start, first + match.end) for match in matches]
    for start, end in spans:
        yield SensitiveSpan("phone", "telephone number", start, end)
