"""Calculations that an answer gets wrong: its own equations, and the one expression that a prompt asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

_LATEX = {
    r"\times": "*",
    r"\cdot": "*",
    r"\div": "/",
    "×": "*",
    "·": "*",
    "÷": "/",
    "−": "-",
    "–": "-",
    "**": "^",
}
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_TERM = rf"[-+]?\$?(?:{_NUMBER})"
_OPEN, _CLOSE = r"(?:\( ?){0,8}", r"(?: ?\)){0,8}"
_EXPRESSION = rf"{_OPEN}{_TERM}{_CLOSE}(?: ?[-+*/^] ?{_OPEN}{_TERM}{_CLOSE}){{0,40}}"
"""Its repetitions are bounded, so that a long text is searched in linear time."""
_EQUATION = re.compile(rf"(?<![\w.,%:])({_EXPRESSION}) ?=(?!=) ?({_EXPRESSION})(?![\w%(*/^=:]|\.\d)")
_ASKED = re.compile(rf"(?<![\w.,%:/-])({_EXPRESSION})(?![\w%]|\.\d)")
_TOKEN = re.compile(rf"\s*(?:({_NUMBER})|([-+*/^()]))")
_REQUEST = frozenset(
    re.findall(
        r"\w+",
        "a and answer calculate compute equals evaluate give how i is it just me much number of only please print reply"
        " result s simplify single solve tell the to value what whats with",
    )
)
"""The words of a prompt that asks for nothing but the value of its expression."""
_LONGEST = 200
"""Characters of an expression that is calculated."""
_MOST_BITS = 4096
_FLOAT_ERROR = Fraction(1, 10**12)
_IN_WORDS = re.compile(r"\b(?:negative|minus|thousand|million|[bt]rillion)\b|\d[kKM]\b", re.IGNORECASE)
"""Numbers that are partly written in words."""
_OPERATORS = {"times": "*", "multiplied by": "*", "plus": "+", "minus": "-", "divided by": "/"}
_DENIED = re.compile(r"[^.\n]{0,3}\b(?:is|are|was) (?:wrong|false|incorrect|not)\b")


def miscalculation(answer: str, prompt: str, context: str) -> str | None:
    """Return what `answer` calculates wrongly, for a message; None if nothing, or if it does not calculate."""
    text = _plain(answer)
    if _IN_WORDS.search(text):
        return None
    for left, right in _equations(text):
        if not _equal(left, right):
            return f"says that {left.strip()} = {right.strip()}"
    expression = None if context else _requested(_plain(prompt))
    numbers = re.findall(rf"-?(?:{_NUMBER})", text)
    others = [found[1] for found in _ASKED.finditer(text)]
    if expression is None or not numbers or any(_equal(expression, other) for other in [*numbers, *others]):
        return None
    return f"is not {expression.strip()}"


def _plain(text: str) -> str:
    for sign, plain in _LATEX.items():
        text = text.replace(sign, plain)
    words = "|".join(_OPERATORS)
    text = re.sub(rf"(?<=\d) ({words}) (?=\d)", lambda found: f" {_OPERATORS[found[1]]} ", text)
    return re.sub(r"(?<=[\d)])(?<!\b0)\s*[xX]\s*(?=[\d($])", " * ", text)


def _equations(text: str) -> Iterator[tuple[str, str]]:
    """Yield both sides of each equation between numbers, at least one of which calculates."""
    for found in _EQUATION.finditer(text):
        left, right = found[1], found[2]
        before, after = text[: found.start(1)].rstrip(), text[found.end(2) :].lstrip()
        goes_on = before.endswith(tuple("+-*/^(")) or after.startswith(tuple("+-*/^=("))
        follows_variable = left.lstrip()[:1] in ("+", "-") and before[-1:].isalnum()
        is_denied = _DENIED.match(after) is not None or before.endswith(" not")
        if (
            not goes_on
            and not follows_variable
            and not is_denied
            and "%" not in before[-12:]
            and _calculates(left)
        ):
            yield left, right


def _calculates(expression: str) -> bool:
    return re.search(r"[\d)]\s*[-+*/^]", expression) is not None


def _requested(prompt: str) -> str | None:
    """Return the expression whose value is all that `prompt` asks for; None if it asks for anything else."""
    found = [one[1] for one in _ASKED.finditer(prompt)]
    if len(found) != 1 or not _calculates(found[0]):
        return None
    words = re.findall(r"[^\W\d]+", prompt.casefold())
    is_ratio = re.fullmatch(r"\d+/\d+", found[0].strip()) is not None  # 24/7, 9/11
    return found[0] if _REQUEST.issuperset(words) and not is_ratio else None


def _equal(expression: str, stated: str) -> bool:
    """Whether both sides agree, as far as `stated` is rounded; True where either cannot be calculated."""
    left, right = _value(expression), _value(stated)
    if left is None or right is None:
        return True
    decimals = len(stated.strip().rpartition(".")[2]) if "." in stated else 0
    rounded_or_cut = Fraction(1, 10**decimals) if decimals else Fraction(1, 2)
    is_exact = (left * 10**decimals).denominator == 1
    slack = Fraction(0) if is_exact else rounded_or_cut
    return abs(left - right) <= max(slack, abs(left) * _FLOAT_ERROR)


def _value(expression: str) -> Fraction | None:
    if len(expression) > _LONGEST:
        return None
    tokens = [number or sign for number, sign in _TOKEN.findall(expression.replace("$", ""))]
    try:
        value = _sum(tokens)
    except (IndexError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return value if not tokens else None


def _sum(tokens: list[str]) -> Fraction:
    value = _product(tokens)
    while tokens and tokens[0] in "+-":
        value = value + _product(tokens) if tokens.pop(0) == "+" else value - _product(tokens)
    return value


def _product(tokens: list[str]) -> Fraction:
    value = _power(tokens)
    while tokens and tokens[0] in "*/":
        value = value * _power(tokens) if tokens.pop(0) == "*" else value / _power(tokens)
    return value


def _power(tokens: list[str]) -> Fraction:
    if tokens[0] in "+-":  # a sign binds less than a power
        return _power(tokens) if tokens.pop(0) == "+" else -_power(tokens)
    value = _atom(tokens)
    if tokens and tokens[0] == "^":
        tokens.pop(0)
        exponent = _power(tokens)
        bits = max(abs(value.numerator), value.denominator).bit_length()
        if exponent.denominator != 1 or bits * abs(exponent) > _MOST_BITS:
            raise ValueError
        value = value ** int(exponent)
    return value


def _atom(tokens: list[str]) -> Fraction:
    part = tokens.pop(0)
    if part != "(":
        return Fraction(part.replace(",", ""))
    value = _sum(tokens)
    if tokens.pop(0) != ")":
        raise ValueError
    return value
