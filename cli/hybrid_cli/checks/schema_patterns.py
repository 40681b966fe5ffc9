"""Validation against a JSON Schema whose patterns cannot hang: in linear time, or in a process that can be killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from hybrid_cli.profile.patterns import compiled

SECONDS = 5
"""For the validation of one answer in a process of its own."""


def linear_validator(validator: Any, schema: Any) -> Any:
    """`validator` with patterns that take linear time; None if RE2 cannot read one of them, or may not be asked."""
    if '"unevaluated' in json.dumps(schema):  # jsonschema searches the patterns of these itself
        return None
    try:
        for pattern in _patterns(schema):
            compiled(pattern)
    except ValueError:  # such as a look-ahead, which needs backtracking
        return None
    from jsonschema.validators import extend

    keywords = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    extended: Any = extend  # its types say nothing
    return extended(type(validator), keywords)(schema, registry=validator._registry)


def problem_in_process(schema: Any, answer: str) -> str | None:
    """The problem of `answer` as `AnswerSchema.problem` says it, found by a process that is killed after SECONDS."""
    command = [sys.executable, "-I", "-m", "hybrid_cli.checks.schema_process"]
    try:
        done = subprocess.run(
            command,
            input=json.dumps([schema, answer]).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return f"cannot be checked in {SECONDS} s: a pattern of the schema is too slow"
    problem: str | None = json.loads(done.stdout)
    return problem


def _patterns(schema: Any) -> Iterator[str]:
    """All patterns in a schema, and perhaps some texts in the place of a pattern that are none."""
    if isinstance(schema, list):
        for item in schema:
            yield from _patterns(item)
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        if isinstance(schema.get("patternProperties"), dict):
            yield from schema["patternProperties"]
        for value in schema.values():
            yield from _patterns(value)


def _found(pattern: str, text: str) -> bool:
    return compiled(pattern).search(text.encode("utf-8", "replace").decode()) is not None


def _pattern(validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if validator.is_type(value, "string") and not _found(pattern, value):
        yield ValidationError("the pattern does not match")


def _pattern_properties(validator: Any, patterns: Any, value: Any, _schema: Any) -> Iterator[Any]:
    if not validator.is_type(value, "object"):
        return
    for pattern, schema in patterns.items():
        for name, item in value.items():
            if _found(pattern, name):
                yield from validator.descend(item, schema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, value: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if not validator.is_type(value, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extra = [name for name in value if name not in known and not any(_found(one, name) for one in patterns)]
    if validator.is_type(allowed, "object"):
        for name in extra:
            yield from validator.descend(value[name], allowed, path=name)
    elif not allowed and extra:
        yield ValidationError("additional properties are not allowed")
