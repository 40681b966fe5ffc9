"""Find secret values by the names that they are assigned to: `api_key = "..."`, `--token ...`.

After a name that can only mean a secret, a value counts if it looks random. After a name with other
meanings, such as `key`, or at some distance from it, a value counts only if it looks machine-generated.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from hybrid_cli.privacy.extent import opens_quote, quoted_end, run_end, token_end, value_end
from hybrid_cli.privacy.harmless import is_placeholder, is_template

Span = tuple[int, int]


def assignments(text: str, lowered: str) -> Iterator[Span]:
    """The spans of secret values after names in `text`; `lowered` is the same text in lower case."""
    covered = 0
    for place in sorted(places_of_names(text, lowered)):
        if place < covered:
            continue
        span = _clear_value(text, place) or _generated_value(text, place)
        if span is not None:
            # A quote that never closes ends at the quote of a later line, whose name counts, too.
            newline = text.find("\n", *span)
            covered = span[1] if newline < 0 else newline
            yield span


_WORDS = ("pass", "pwd", "pswd", "paswd", "pw", "psk", "key", "token", "secret", "credential", "_pat")
_FOREIGN_WORDS = (
    "ontraseña", "asło", "şifre", "Şifre", "ösenord", "ароль", "ật khẩu", "密码", "密碼", "口令", "パスワード", "暗証番号",
    "비밀번호", "암호", "รหัสผ่าน", "पासवर्ड", "كلمة المرور", "كلمة السر", "סיסמה", "סיסמא", "ωδικός",
)  # fmt: skip
_WORDS_OF_LANGUAGES = (
    "kennwort",
    "senha",
    "contrasena",
    "wachtwoord",
    "parola",
    "salasana",
    "adgangskode",
    "heslo",
)
"""Password in other languages. The word for it in many more contains `pass`."""


def places_of_names(text: str, lowered: str) -> Iterator[int]:
    """The places after words that announce a secret."""
    for word in _WORDS + _WORDS_OF_LANGUAGES:
        yield from _places_after(word, lowered)
    if not text.isascii():
        for word in _FOREIGN_WORDS:
            yield from _places_after(word, text)


def _places_after(word: str, text: str) -> Iterator[int]:
    place = text.find(word)
    while place >= 0:
        yield place + len(word)
        place = text.find(word, place + len(word))


_PASSWORD_NAME = re.compile(
    r"(?:passw(?:or[dt]|d)?s?|passphrase|passcode|paswd|pswd|pwd|pass|(?<![a-z])(?:pw|psk)|kennwort|senha|contrasena|wachtwoord|parola"
    rf"|salasana|adgangskode|heslo|mot de passe|palavra-passe|{'|'.join(_FOREIGN_WORDS)})"
    r"(?:[_.-]?(?:base|value|prod|live|test|\d{1,2}))?\Z",
    re.IGNORECASE | re.ASCII,
)
_TOKEN_NAME = re.compile(
    r"(?:(?:api|access|auth|private|encryption|signing|master|account|client|service|storage|shared|webhook|consumer"
    r"|deploy|app|secret|license|session)[_.-]?key|secret(?:[_.-]?(?:key|id))?|token|credentials?|_pat|salt)"
    r"(?:[_.-]?(?:base|value|prod|live|test|\d{1,2}))?\Z",
    re.IGNORECASE | re.ASCII,
)
_REST_OF_NAME = re.compile(r"[A-Za-z0-9_.-]{0,24}", re.ASCII)
_SEPARATOR = re.compile(
    r"[\\\"'`\])]{0,4}(?: (?:for|of|von|für|de|pour|del|du|do|da) [\w.@/-]{1,60}(?=:| (?:is|ist|est|es|è|é) ))?[ \t]{0,20}(?::[ \t]{0,4}&?[A-Za-z][\w.<>\[\]?|]{0,24}[ \t]{1,4}=[ \t]{1,4}(?=[\"'`])|\r?\n?[ \t]{0,4}(?:=>|::?:?=|[?+]=|\|\||\?\?|[:=])\s{0,20}|(?:[ \t][\w:.-]{1,30}=[\"'][^\"'<>\n]{0,60}[\"']){0,4}[ \t]?>|[ \t]{0,20}\|[ \t]{1,20}(?=[^\s|-])|(?P<said>(?:was|is|ist|lautet|war|era|est|es|è|é|to|=)"
    r"(?::|[ \t])[ \t]{0,4}|[は是为為이가은는])[ \t]{0,4}|(?P<option>[ \t]{1,4}))"
    r"(?:[|>][+-]?[ \t]*\r?\n[ \t]*)?(?:[rbfuLU@]{1,2}(?=[\"']))?\\{0,7}[\"'`]?"
)
_STRONG = re.compile(
    r"(?=[A-Za-z]{0,30}\d)(?=[^\WA-Z]{0,30}[A-Z])(?=[^\Wa-z]{0,30}[a-z])(?=\w{0,30}?\d\w{0,30}?[A-Za-z]\w)[A-Za-z0-9]{8,40}(?![\w/.(-])",
    re.ASCII,
)
"""A word in prose that is a password: letters of both cases and digits, in turn."""
_MOST_OF_A_NAME = 40
_HAS_SIGN = re.compile(r"\n?[^\n]{0,400}?[\d!#$%^~@]")
"""A digit or a sign: a value without them is no secret."""
_CODE = re.compile(r"[^\s\"'`,;<>(){}\[\]|\\]*[(\[{]")


def _clear_value(text: str, place: int) -> Span | None:
    """The value after a name that can only mean a secret, if it looks random."""
    name_end = run_end(_REST_OF_NAME, text, place)
    while name_end > place and text[name_end - 1] in ".-":
        name_end -= 1
    name_start = max(0, place - _MOST_OF_A_NAME)
    separator = _SEPARATOR.match(text, name_end)
    if separator is None or _HAS_SIGN.match(text, separator.end()) is None:
        return None
    least_run = least_run_after(text, name_start, name_end)
    if least_run is None:
        return None
    is_password = least_run == _PASSWORD_RUN
    if separator["option"] and not (
        _takes_argument(text, place, separator.end())
        or (is_password and _STRONG.match(text, separator.end()) is not None)
    ):
        return None
    if separator["said"] and not is_password:
        return None
    start = separator.end()
    opened = start if opens_quote(text, start) else _opened_before_name(text, place)
    is_setting = separator["option"] is None and separator["said"] is None and _is_setting(text, place)
    if not _is_likely(text, start, opened, least_run, is_whole_line=is_setting and "=" in separator[0]):
        return None
    end = value_end(text, start, opened=opened, is_whole_line=is_setting)
    return start, end if opened is not None else _without_end_of_clause(text, start, end)


_PASSWORD_RUN = 6


def least_run_after(text: str, start: int, end: int) -> int | None:
    """The least run of letters and digits in a secret value after the name that ends at `end`; None for other names."""
    if _PASSWORD_NAME.search(text, start, end) is not None:
        return _PASSWORD_RUN
    if _TOKEN_NAME.search(text, start, end) is None:
        return None
    return 10 if "secret" in text[start:end].lower() else 12


_QUOTED_NAME = re.compile(r"[\"'`](?:[\w.-]{0,40})\Z", re.ASCII)


def _opened_before_name(text: str, place: int) -> int | None:
    """The place after the quote that opens before the name that ends near `place`, as in `"password=..."`."""
    found = _QUOTED_NAME.search(text, max(0, place - _MOST_OF_A_NAME), place)
    return None if found is None else found.start() + 1


def _is_likely(text: str, start: int, opened: int | None, least_run: int, *, is_whole_line: bool) -> bool:
    """Whether the value that begins at `start` looks like a secret, from its first characters."""
    lead = min(start, 2 * _MOST_OF_A_NAME)
    near = text[start - lead : start + _JUDGED]
    is_code = near[lead : lead + 1] in ("<", "(", "{", "[", "$", "*", "&") or _CODE.match(near, lead)
    if opened != start and is_code:
        return False
    opened_near = None if opened is None else opened - (start - lead)
    value = near[lead : value_end(near, lead, opened=opened_near, is_whole_line=is_whole_line)]
    if opened is None and not is_whole_line:
        value = value.split()[0] if value.split() else ""
    return is_secret_value(value, least_run, is_quoted=opened is not None)


def is_secret_value(value: str, least_run: int, *, is_quoted: bool) -> bool:
    """Whether `value`, which a name announces as a secret, is one, and neither a placeholder nor ordinary words."""
    if is_template(value):
        return False
    words = [word for word in value.split() if not is_placeholder(word)]
    return any(_looks_random(word, least_run, is_quoted=is_quoted) for word in words) or _is_in_groups(words)


_GROUP = re.compile(r"(?=[A-Za-z]{0,7}\d)(?=\d{0,7}[A-Za-z])[A-Za-z0-9]{3,8}")


def _is_in_groups(words: list[str]) -> bool:
    """Whether `words` are a secret in groups, most of them of letters and digits, such as recovery codes."""
    mixed = sum(_GROUP.fullmatch(word) is not None for word in words)
    return 3 <= len(words) <= 12 and mixed * 2 > len(words)


_SETTING = re.compile(
    r"[ \t]*(?:(?:export|set|setx|setenv|env|ENV|ARG|let|const|var|-|\*|>|\+|#|//)[ \t]+){0,3}[\"'$]?[\w.\[\]/:-]*\Z",
    re.ASCII,
)


def _is_setting(text: str, place: int) -> bool:
    """Whether the name that ends near `place` begins its line, as in files of settings."""
    line = text.rfind("\n", 0, place) + 1
    return place - line < 120 and _SETTING.match(text, line, place) is not None


_OPTION = re.compile(r"(?:(?<![\w-])-{1,2}|\b(?:setx|setenv|ENV|requirepass)[ \t]{1,4})[\w.-]*\Z", re.ASCII)


def _takes_argument(text: str, place: int, start: int) -> bool:
    """Whether a value may follow a blank: after the option of a command, or in quotes, as in SQL."""
    return (
        opens_quote(text, start) or _OPTION.search(text, max(0, place - _MOST_OF_A_NAME), place) is not None
    )


def _without_end_of_clause(text: str, start: int, end: int) -> int:
    """`end`, but before one or two signs that end a clause or close a bracket."""
    return start + len(text[start : end - 2]) + len(text[max(start, end - 2) : end].rstrip(",;.)]}>"))


_AFTER_NAME = re.compile(
    r"(?P<rest>[A-Za-z0-9_.-]{0,24})(?![\w.-])[\\\"'`\])>]{0,6}(?:\s{0,20}(?:=>|:=|[|?]{2}|[-:=,({]|is\b)"
    r"[\s\\\"'`({\[]{0,20}|[ \t\\\"'`({\[]{1,20}|(?<=>))(?P<value>[A-Za-z0-9_+/=.~%@:!-]{16,400})",
    re.ASCII,
)
_HARMLESS_NAME = re.compile(
    r"(?:cache|primary|foreign|partition|sort|public|object|row|group|idempotency|dedup\w*|host|index|lookup|map|known"
    r"|gpg:|pgp|s3|etag|fingerprint)[ _.-]{0,2}key\Z",
    re.IGNORECASE | re.ASCII,
)


def _generated_value(text: str, place: int) -> Span | None:
    """The value near any name that may mean a secret, if it looks generated by a machine."""
    match = _AFTER_NAME.match(text, place)
    if match is None or _HARMLESS_NAME.search(text, max(0, place - 24), place):
        return None
    value = match["value"]
    if _FILE_NAME.search(match["rest"]) or _IN_BASE64.search(text, max(0, place - 60), place):
        return None
    if _CHECKSUM.search(text, max(0, match.start("value") - 8), match.start("value")):
        return None
    is_key = text[place - 3 : place].lower() == "key"
    if is_placeholder(value) or not _looks_generated(value) or _names_something(value, is_key=is_key):
        return None
    start, end = match.span("value")
    return start, max(quoted_end(text, start) or 0, token_end(text, start, end))


_FILE_NAME = re.compile(r"(?:\.[a-z]{1,5}|\Astore)\Z", re.ASCII)
_IN_BASE64 = re.compile(r"[A-Za-z0-9+/]{40,}\Z")
_CHECKSUM = re.compile(r"(?:h1:|sha\d{1,3}[-=:]|md5[-=:])\Z", re.IGNORECASE)
_MIXED_RUN = re.compile(r"[A-Za-z0-9]{6,}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SWITCH = re.compile(r"(?<=[A-Za-z])[0-9]|(?<=[0-9])[A-Za-z]")
_SIGNS = frozenset("!#$%^&*;\"'<>?,@~\\|")
"""Signs of passwords that names, paths and numbers seldom contain."""
_MIN_ENTROPY = 3.0
"""Bits per character. English words have about 2.5 to 3, 32 random hexadecimal digits 3.6."""
_MIN_GENERATED_RUN = 10
_MIN_SWITCHES = 3
"""Changes from letter to digit or back. Names with a version or a year have one or two."""
_JUDGED = 400
"""Characters of a value that are enough to judge it by."""


def _looks_random(value: str, least_run: int, *, is_quoted: bool) -> bool:
    """Whether `value` mixes letters with digits, in one run or among signs, and has enough entropy."""
    value = value[:_JUDGED]
    if len(value) < 6:
        return False
    if not any(one.isdigit() for one in value):
        return _has_signs_only(value)
    mixed = any(
        len(run) >= least_run and not run.isalpha() and not run.isdigit() for run in _MIXED_RUN.findall(value)
    )
    may_be_signed = least_run <= 6 or (is_quoted and len(value) >= least_run)
    signed = may_be_signed and not _SIGNS.isdisjoint(value[:-1]) and any(map(str.isalpha, value))
    is_random = mixed or signed or _UUID.fullmatch(value) is not None
    return is_random and _entropy(value) >= min(_MIN_ENTROPY, math.log2(len(value)) * 0.8)


_SIGN_IN_WORD = re.compile(r"(?<=[A-Za-z])[!#$%^~@](?=[A-Za-z])")


def _has_signs_only(value: str) -> bool:
    """Whether `value` is a password without digits: letters of both cases, and two signs among them."""
    is_mixed = value != value.lower() and value != value.upper()
    is_one_run = _BRACKET.search(value) is None
    return is_mixed and is_one_run and len(value) >= 10 and len(_SIGN_IN_WORD.findall(value)) >= 2


_BRACKET = re.compile(r"[()\[\]{}<>/;]|[%@$]s\b")


def _looks_generated(value: str) -> bool:
    """Whether letters and digits alternate as in generated keys. Not for UUIDs, which also name things."""
    value = value[:_JUDGED]
    if _UUID.search(value):
        return False
    runs = (run for run in _MIXED_RUN.findall(value) if len(run) >= _MIN_GENERATED_RUN)
    alternates = any(len(_SWITCH.findall(run)) >= _MIN_SWITCHES for run in runs)
    return alternates and _entropy(value) >= _MIN_ENTROPY


_PUBLIC = re.compile(
    r"AAAA[BCE][23][NV]|MII[A-Za-z0-9+/]{2,3}jANBgkqhkiG9w0BAQEF|MFkwEwYHKoZIzj0|MHYwEAYHKoZIzj0|MCowBQYDK2V|MII[CDEFG]"
    r"|sha(?:1|256|384|512)[-:=]|https?://"
)
_PATH = re.compile(
    r"[/.~]{0,2}[a-z][a-z_.-]{2,}[/:]|[0-9A-HJKMNP-TV-Z]{26}\Z|[A-Z2-7]{16,}={0,6}\Z|0x[0-9A-F]{8,40}\Z|[0-9A-F]{16,40}\Z"
)


def _names_something(value: str, *, is_key: bool) -> bool:
    """Whether `value` is a public key or checksum, or after `key` a path, an identifier or a fingerprint."""
    return _PUBLIC.match(value) is not None or (is_key and _PATH.match(value) is not None)


def _entropy(value: str) -> float:
    """The Shannon entropy of `value`, in bits per character."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
