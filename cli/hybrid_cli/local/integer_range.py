"""GBNF rules for the numbers of a range, because llama.cpp's converter knows no bounds."""

from __future__ import annotations

from collections.abc import Iterator

_MOST_DIGITS = 15
"""Of a range without an end: every such number is exact in JSON."""


def integer_rule(lowest: int | None, highest: int | None) -> str:
    """The alternatives that match exactly the integers from `lowest` to `highest`, without leading zeros.

    A bound of None is the largest number of 15 digits. Raises ValueError for an empty range.
    """
    most = 10**_MOST_DIGITS - 1
    low = -max(most, abs(highest or 0)) if lowest is None else lowest
    high = max(most, abs(lowest or 0)) if highest is None else highest
    if low > high:
        raise ValueError("an integer has no value between its bounds")
    alternatives = []
    if low < 0:
        alternatives += [f'"-" ({" | ".join(_of_length(max(1, -high), -low))})']
    if high >= 0:
        alternatives += _of_length(max(0, low), high)
    return " | ".join(alternatives)


def number_rule(lowest: int | None, highest: int | None) -> str:
    """The alternatives that match numbers from `lowest` to `highest`, with up to 15 digits after the point.

    A bound of None is as in `integer_rule`, and so are bounds beyond it. Raises ValueError for an empty range.
    """
    most = 10**_MOST_DIGITS
    low = -most if lowest is None else max(lowest, -most)
    high = most if highest is None else min(highest, most)
    if low > high:
        raise ValueError("a number has no value between its bounds")
    alternatives = [f'"-" ({_magnitudes(max(0, -high), -low)})'] if low < 0 else []
    if high >= 0:
        alternatives.append(_magnitudes(max(0, low), high))
    return " | ".join(alternatives)


def _magnitudes(low: int, high: int) -> str:
    """The alternatives for numbers without a sign; those that begin with `high` have no fraction but zero."""
    last = f'({integer_rule(high, high)}) ("." [0]{{1,{_MOST_DIGITS}}})?'
    if low == high:
        return last
    return f'({integer_rule(low, high - 1)}) ("." [0-9]{{1,{_MOST_DIGITS}}})? | {last}'


def _of_length(low: int, high: int) -> Iterator[str]:
    """The alternatives for natural numbers from `low` to `high`, one number of digits after the other."""
    for digits in range(len(str(low)), len(str(high)) + 1):
        first = 10 ** (digits - 1) if digits > 1 else 0
        yield _between(str(max(low, first)), str(min(high, 10**digits - 1)))


def _between(low: str, high: str) -> str:
    """The rule for numbers from `low` to `high`, which have the same number of digits."""
    if not low:
        return ""
    if low.strip("0") == "" and high.strip("9") == "":
        return f"[0-9]{{{len(low)}}}" if len(low) > 1 else "[0-9]"
    if low[0] == high[0]:
        return f'"{low[0]}" {_between(low[1:], high[1:])}'.strip()
    rest = len(low) - 1
    parts = []
    start, end = int(low[0]), int(high[0])
    if low[1:].strip("0"):  # numbers with the first digit of `low`
        parts.append(f'"{low[0]}" {_between(low[1:], "9" * rest)}')
        start += 1
    upper = ""
    if high[1:].strip("9"):  # numbers with the first digit of `high`
        upper = f'"{high[0]}" {_between("0" * rest, high[1:])}'
        end -= 1
    if start <= end:
        digit = f"[{start}-{end}]" if start < end else f'"{start}"'
        parts.append(f"{digit} {_between('0' * rest, '9' * rest)}".strip())
    parts += [upper] if upper else []
    return parts[0] if len(parts) == 1 else f"({' | '.join(parts)})"
