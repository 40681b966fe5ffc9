"""Grammars of JSON Schemas: whatever a grammar permits fits its schema, and what a schema means is permitted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_cli.checks.json_schema import checked_schema
from hybrid_cli.exit_status import Failure
from hybrid_cli.local.grammar import grammar_of

TEXT, INTEGER, NUMBER, BOOLEAN = ({"type": name} for name in ("string", "integer", "number", "boolean"))


def an_object(properties: dict[str, Any], required: list[str] | None = None, **others: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties) if required is None else required, **others}  # fmt: skip


def pattern(text: str) -> dict[str, Any]:
    return {"type": "string", "pattern": text}


NODE = an_object({"v": INTEGER, "next": {"anyOf": [{"$ref": "#/$defs/a_node"}, {"type": "null"}]}})
STRANGE = [
    "a b",
    'a"b',
    "a\\b",
    "é",
    "😀",
    "a\nb",
    "",
    "<|im_end|>",
    "$ref",
    "root",
    "string",
    "char",
    "a-b",
    "a_b",
    "\0",
]

SCHEMAS: dict[str, dict[str, Any]] = {
    "number": NUMBER,
    "number, 0 to 1": {"type": "number", "minimum": 0, "maximum": 1},
    "number, -3 to 0": {"type": "number", "minimum": -3, "maximum": 0},
    "number, at least 0": {"minimum": 0},
    "integer, bounds of an older draft": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "integer",
        "minimum": 3,
        "exclusiveMinimum": True,
        "maximum": 6,
    },
    "integer, bounds of an older draft in parts": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "allOf": [
            {"type": "integer", "minimum": 5, "exclusiveMinimum": True, "maximum": 6},
            {"type": "integer", "minimum": 6, "exclusiveMinimum": False},
        ],
    },
    "text, lengths": {"minLength": 2, "maxLength": 4},
    "strange values": {"enum": [*STRANGE, 1.0, 1e5, -0.0, None, 1e100, [1, "a"], {"a": 1}, {}]},
    "values that begin alike": {"enum": ["a", "ab", "abc", "b", "", 1, 12, 123, -1, [1], [1, 2]]},
    "values in values": {"enum": ["a" * count for count in range(0, 300, 3)]},
    "strange names": an_object(dict.fromkeys(STRANGE, BOOLEAN)),
    "a name like a rule": an_object({"decimal part": {"enum": ["x"]}, "n": NUMBER}),
    "values of other types": {"type": "string", "enum": ["a", 1, None]},
    "nullable values": {"type": ["string", "null"], "enum": ["a", None]},
    "nullable text": {"type": ["string", "null"], "maxLength": 2},
    "nullable integer": {"type": ["integer", "null"], "minimum": 1, "maximum": 5},
    "nullable object": {**an_object({"a": INTEGER}), "type": ["object", "null"]},
    "nullable array": {"type": ["array", "null"], "items": INTEGER, "minItems": 1},
    "array, lengths only": {"type": "array", "minItems": 2, "maxItems": 3},
    "array, none": {"type": "array", "items": False},
    "tuple": {"type": "array", "prefixItems": [TEXT, INTEGER], "items": BOOLEAN, "minItems": 4},
    "tuple, cut": {"type": "array", "prefixItems": [TEXT, INTEGER], "maxItems": 1},
    "required only": {"type": "object", "required": ["a", "b"]},
    "required, not declared": an_object({"a": TEXT}, ["a", "b"], additionalProperties=INTEGER),
    "other names": an_object({"a": TEXT, "ab": TEXT}, ["a"], additionalProperties=INTEGER),
    "other names than strange ones": an_object(dict.fromkeys(['"', "\\", "\n", ""], BOOLEAN), [], additionalProperties=INTEGER),
    "map": {"type": "object", "additionalProperties": INTEGER, "minProperties": 1, "maxProperties": 2},
    "names by pattern": {"type": "object", "propertyNames": pattern("^[a-z]{2}$")},
    "names of a list": {"type": "object", "propertyNames": {"enum": ["a", "b"]}},
    "values by pattern": an_object({"a": TEXT}, patternProperties={"^x-": INTEGER}, additionalProperties=False),
    "never": an_object({"a": False, "b": TEXT}, ["b"]),
    "allOf and properties": an_object({"x": INTEGER}, allOf=[an_object({"a": TEXT})]),
    "allOf, one property twice": {"allOf": [an_object({"a": TEXT}), an_object({"a": {"maxLength": 2}})]},
    "allOf of texts": {"type": "string", "allOf": [{"minLength": 2}, {"maxLength": 3}]},
    "allOf, required": an_object({"a": INTEGER, "b": INTEGER}, [], allOf=[{"required": ["a"]}]),
    "allOf of a union": {"allOf": [an_object({"a": INTEGER}), {"anyOf": [an_object({"b": INTEGER}), an_object({"c": INTEGER})]}]},
    "anyOf and type": {"type": "string", "anyOf": [{"minLength": 3}, {"maxLength": 1}]},
    "anyOf, required": an_object({"a": INTEGER, "b": INTEGER}, [], anyOf=[{"required": ["a"]}, {"required": ["b"]}]),
    "oneOf of objects": {"oneOf": [an_object({"k": {"const": "a"}}), an_object({"k": {"const": "b"}, "w": INTEGER})]},
    "a definition named as a type": {"$defs": {"string": INTEGER}, **an_object({"z": TEXT, "a": {"$ref": "#/$defs/string"}})},
    "references that end alike": {
        **an_object({"a": {"$ref": "#/$defs/p/properties/v"}, "b": {"$ref": "#/$defs/q/properties/v"}}),
        "$defs": {"p": an_object({"v": INTEGER}), "q": an_object({"v": BOOLEAN})},
    },
    "a reference and more": {"$defs": {"s": TEXT}, **an_object({"a": {"$ref": "#/$defs/s", "maxLength": 2}})},
    "recursion": {"$defs": {"a_node": NODE}, **an_object({"a-node": BOOLEAN, "t": {"$ref": "#/$defs/a_node"}})},
    "escaped references": {"$defs": {"a/b c": INTEGER}, **an_object({"a": {"$ref": "#/$defs/a~1b%20c"}})},
    "anchor": {"$defs": {"x": {"$anchor": "there", "type": "integer"}}, **an_object({"a": {"$ref": "#there"}})},
    "alternatives": pattern("^a$|^b$"),
    "alternatives, one anchor each": pattern("^a|^[bc]$"),
    "no anchor at the end": pattern("^[0-9]{2}"),
    "quotes in a class": pattern('^[a"]{1,3}$'),
    "backslashes in a class": pattern(r"^[\\a]{1,3}$"),
    "printable characters": pattern("^[ -~]{1,5}$"),
    "what may be left out": pattern(r'^a\(?b"?c\\?d\.?$'),
    "counted quotes": pattern('^"{2}$'),
    "lazy": pattern("^(?:a|b)+?c{1,2}?$"),
    "braces": pattern("^a{,3}$"),
    "no blanks": pattern(r"^\S{1,3}\D$"),
    "line breaks": pattern(r"^a\n[\t\x41]\u0042$"),
    "many": pattern("^[ab]{1,5000}$"),
}  # fmt: skip
WALKS = 4


@pytest.fixture(scope="module")
def model(model_file: Path) -> Iterator[Any]:
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.model import Model

    loader = Loader()
    loader.load(str(model_file))
    yield Model(loader.handle)


Walk = Callable[[dict[str, Any], int], str | None]


@pytest.fixture(scope="module")
def walk(model: Any) -> Walk:
    """A function that writes a text of permitted tokens, chosen at random; None if it comes to no end."""
    from hybrid_cli.local.grammar_filter import Grammar

    pieces = [model.piece(token) for token in range(model.vocabulary.size)]
    ends = np.array([*map(model.ends, range(len(pieces)))])
    short = np.array([len(piece) <= 2 for piece in pieces])
    closing = short & np.array([piece[:1] in (b'"', b"}", b"]", b",", b":") for piece in pieces])
    some = np.random.default_rng(0).random(len(pieces)) < 0.02
    tokens, logits = np.flatnonzero(ends | some | short), np.zeros(len(pieces), dtype=np.float32)

    def written(schema: dict[str, Any], seed: int) -> str | None:
        generator = np.random.default_rng(seed)
        grammar, text = Grammar(grammar_of(json.dumps(schema)), model.vocabulary), b""
        try:
            for step in range(300):
                permitted = grammar.permitted(tokens, logits)
                assert len(permitted), "no token is permitted"
                going_on = permitted[~ends[permitted]]
                if len(going_on) < len(permitted) and (generator.random() < 0.6 or not len(going_on)):
                    return text.decode()
                if (generator.random() < 0.5 or step > 12) and closing[going_on].any():
                    going_on = going_on[closing[going_on]]
                token = int(generator.choice(going_on))
                grammar.accept(token)
                text += pieces[token]
        finally:
            grammar.close()
        return None

    return written


@pytest.mark.parametrize("name", SCHEMAS)
def test_all_that_a_grammar_permits_fits_the_schema(walk: Walk, name: str) -> None:
    schema = checked_schema(SCHEMAS[name], "the schema")
    texts = [walk(schema.data, seed) for seed in range(WALKS)]
    assert [(text, schema.problem(text)) for text in texts if text is not None and schema.problem(text)] == []
    assert any(text is not None for text in texts)


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({}, ["1", '"a"', "[null]"], ["a"]),
        ({"description": "anything"}, ["1", '{"a": 1}'], []),
        (an_object({"a": {}, "b": True}), ['{"a": 1, "b": [true]}'], ['{"a": 1}']),
        (an_object({"a": TEXT}, additionalProperties=True), ['{"a": "x"}', '{"a": "x", "ab": 1}'], ['{"a": "x", "a": 1}']),
        ({"type": "array", "items": {}}, ["[]", '[1, "a"]'], ["1"]),
        ({"type": "array", "items": INTEGER, "maxItems": 2}, ["[]", "[1]", "[1, 2]"], ["[1, 2, 3]"]),
        ({"type": ["array", "null"], "items": INTEGER}, ["null", "[1]"], ['["a"]']),
        ({"type": ["string", "null"], "enum": ["a", None]}, ['"a"', "null"], ['"b"']),
        ({"type": "number", "minimum": 0, "maximum": 1}, ["0", "0.25", "1", "1.0"], ["-0.5", "1.5", "2"]),
        ({"type": "number", "minimum": -2.5, "maximum": -0.5}, ["-2.5", "-1"], ["-4", "1"]),
        (an_object({"a": INTEGER, "b": INTEGER, "c": INTEGER}, ["b"]), ['{"b": 1}', '{"b": 1, "a": 2, "c": 3}', '{"b": 1, "c": 3}'], ['{"a": 2}']),
        (an_object({"a": INTEGER, "b": INTEGER}, []), ["{}", '{"a": 2, "b": 3}', '{"b": 3}'], ['{"c": 2}']),
        ({"type": "object", "propertyNames": {"maxLength": 2}, "additionalProperties": INTEGER}, ["{}", '{"ab": 1, "c": 2}'], ['{"abc": 1}']),
        (pattern("^[ -~]+$"), [r'"a\"b"', r'"\\"'], ['"é"']),
        (pattern("b"), ['"abc"', '"b"'], ['"ac"']),
        (pattern("^a|b$"), ['"a"', '"ac"', '"cb"'], ['"c"', '"a']),
        (pattern(r"^\$\d+(\.\d{2})?$"), ['"$5"', '"$5.25"'], ['"5"']),
        (NUMBER, ["0", "-12.5e+10", "1E-9"], ["01", "1e999", "1."]),
        ({}, ["1e5"], ["1e999"]),
        (TEXT, ['"😀"', r'"\u00e9"'], [r'"\ud83d"']),
    ],
)  # fmt: skip
def test_a_grammar_permits_what_the_schema_means(
    model: Any, schema: dict[str, Any], right: list[str], wrong: list[str]
) -> None:
    assert [text for text in (*right, *wrong) if permits(model, schema, text)] == right


def permits(model: Any, schema: dict[str, Any], text: str) -> bool:
    from hybrid_cli.local.grammar_filter import Grammar

    grammar = Grammar(grammar_of(json.dumps(schema)), model.vocabulary)
    logits = np.zeros(model.vocabulary.size, dtype=np.float32)
    try:
        for token in [*model.tokens_within(text), model.ends_of_answer[0]]:
            if not len(grammar.permitted(np.array([token]), logits)):
                return False
            grammar.accept(token)
    finally:
        grammar.close()
    return True


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (pattern("^(?=a)"), r"express `\(\?`"),
        (pattern(r"^\ba$"), r"express `\\b`"),
        (pattern("(^a)b"), r"express `\^`"),
        (an_object({"a": {"allOf": [TEXT, INTEGER]}}), "no value can match"),
        (an_object({"a": an_object({}, ["b"], additionalProperties=False)}, []), "requires `b`"),
        ({"$defs": {"a": {"allOf": [TEXT, {"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}, "itself endlessly"),
        ({"allOf": [{"anyOf": [{"maxLength": n} for n in range(40)]}] * 2}, "over 256 alternatives"),
    ],
)
def test_what_no_grammar_can_express_is_refused_in_words(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(Failure, match=f"the schema cannot become a grammar: .*{why}"):
        grammar_of(json.dumps(schema))


def test_a_long_list_of_values_takes_no_time(model: Any) -> None:
    """llama.cpp followed each of these values at each token, which took half a second."""
    from hybrid_cli.local.grammar_filter import Grammar

    values = [f"value number {number}" for number in range(5000)]
    text = grammar_of(json.dumps({"enum": values}))
    assert text.count("value number") == 1
    assert all(permits(model, {"enum": values}, json.dumps(value)) for value in (values[7], values[777]))
    assert not permits(model, {"enum": values}, '"value number 5000"')
    grammar, started = Grammar(text, model.vocabulary), time.process_time()
    for token in model.tokens_within('"value number '):
        grammar.accept(token)
    grammar.close()
    assert time.process_time() - started < 0.2
