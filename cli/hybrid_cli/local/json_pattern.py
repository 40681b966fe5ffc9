"""Regular expressions, rewritten for llama.cpp's converter so that they match the same text inside a JSON string.

The converter takes a pattern nearly as it is, as part of a grammar of JSON text. There a quote, a backslash and control
characters must be written as escapes, and `.`, `[^a]` or `[ -~]` must not match them.
"""

from __future__ import annotations

import json
import re

Ranges = list[tuple[int, int]]

_LAST = 0x10FFFF
_UNITS = re.compile(
    r"\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?:[*+?]|\{\d+(?:,\d*)?\})\??|\(\?:?|.",
    re.DOTALL,
)
_COUNTS = re.compile(r"\{(\d+)(,?)(\d*)\}")
_MAX_REPEATS = 1000
"""llama.cpp refuses grammars with many more."""
_ITEMS = re.compile(r"\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_SHORTHANDS: dict[str, Ranges] = {
    "d": [(0x30, 0x39)],
    "w": [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)],
    "s": [(0x20, 0x20)],
}
_SPACES: Ranges = [(9, 13), (28, 32), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)]
_SPACES += [(0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)]
_NOT_RAW: Ranges = [(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)]
"""What a JSON string must escape."""
_ESCAPED = (0x22, 0x5C, 0x09, 0x0A, 0x0D)
"""Characters whose escapes a class allows; answers seldom have others."""
_ANY = "."


def for_json(pattern: str) -> str:
    """Return the pattern from `^` to `$`, as the converter wants it. Raises ValueError for what no grammar can express."""
    alternatives: list[list[str]] = [[]]
    depth = 0
    for unit in _UNITS.findall(pattern):
        depth += unit.startswith("(") - (unit == ")")
        if unit == "|" and depth == 0:
            alternatives.append([])
        else:
            alternatives[-1].append(unit)
    return f"^({'|'.join(map(_alternative, alternatives))})$"


def _alternative(units: list[str]) -> str:
    """Return one alternative of a pattern. Without an anchor anything may be before it, or after it."""
    begins, ends = units[:1] == ["^"], units[-1:] == ["$"]
    units = units[begins : len(units) - ends]
    rest = f"{_unit(_ANY)}*"
    return ("" if begins else rest) + "".join(map(_unit, units)) + ("" if ends else rest)


def _unit(unit: str) -> str:
    """Return one part of a pattern: a character, a class, a group's sign or a quantifier."""
    if unit in ("^", "$", "(?"):
        raise ValueError(f"no grammar can express `{unit}` inside a pattern")
    if unit == _ANY:
        return _class(_without(_complement([(10, 10)]), _NOT_RAW))
    if unit.startswith("[") and len(unit) > 1:
        return _of_class(unit)
    if unit.startswith("\\"):
        is_shorthand = unit[1:].lower() in _SHORTHANDS
        return _class(_without(_shorthand(unit[1]), _NOT_RAW)) if is_shorthand else _literal(_character(unit))
    return _quantifier(unit) or (unit[0] if unit in ("(", "(?:", ")", "|") else _literal(unit))


def _quantifier(unit: str) -> str | None:
    """Return a quantifier; None for another unit. A lazy one matches the same text."""
    if unit.rstrip("?") in ("", "*", "+"):
        return unit[0]
    counts = _COUNTS.fullmatch(unit.removesuffix("?"))
    return None if counts is None else _repeats(counts)


def _repeats(counts: re.Match[str]) -> str:
    """Return a quantifier with counts, or a looser one if they are too high for llama.cpp."""
    low = int(counts[1])
    high = int(counts[3]) if counts[3] else None if counts[2] else low
    least = min(low, _MAX_REPEATS)
    return f"{{{least},}}" if high is None or high > _MAX_REPEATS else f"{{{least},{high}}}"


def _literal(character: str) -> str:
    if character.isalnum():
        return character
    if ord(character) < 0x20 or character in '"\\':
        return _escape(character)
    return _class([(ord(character), ord(character))])


def _escape(character: str) -> str:
    """Return the JSON escape of a character, as one unit."""
    text = json.dumps(character)[1:-1]
    return "(" + text.replace("\\", r"\\") + ")"


def _of_class(text: str) -> str:
    negated = text.startswith("[^")
    ranges, has_shorthand = _ranges(text[2 if negated else 1 : -1])
    if negated:
        return _class(_without(_complement(ranges), _NOT_RAW))
    raw = _without(ranges, _NOT_RAW)
    if has_shorthand:
        return _class(raw)
    parts = [_class(raw)] if raw else []
    parts += [_escape(chr(code)) for code in _ESCAPED if any(low <= code <= high for low, high in ranges)]
    return parts[0] if len(parts) == 1 else f"({'|'.join(parts)})"


def _ranges(text: str) -> tuple[Ranges, bool]:
    """Return the ranges of the inside of a class, and whether `\\S` or its like is among them."""
    items, found, negative = _ITEMS.findall(text), [], False
    place = 0
    while place < len(items):
        item = items[place]
        if item.startswith("\\") and item[1:].lower() in _SHORTHANDS:
            found += _shorthand(item[1])
            negative |= item[1].isupper()
            place += 1
            continue
        low = high = ord(_character(item))
        if items[place + 1 : place + 2] == ["-"] and place + 2 < len(items):
            high = ord(_character(items[place + 2]))
            place += 2
        if low > high:
            raise ValueError(f"a range in `[{text}]` is empty")
        found.append((low, high))
        place += 1
    return found, negative


def _character(item: str) -> str:
    """Return the character that a character or an escape means."""
    if not item.startswith("\\"):
        return item
    if len(item) > 2:
        return chr(int(item[2:], 16))
    sign = item[1:]
    if sign in _CONTROLS:
        return _CONTROLS[sign]
    if not sign or sign.isalnum() or not sign.isascii():
        raise ValueError(f"no grammar can express `{item}` in a pattern")
    return sign


def _shorthand(letter: str) -> Ranges:
    if letter.islower():
        return _SHORTHANDS[letter]
    return _complement(_SPACES if letter == "S" else _SHORTHANDS[letter.lower()])


def _complement(ranges: Ranges) -> Ranges:
    return _without([(0, _LAST)], ranges)


def _without(ranges: Ranges, others: Ranges) -> Ranges:
    """Return `ranges` without the characters of `others`."""
    for start, end in others:
        pieces = [(low, min(high, start - 1)) for low, high in ranges if low < start]
        pieces += [(max(low, end + 1), high) for low, high in ranges if high > end]
        ranges = pieces
    return sorted(ranges)


def _class(ranges: Ranges) -> str:
    if not ranges:
        raise ValueError("a character class in a pattern allows no character")
    return f"[{''.join(map(class_range, ranges))}]"


def class_range(bounds: tuple[int, int]) -> str:
    """Return a range of characters as part of a GBNF character class."""
    low, high = (
        chr(code) if chr(code).isascii() and chr(code).isalnum() else rf"\U{code:08X}" for code in bounds
    )
    return low if low == high else f"{low}-{high}"
