"""Whether any text can match a pattern: `a^b` and `x$y` match none, and a rule with such a pattern protects nothing.

Only the assertions `^`, `$`, `\\b` and `\\B` can rule a match out, so characters count by their kind alone.
A state is the kind of the character before a place, and the kinds that the next one may have.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable
from importlib import import_module
from typing import Any

# Python's own parser of patterns, which has no public name.
_PREFIX = "re._" if sys.version_info >= (3, 11) else "sre_"
parser, constants = (import_module(_PREFIX + name) for name in ("parser", "constants"))

_WORD, _NEWLINE, _OTHER, _EDGE = "w", "\n", ".", ""
"""A letter, digit or underscore of ASCII, as for RE2's `\\b`; the start or the end of the text."""
_ALL = frozenset({_WORD, _NEWLINE, _OTHER, _EDGE})

_State = tuple[str, frozenset[str]]
_States = frozenset[_State]


def matches_nothing(pattern: str) -> bool:
    """Whether no text can match `pattern`; False also if its syntax is RE2's alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = parser.parse(pattern)
        start = frozenset((before, _ALL) for before in _ALL)
        return not _after(tree, start, tree.state.flags)
    except (re.error, FutureWarning, DeprecationWarning, NotImplementedError, OverflowError, RecursionError):
        return False


def _after(items: Iterable[tuple[Any, Any]], states: _States, flags: int) -> _States:
    """The states after `items`, one after the other, from any of `states`."""
    for operation, argument in items:
        states = _after_one(operation, argument, states, flags)
    return states


def _after_one(operation: Any, argument: Any, states: _States, flags: int) -> _States:
    if operation is constants.AT:
        return frozenset(state for one in states if (state := _asserted(argument, one, flags)) is not None)
    if operation is constants.SUBPATTERN:
        _, added, removed, inner = argument
        return _after(inner, states, (flags | added) & ~removed)
    if operation is constants.BRANCH:
        return frozenset().union(*(_after(branch, states, flags) for branch in argument[1]))
    if operation in (constants.MAX_REPEAT, constants.MIN_REPEAT):
        return _repeated(argument, states, flags)
    if operation in (constants.LITERAL, constants.NOT_LITERAL, constants.ANY, constants.IN):
        kinds = _kinds(operation, argument, flags)
        return frozenset((kind, _ALL) for kind in kinds if any(kind in following for _, following in states))
    raise NotImplementedError  # RE2 has no references and no lookaround


def _repeated(argument: tuple[Any, Any, Any], states: _States, flags: int) -> _States:
    least, most, inner = argument
    for _ in range(min(least, 4)):  # enough for each kind of character
        states = _after(inner, states, flags)
    before: _States = frozenset()
    while states != before and most > least:
        before, states = states, states | _after(inner, states, flags)
    return states


def _kinds(operation: Any, argument: Any, flags: int) -> set[str]:
    """The kinds of the characters that one item matches; a class that is hard to read may match all."""
    if operation is constants.ANY:
        return {_WORD, _OTHER} | ({_NEWLINE} if flags & re.DOTALL else set())
    if operation is constants.LITERAL:
        return {_kind(chr(argument))}
    if operation is constants.NOT_LITERAL or len(argument) != 1:
        return {_WORD, _NEWLINE, _OTHER}
    (inner, value) = argument[0]
    if inner is constants.LITERAL:
        return {_kind(chr(value))}
    shorthand = {
        constants.CATEGORY_DIGIT: {_WORD},
        constants.CATEGORY_WORD: {_WORD},
        constants.CATEGORY_SPACE: {_NEWLINE, _OTHER},
        constants.CATEGORY_NOT_WORD: {_NEWLINE, _OTHER},
        constants.CATEGORY_NOT_SPACE: {_WORD, _OTHER},
    }
    return (
        shorthand.get(value, {_WORD, _NEWLINE, _OTHER})
        if inner is constants.CATEGORY
        else {_WORD, _NEWLINE, _OTHER}
    )


def _kind(character: str) -> str:
    if character == "\n":
        return _NEWLINE
    return _WORD if character.isascii() and (character.isalnum() or character == "_") else _OTHER


def _asserted(assertion: Any, state: _State, flags: int) -> _State | None:
    """The state if `assertion` holds at its place; None if it cannot."""
    before, following = state
    is_multiline = bool(flags & re.MULTILINE)
    if assertion in (constants.AT_BEGINNING, constants.AT_BEGINNING_STRING):
        lines = is_multiline and assertion is constants.AT_BEGINNING
        return state if before == _EDGE or (lines and before == _NEWLINE) else None
    if assertion in (constants.AT_END, constants.AT_END_STRING):
        lines = is_multiline and assertion is constants.AT_END
        following &= {_EDGE, _NEWLINE} if lines else {_EDGE}
    else:
        words = {_WORD}
        changes = assertion is constants.AT_BOUNDARY
        following &= _ALL - words if (before == _WORD) == changes else words
    return (before, following) if following else None
