"""Conversion of a JSON Schema to a grammar for the model, with the rules of llama.cpp's own converter."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from functools import cache
from itertools import groupby, takewhile
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.bindings import low_level
from hybrid_cli.local.integer_range import integer_rule, number_rule
from hybrid_cli.local.json_pattern import class_range, for_json
from hybrid_cli.local.plain_schema import Schema, plain, target_in
from hybrid_cli.ui.sanitize import shorten

_MAX_REPEATS = 1000
"""llama.cpp's stack overflows with many more nested optional repetitions."""
_MAX_VALUES = 5000
"""Values of an enum. A longer list seldom fits the context window."""
_MAX_BRANCHES = 50
"""Branches within branches of an enum's rule."""
_MAX_EXCLUDED = 2000
"""Characters of the declared names that other names of an object must differ from."""
_NOT_IN_STRINGS = r'"\\\x00-\x1F'
"""Characters that a JSON string must escape, as the inside of a GBNF character class."""
_CHARACTER = (
    rf"[^{_NOT_IN_STRINGS}] | "
    r'"\\" (["\\/bfnrt] | "u" ([0-9a-cA-CefEF] [0-9a-fA-F] | [dD] [0-7]) [0-9a-fA-F] [0-9a-fA-F])'
)
"""A character of a string. Halves of surrogate pairs are no characters."""
_NUMBER = '"-"? ([0-9] | [1-9] [0-9]{1,15}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})? space'
"""Any number. Longer exponents make numbers that most programs read as infinity, or as zero."""
_JSON_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\.")
_SEPARATOR = '"," space'


@cache
def grammar_of(schema: str) -> str:
    """The GBNF grammar of `schema`, which is JSON text. Raises Failure (USAGE) if it cannot be converted.

    Constraints that no grammar can express (`uniqueItems`, `not`, lengths over a thousand, ...) are left out: the
    answer is validated against the whole schema afterwards.
    """
    try:
        return _Rules(json.loads(schema)).text
    except RecursionError:
        why = "it is nested too deeply, or refers to itself endlessly"
        raise Failure(ExitStatus.USAGE, f"the schema cannot become a grammar: {why}") from None
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise Failure(
            ExitStatus.USAGE, f"the schema cannot become a grammar: {error or type(error).__name__}"
        ) from error


class _Rules:
    """The rules of a grammar. llama.cpp's converter adds those of plain types, formats and patterns."""

    def __init__(self, whole: Any) -> None:
        self._module = low_level("llama_grammar")
        self._plain = self._module.SchemaConverter(
            prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False
        )
        self._plain._rules |= {"char": _CHARACTER, "number": _NUMBER}
        self._formats = {"uuid", *self._module.STRING_FORMAT_RULES}
        self._target = target_in(whole)
        self._references: dict[str, str] = {}
        """The rule of each reference."""
        self.visit(whole, "")

    @property
    def text(self) -> str:
        text: str = self._plain.format_grammar()
        return text

    def _add(self, name: str, rule: str) -> str:
        """Add a rule, and return its name, which differs from `name` if another rule has that one."""
        added: str = self._plain._add_rule(f"{name}-" if name in self._module.RESERVED_NAMES else name, rule)
        return added

    def visit(self, schema: Any, name: str) -> str:
        """Add the rule of a schema, and return the rule's name. The whole schema has the name ""."""
        schema = plain(schema, self._target)
        rule = self._combined(schema, name) or self._of_type(schema, name)
        if rule is not None:
            return self._add(name, rule) if name else self._root(rule)
        if "pattern" in schema:
            schema = {**schema, "pattern": for_json(schema["pattern"])}
        added: str = self._plain.visit(schema, name)
        return added

    def _root(self, rule: str) -> str:
        self._plain._rules["root"] = rule
        return "root"

    def _combined(self, schema: Schema, name: str) -> str | None:
        """Return the content of the rule of a schema without a type; None if it has one."""
        if "$ref" in schema:
            return self._reference(schema["$ref"])
        if "anyOf" in schema:
            parts = enumerate(schema["anyOf"])
            return " | ".join(
                self.visit(part, _inside(name, f"alternative-{place}")) for place, part in parts
            )
        if "enum" in schema:
            if len(schema["enum"]) > _MAX_VALUES:
                raise ValueError(f"an enum has {len(schema['enum'])} values, over {_MAX_VALUES}")
            return _one_of(sorted({_json(value) for value in schema["enum"]}))
        return None if schema else self._primitive("value")

    def _of_type(self, schema: Schema, name: str) -> str | None:
        """Return the content of the rule of a schema with a type; None if the converter knows it."""
        match schema["type"]:
            case "object" if len(schema) > 1:
                return self._object(schema, name)
            case "array" if len(schema) > 1:
                return self._array(schema, name)
            case "integer" | "number" as kind:
                rule = _number_rule(schema, is_integer=kind == "integer")
                return _NUMBER if rule is None and kind == "number" else rule
            case "string" if "pattern" not in schema and schema.get("format") not in self._formats:
                length = _repeated("char", schema.get("minLength", 0), schema.get("maxLength", math.inf))
                return f'"\\"" {length} "\\"" space'
        return None

    def _reference(self, reference: str) -> str:
        """Return the rule of a reference's target, which may refer to itself."""
        if reference not in self._references:
            number = len(self._references)
            while (rule := f"ref-{number}") in self._plain._rules:
                number += 1
            self._references[reference] = rule
            self._plain._rules[rule] = ""  # keeps the name from other rules
            self._plain._rules[rule] = self.visit(self._target(reference), f"{rule}-target")
        return self._references[reference]

    def _object(self, schema: Schema, name: str) -> str:
        """Return the rule of an object: first the required properties, then others, in the schema's order."""
        declared = schema.get("properties", {})
        is_open = "properties" not in schema and "patternProperties" not in schema
        others = schema.get("additionalProperties", is_open)
        required = dict.fromkeys(schema.get("required", ()))
        missing = [one for one in required if one not in declared]
        if missing and schema.get("additionalProperties") is False and "patternProperties" not in schema:
            raise ValueError(f"it requires `{shorten(missing[0])}`, which `additionalProperties` forbids")
        known = {**declared, **dict.fromkeys(missing, others if isinstance(others, dict) else {})}
        optional = [one for one in known if one not in required and known[one] is not False]
        first = [self._member(one, known[one], name) for one in known if one in required]
        later = [self._member(one, known[one], name) for one in optional]
        low = 0 if later else max(0, schema.get("minProperties", 0) - len(first))
        high = schema.get("maxProperties", math.inf) - len(first) - len(later)
        other = self._other_member(schema, name, known, others) if high > 0 else None
        members = self._members(first, later, other, min(low, _MAX_REPEATS), high, name)
        return f'"{{" space {members} "}}" space'

    def _member(self, key: str, schema: Any, name: str) -> str:
        """Add the rule of a property, and return its name."""
        own = self._module.INVALID_RULE_CHARS_RE.sub("-", _inside(name, key)) or "-"
        return self._add(f"{own}-kv", f'{_literal(_json(key))} space ":" space {self.visit(schema, own)}')

    def _other_member(self, schema: Schema, name: str, known: Schema, others: Any) -> str | None:
        """Return the rule of a property that is not declared; None if there can be none."""
        own = _inside(name, "additional")
        patterns = schema.get("patternProperties")
        if patterns:
            pairs: list[tuple[Any, Any]] = [
                ({"type": "string", "pattern": one}, part) for one, part in patterns.items()
            ]
        elif others is False:
            return None
        elif "propertyNames" in schema:
            pairs = [({"allOf": [{"type": "string"}, schema["propertyNames"]]}, others)]
        else:
            pairs = [(None, others)]
        rules = [
            f'{self._other_key(key, known, f"{own}-key{number}")} ":" space '
            f"{self.visit(part, f'{own}-value{number}')}"
            for number, (key, part) in enumerate(pairs)
            if part is not False
        ]
        return self._add(f"{own}-kv", " | ".join(rules)) if rules else None

    def _other_key(self, key: Schema | None, known: Schema, name: str) -> str:
        """Return the rule of such a property's name: as the schema `key`, or none of the `known` ones."""
        if key is not None:
            return f"{self.visit(key, name)} space"
        if not known or sum(map(len, known)) > _MAX_EXCLUDED:
            return self._primitive("string")
        return self._add(name, f'"\\"" {_other_text(_tree(known))} "\\"" space')

    def _members(
        self, first: list[str], later: list[str], other: str | None, low: int, high: float, name: str
    ) -> str:
        """Return the rule of an object's inside: all of `first`, any of `later`, `low` to `high` times `other`."""
        rest, beginnings = "", []
        if other is not None:
            more = f"({_SEPARATOR} {other})"
            rest = _repeated(more, low, high)
            beginnings.append(f"{other} {_repeated(more, low - 1, high - 1)}")
        for place, member in reversed(list(enumerate(later))):
            beginnings.insert(0, f"{member} {rest}")
            rest = self._add(_inside(name, f"rest-{place}"), f"({_SEPARATOR} {member})? {rest}")
        if first:
            return f"{f' {_SEPARATOR} '.join(first)} {rest}"
        if not beginnings:
            return ""
        return f"({' | '.join(beginnings)})" + ("" if low > 0 else "?")

    def _array(self, schema: Schema, name: str) -> str:
        """Return the rule of an array: first the items of a tuple, then others."""
        items, places = schema.get("items", True), schema.get("prefixItems", [])
        if isinstance(items, list):
            places, items = items, False
        low, high = schema.get("minItems", 0), schema.get("maxItems", math.inf)
        if places and "items" not in schema and low <= len(places):
            items = False
        if items is False:
            high = min(high, len(places))
        if low > high:
            raise ValueError(f"an array needs {low} items, but may have only {high}")
        places = places[: int(min(high, len(places)))]
        first = [self.visit(part, _inside(name, f"tuple-{place}")) for place, part in enumerate(places)]
        if high == len(first):
            return f'"[" space {f" {_SEPARATOR} ".join(first)} "]" space'
        item = self.visit(items, _inside(name, "item"))
        low, high, more = max(0, low - len(first)), high - len(first), f"({_SEPARATOR} {item})"
        if first:
            inside = f"{f' {_SEPARATOR} '.join(first)} {_repeated(more, low, high)}"
        else:
            inside = f"({item} {_repeated(more, low - 1, high - 1)})" + ("" if low else "?")
        return f'"[" space {inside} "]" space'

    def _primitive(self, name: str) -> str:
        rule: str = self._plain._add_primitive(name, self._module.PRIMITIVE_RULES[name])
        return rule


def _inside(name: str, part: str) -> str:
    """Return the name of the rule of a part of the schema that has the rule `name`."""
    return f"{name}-{part}" if name else part


def _repeated(rule: str, low: float, high: float) -> str:
    """Return `rule`, `low` to `high` times, with bounds that llama.cpp can follow."""
    low = max(0, min(low, _MAX_REPEATS))
    if high > _MAX_REPEATS:
        return f"{rule}*" if low == 0 else f"{rule}{{{low},}}"
    return "" if high <= 0 else f"{rule}{{{low},{int(high)}}}"


def _tree(names: Iterable[str]) -> dict[str, Any]:
    """Return the characters that begin one of `names`, each with those that follow; "" marks an end.

    Names that JSON must escape are left out.
    """
    tree: dict[str, Any] = {}
    for name in names:
        if _json(name) != f'"{name}"':
            continue
        place = tree
        for character in name:
            place = place.setdefault(character, {})
        place[""] = {}
    return tree


def _other_text(tree: dict[str, Any]) -> str:
    """Return the rule of a text without escapes that is none of those in `tree`."""
    classes = {one: class_range((ord(one), ord(one))) for one in tree if one}
    text = f"[^{_NOT_IN_STRINGS}]"
    parts = [f"[^{_NOT_IN_STRINGS}{''.join(classes.values())}] {text}*"]
    parts += [f"[{classes[one]}] {_other_text(tree[one])}" for one in classes]
    return f"({' | '.join(parts)})" + ("" if "" in tree else "?")


def _one_of(texts: list[str], depth: int = 0) -> str:
    """Return the rule of some sorted texts.

    What several of them begin with is written once: llama.cpp follows each alternative at every token.
    """
    if len(texts) == 1 or depth == _MAX_BRANCHES:
        return f"({' | '.join(map(_literal, texts))})"
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(texts[0], texts[-1], strict=False))
    start = "".join(letter for letter, _ in pairs)
    rests = groupby((text[len(start) :] for text in texts), key=lambda rest: rest[:1])
    parts = [_one_of(list(group), depth + 1) for first, group in rests if first]
    return f"{_literal(start)} ({' | '.join(parts)})" + ("?" if texts[0] == start else "")


def _literal(text: str) -> str:
    return '"' + re.sub(r'["\\]', r"\\\g<0>", text) + '"'


def _json(value: Any) -> str:
    """Return a constant as JSON.

    Letters beyond ASCII are written as they are. JSON has `\\u` escapes for them, which few models write.
    """
    return _JSON_ESCAPES.sub(_unescaped, json.dumps(value))


def _unescaped(escapes: re.Match[str]) -> str:
    """The characters of JSON's escapes; the escapes themselves if they must stay, as for half of a surrogate pair."""
    if not escapes[0].startswith("\\u"):
        return escapes[0]
    text = json.dumps(json.loads(f'"{escapes[0]}"'), ensure_ascii=False)[1:-1]
    try:
        text.encode()
    except UnicodeEncodeError:
        return escapes[0]
    return text


def _number_rule(schema: Schema, *, is_integer: bool) -> str | None:
    """Return the rule of a number within its bounds; None without bounds.

    For numbers with a fraction, the bounds are rounded outwards and included.
    """
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if low is above is high is below is None:
        return None
    if is_integer:
        lows = [*map(math.ceil, _given(low)), *(math.floor(one) + 1 for one in _given(above))]
        highs = [*map(math.floor, _given(high)), *(math.ceil(one) - 1 for one in _given(below))]
        return f"({integer_rule(max(lows, default=None), min(highs, default=None))}) space"
    lows, highs = [*map(math.floor, _given(low, above))], [*map(math.ceil, _given(high, below))]
    return f"({number_rule(max(lows, default=None), min(highs, default=None))}) space"


def _given(*bounds: float | None) -> list[float]:
    return [bound for bound in bounds if bound is not None]
