"""Every place where a document does not fit the schema, each with its line and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from hybrid_cli.profile.schema import Profile
from hybrid_cli.profile.strict_yaml import Document, KeyPath
from hybrid_cli.ui.environment import cut
from hybrid_cli.ui.suggest import nearest

_MOST_MISTAKES = 50

_PLACE = re.compile(r"(?P<problem>.*?)(?: - at `(?:key in )?\$(?P<path>[^`]*)`)?", re.DOTALL)
_PART = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_WRONG_WORD = re.compile(r"Invalid enum value '(?P<word>.*)'", re.DOTALL)
_NAMED_FIELD = re.compile(r"(?P<field>\w+): (?P<problem>.*)", re.DOTALL)


def schema_mistakes(document: Document) -> Iterator[tuple[int, str]]:
    """Line and message of each mistake: what fails is taken out and the rest is tried again.

    Of a list's item the first mistake is told, as the whole item is taken out. After fifty mistakes the
    rest is not looked for.
    """
    data = deepcopy(document.data)
    taken = _TakenItems()
    for _ in range(_MOST_MISTAKES):
        try:
            msgspec.convert(data, Profile)
        except msgspec.ValidationError as error:
            path, problem = _explain(str(error))
            written = taken.as_written(path)
            shown = cut(".".join(str(part) for part in written))
            yield _line_of(written, document), f"{shown}: {problem}" if shown else problem
            if not _take_out(data, path, taken):
                return
        else:
            return


class _TakenItems:
    """Which items were taken out of lists, to tell where in the file the ones that follow stand."""

    def __init__(self) -> None:
        self._indices: dict[KeyPath, list[int]] = {}

    def as_written(self, path: KeyPath) -> KeyPath:
        written: list[str | int] = []
        for part in path:
            if isinstance(part, int):
                for index in sorted(self._indices.get(tuple(written), [])):
                    part += index <= part  # noqa: PLW2901
            written.append(part)
        return tuple(written)

    def add(self, path: KeyPath) -> None:
        *parents, index = self.as_written(path)
        if isinstance(index, int):
            self._indices.setdefault(tuple(parents), []).append(index)


def _explain(error: str) -> tuple[KeyPath, str]:
    """The key path and the message of msgspec's error, with what could stand there instead."""
    match = _PLACE.fullmatch(error)
    problem, dotted = (match["problem"], match["path"] or "") if match else (error, "")
    path: KeyPath = tuple(int(index) if index else word for word, index in _PART.findall(dotted))
    unknown = _UNKNOWN_FIELD.fullmatch(problem)
    if unknown:
        return (*path, unknown["field"]), f"unknown key{_nearest(unknown['field'], _keys_at(path))}"
    named = _NAMED_FIELD.fullmatch(problem)
    if named and named["field"] in _keys_at(path):
        return (*path, named["field"]), named["problem"]
    choices = _choices(_type_at(path))
    if choices and (problem.startswith("Invalid enum value") or "got `bool`" in problem):
        wrong = _WRONG_WORD.fullmatch(problem)
        close = nearest(wrong["word"], choices) if wrong else None
        problem += f"; did you mean `{close}`?" if close else f"; write {_one_of(choices)}"
    return path, problem


def _one_of(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if words[1:] else words[0]


def _line_of(path: KeyPath, document: Document) -> int:
    while path not in document.lines and path:
        path = path[:-1]
    return document.lines.get(path, 1)


def _take_out(data: Any, path: KeyPath, taken: _TakenItems) -> bool:
    """Remove what is at `path`, or the list's item around it; whether there was anything."""
    items = [place for place, part in enumerate(path) if isinstance(part, int)]
    if items:
        path = path[: items[-1] + 1]
        taken.add(path)
    for part in path[:-1]:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return False
    try:
        del data[path[-1]]
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _nearest(word: str, known: list[str]) -> str:
    close = nearest(word, known)
    return f"; did you mean `{close}`?" if close else f"; known are {', '.join(known)}"


def _options(kind: inspect.Type) -> list[inspect.Type]:
    """The types that a value may be of, without their bounds' and unions' wrapping."""
    if isinstance(kind, inspect.Metadata):
        return _options(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [option for member in kind.types for option in _options(member)]
    return [kind]


def _type_at(path: KeyPath) -> inspect.Type:
    """The schema's type of what is at `path`."""
    kind = _profile_type()
    for part in path:
        for option in _options(kind):
            if isinstance(option, inspect.StructType) and isinstance(part, str):
                kind = next(field.type for field in option.fields if field.name == part)
            elif isinstance(option, inspect.ListType) and isinstance(part, int):
                kind = option.item_type
    return kind


@cache
def _profile_type() -> inspect.Type:
    return inspect.type_info(Profile)


def _keys_at(path: KeyPath) -> list[str]:
    """The keys that the schema knows below `path`."""
    for option in _options(_type_at(path)):
        if isinstance(option, inspect.StructType):
            return [field.name for field in option.fields]
    return []


def _choices(kind: inspect.Type) -> list[str]:
    """The words that may stand where the schema has `kind`; none where it is no choice of words."""
    return [
        str(value)
        for option in _options(kind)
        if isinstance(option, inspect.LiteralType)
        for value in option.values
    ]
