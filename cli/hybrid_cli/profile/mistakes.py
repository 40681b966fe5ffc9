"""What is wrong with a profile: every mistake with its line, and what to write instead."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from hybrid_cli.profile.schema import Profile
from hybrid_cli.profile.strict_yaml import Document, KeyPath
from hybrid_cli.ui.sanitize import shorten
from hybrid_cli.ui.suggest import nearest

_MAX_MISTAKES = 50
_MAX_VALUE_LENGTH = 40

_PLACE = re.compile(r"(?P<problem>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`)?", re.DOTALL)
_ANY_VALUE = "[...]"
"""In a path of msgspec's: one of a mapping's values, it does not say which."""
_PART = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<field>\w+)`")
_WRONG_VALUE = re.compile(r"Invalid enum value '(?P<value>.*)'", re.DOTALL)
_NAMED_FIELD = re.compile(r"(?P<field>\w+): (?P<problem>.*)", re.DOTALL)
_VALIDATOR = re.compile(r"Expected|Invalid|Integer value out of range")
"""How msgspec's own messages begin; all others come from the schema's `__post_init__`."""


def schema_mistakes(document: Document) -> Iterator[tuple[int, str]]:
    """Line and message of each place where `document` does not fit the profile's schema."""
    return mistakes_of(_with_inherited_server(deepcopy(document.data)), Profile, document)


def mistakes_of(
    data: Any, root: type[msgspec.Struct], document: Document, above: KeyPath = ()
) -> Iterator[tuple[int, str]]:
    """Line and message of each place where `data` is no `root`. It stands in `document` at the path `above`.

    msgspec stops at the first mistake: its value is removed and the rest checked again, fifty times at
    most. A list loses the whole item, so each item reports only its first mistake. `data` is changed.
    """
    removed = _RemovedItems()
    for _ in range(_MAX_MISTAKES):
        try:
            msgspec.convert(data, root)
        except msgspec.ValidationError as error:
            path, problem = _explain(str(error), data, root)
            original = removed.original(path)
            whole = (*above, *original)
            shown = shorten(".".join(str(part) for part in whole))
            if not removed.explain(original, problem):
                yield _line_of(whole, document), f"{shown}: {problem}" if shown else problem
            if not _remove(data, path, removed):
                return
            removed.keys.setdefault(original[:-1], set()).add(str(original[-1]))
            if path[:1] == ("cloud",) and path[1:] in _STAND_INS:  # else its absence would be a mistake, too
                data["cloud"][_STAND_INS[path[1:]][0]] = _STAND_INS[path[1:]][1]
        else:
            return


_SERVER = ("base_url", "https://inherited.example")
_STAND_INS: dict[KeyPath, tuple[str, str]] = {
    ("use",): _SERVER,
    ("base_url",): _SERVER,
    ("model",): ("model", "inherited"),
}
"""For keys that every cloud needs: what takes the place of a wrong one while the rest is checked."""


def _with_inherited_server(data: Any) -> Any:
    """`data` with a stand-in for the server that its cloud inherits from the profile it extends."""
    cloud = data.get("cloud") if isinstance(data, dict) and "extends" in data else None
    if isinstance(cloud, dict) and "base_url" not in cloud and "use" not in cloud:
        data["cloud"] = {"model": "inherited", **cloud, **dict([_SERVER])}
    return data


class _RemovedItems:
    """What was removed because it is wrong: list items, to find the line of a later one, and keys."""

    def __init__(self) -> None:
        self._indices: dict[KeyPath, list[int]] = {}
        self.keys: dict[KeyPath, set[str]] = {}
        """The keys removed from each section."""

    def explain(self, path: KeyPath, problem: str) -> bool:
        """Whether `problem` is only that the section at `path` now lacks a key that was removed as wrong."""
        names = self.keys.get(path, set())
        words = re.findall(r"\w+", problem)
        return bool(names) and (problem.startswith("set ") or any(name in words for name in names))

    def original(self, path: KeyPath) -> KeyPath:
        """`path` as it was before any item was removed."""
        original: list[str | int] = []
        for part in path:
            if isinstance(part, int):
                for index in sorted(self._indices.get(tuple(original), [])):
                    part += index <= part  # noqa: PLW2901
            original.append(part)
        return tuple(original)

    def add(self, path: KeyPath) -> None:
        *parents, index = self.original(path)
        if isinstance(index, int):
            self._indices.setdefault(tuple(parents), []).append(index)
            self.keys.setdefault(tuple(parents), set()).add("list")  # it may be empty now


def _explain(error: str, data: Any, root: type[msgspec.Struct]) -> tuple[KeyPath, str]:
    """The key path and a message of our own for `error`, one of msgspec's about `data`."""
    match = _PLACE.fullmatch(error)
    problem, dotted = (match["problem"], match["path"] or "") if match else (error, "")
    of_key = match is not None and match["key"] is not None
    path: KeyPath = tuple(int(index) if index else key for key, index in _PART.findall(dotted))
    if unknown := _UNKNOWN_FIELD.fullmatch(problem):
        return (*path, unknown["field"]), _unknown("key", unknown["field"], _keys_at(path, root))
    if missing := _MISSING_FIELD.fullmatch(problem):
        return path, _missing(path, missing["field"])
    named = _NAMED_FIELD.fullmatch(problem)
    if named and named["field"] in _keys_at(path, root):
        return (*path, named["field"]), named["problem"]
    if not _VALIDATOR.match(problem):
        return path, problem
    type_ = _type_at(path, root)
    (first, *_) = _options(type_)
    if isinstance(first, inspect.DictType) and (of_key or dotted.endswith(_ANY_VALUE)):
        type_ = first.key_type if of_key else first.value_type
    return path, _misfit(path, type_, problem, data)


def _missing(path: KeyPath, field: str) -> str:
    if not path:
        return f"`{field}: 1` is missing; write it first" if field == "version" else f"`{field}` is missing"
    return f"needs {field}, too"


def _misfit(path: KeyPath, type_: inspect.Type, problem: str, data: Any) -> str:
    """The message for a value that is not of `type_`, is out of bounds or not among the choices."""
    message = _own_message(type_)
    if message is not None:
        return message
    if not path and type_ is _type_info(Profile):
        return "a profile is a list of keys with values; it starts with `version: 1`"
    choices = _choices(type_)
    wrong = _WRONG_VALUE.fullmatch(problem)
    if choices and wrong:
        return _unknown("value", wrong["value"], choices)
    if path == ("cloud",):  # the value may be a key
        return "must be a section, such as {use: openai, model: gpt-5-mini}"
    mend = ", without quotes" if _is_quoted(type_, _value_at(path, data)) else _not_this(path, data)
    return f"must be {' or '.join(_described(type_))}{mend}"


def _not_this(path: KeyPath, data: Any) -> str:
    """`, not ...` with the wrong value, if it is a short one; never one that could be a key."""
    value = _value_at(path, data)
    if "key" in path or value is _ABSENT or isinstance(value, dict | list):
        return ""
    if isinstance(value, bool):
        return f", not {str(value).lower()}"
    if value is None:
        return "; the value is missing"
    return f", not `{shorten(str(value), _MAX_VALUE_LENGTH)}`"


_ABSENT = object()


def _value_at(path: KeyPath, data: Any) -> Any:
    try:
        for part in path:
            data = data[part]
    except (KeyError, IndexError, TypeError):
        return _ABSENT
    return data


def _is_quoted(type_: inspect.Type, value: Any) -> bool:
    """Whether `value` is text that would be a value of `type_` without its quotes."""
    try:
        bare = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return False
    if isinstance(bare, float) and not math.isfinite(bare):
        return False
    return any(
        type(bare) in _UNQUOTED.get(type(option), ())
        or (isinstance(option, inspect.LiteralType) and type(bare) is int and bare in option.values)
        for option in _options(type_)
    )


_UNQUOTED: dict[type, tuple[type, ...]] = {
    inspect.IntType: (int,),
    inspect.FloatType: (int, float),
    inspect.BoolType: (bool,),
}
"""The types of values that the schema's types allow."""


def _unknown(what: str, name: str, known: list[str]) -> str:
    name = shorten(name, _MAX_VALUE_LENGTH)
    close = nearest(name, known)
    named = f"unknown {what}" if what == "key" else f"unknown {what} `{name}`"
    return f"{named}; did you mean `{close}`?" if close else f"{named}; use {_one_of(known)}"


def _one_of(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if words[1:] else words[0]


def _line_of(path: KeyPath, document: Document) -> int:
    while path not in document.lines and path:
        path = path[:-1]
    return document.lines.get(path, 1)


def _remove(data: Any, path: KeyPath, removed: _RemovedItems) -> bool:
    """Remove the value at `path`, or the list item that holds it. False if there is none."""
    items = [place for place, part in enumerate(path) if isinstance(part, int)]
    if items:
        path = path[: items[-1] + 1]
        removed.add(path)
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


def _options(type_: inspect.Type) -> list[inspect.Type]:
    """The types that a value may have: unions as their members, without metadata."""
    if isinstance(type_, inspect.Metadata):
        return _options(type_.type)
    if isinstance(type_, inspect.UnionType):
        return [option for member in type_.types for option in _options(member)]
    return [type_]


def _own_message(type_: inspect.Type) -> str | None:
    """The message that the schema has for a wrong value of `type_`, if it has one."""
    if isinstance(type_, inspect.Metadata):
        return (type_.extra or {}).get("mistake") or _own_message(type_.type)
    if isinstance(type_, inspect.UnionType):
        return next((found for member in type_.types if (found := _own_message(member))), None)
    return None


def _described(type_: inspect.Type) -> list[str]:
    """What may be written for a value of `type_`, in plain words."""
    return [
        _DESCRIPTIONS[type(option)](option) for option in _options(type_) if type(option) in _DESCRIPTIONS
    ]


def _number(option: Any, noun: str) -> str:
    if option.gt is not None:
        return f"{noun} over {option.gt:g}" + ("" if option.le is None else f", at most {option.le:.10g}")
    return f"{noun} from {option.ge:g} to {option.le:.10g}" if option.ge is not None else noun


def _list(option: inspect.ListType) -> str:
    if option.max_length is not None:
        least = f"{option.min_length} to" if option.min_length else "at most"
        return f"a list of {least} {option.max_length} entries"
    return "a list that is not empty" if option.min_length else "a list"


_DESCRIPTIONS: dict[type, Any] = {
    inspect.IntType: lambda option: _number(option, "a whole number"),
    inspect.FloatType: lambda option: _number(option, "a number"),
    inspect.StrType: lambda option: "text that is not empty" if option.min_length else "text",
    inspect.BoolType: lambda _: "true or false",
    inspect.LiteralType: lambda option: _one_of([str(value) for value in option.values]),
    inspect.ListType: _list,
    inspect.DictType: lambda _: "a section of keys with values",
    inspect.StructType: lambda option: f"a section; its keys are {', '.join(_fields(option))}",
}


def _type_at(path: KeyPath, root: type[msgspec.Struct]) -> inspect.Type:
    """The schema's type of the value at `path` in a `root`."""
    type_ = _type_info(root)
    for part in path:
        for option in _options(type_):
            if isinstance(option, inspect.StructType) and isinstance(part, str):
                type_ = next(field.type for field in option.fields if field.name == part)
            elif isinstance(option, inspect.ListType) and isinstance(part, int):
                type_ = option.item_type
    return type_


@cache
def _type_info(root: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(root)


def _keys_at(path: KeyPath, root: type[msgspec.Struct]) -> list[str]:
    """The keys that the schema knows below `path`."""
    for option in _options(_type_at(path, root)):
        if isinstance(option, inspect.StructType):
            return _fields(option)
    return []


def _fields(option: inspect.StructType) -> list[str]:
    return [field.name for field in option.fields]


def _choices(type_: inspect.Type) -> list[str]:
    """The words that the schema allows, if it allows nothing but words."""
    options = [option for option in _options(type_) if not isinstance(option, inspect.NoneType)]
    if not all(isinstance(option, inspect.LiteralType) for option in options):
        return []
    return [str(value) for option in options for value in option.values]  # type: ignore[attr-defined]
