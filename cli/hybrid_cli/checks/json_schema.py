"""Answers that must match a JSON Schema, from local and cloud models."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hybrid_cli.checks.code_block import first_code_block
from hybrid_cli.checks.schema_patterns import linear_validator, problem_in_process
from hybrid_cli.checks.short_schema import EXAMPLE, short_schema
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.files import open_regular
from hybrid_cli.ui.sanitize import shorten

_MAX_BYTES = 256_000
_BOUNDS = {
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}
"""The keywords of the lower and the upper bound for each type."""
_STREAMS = ("/dev/", "/proc/")
"""Where stdin is, and what a shell makes of `<(command)`. A pipe elsewhere may never get a writer."""
_OTHER_JSON = ("true", "false", "null")
_TOO_LARGE = "contains a number that is too large"


@dataclass(frozen=True)
class AnswerSchema:
    """A valid JSON Schema for answers."""

    data: Any

    @property
    def text(self) -> str:
        """The schema as JSON. The order of keys is kept, because answers follow it."""
        return json.dumps(self.data)

    def problem(self, answer: str) -> str | None:
        """What is wrong with `answer`, without quoting it; None if it matches the schema."""
        validator = linear_validator(_validator(self.data), self.data)
        if validator is None:
            return problem_in_process(self.data, answer)
        return self._problem(answer, validator)

    def problem_by_backtracking(self, answer: str) -> str | None:
        """As `problem`, but a pattern may take very long."""
        return self._problem(answer, _validator(self.data))

    def _problem(self, answer: str, validator: Any) -> str | None:
        from jsonschema.exceptions import best_match

        try:
            value = json.loads(answer, parse_constant=_no_number, parse_float=_finite)
        except OverflowError:
            return _TOO_LARGE
        except (ValueError, RecursionError):
            return "is not JSON"
        try:
            error = best_match(validator.iter_errors(value))
        except OverflowError:  # an integer that `multipleOf` divides by a fraction
            return _TOO_LARGE
        except RecursionError:
            raise Failure(ExitStatus.USAGE, "the schema refers to itself endlessly") from None
        return (
            None if error is None else f"does not match the schema: `{error.validator}` at {error.json_path}"
        )


def json_in(answer: str) -> str:
    """The JSON in `answer`: the whole, or its first fenced block; `answer` itself if neither is JSON."""
    block = first_code_block(answer).strip()
    return block if not _is_json(answer) and _is_json(block) else answer


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return False
    return True


def read_schema(given: str) -> AnswerSchema:
    """The schema in `given`: JSON, the short form, or the name of a file. Raises Failure (USAGE) if it is invalid."""
    is_json = given.lstrip().startswith(("{", "[", '"')) or given.strip() in _OTHER_JSON
    if not is_json and _is_short(given):
        return checked_schema(short_schema(given), "--schema")
    source, text = ("--schema", given) if is_json else (shorten(given), _read(given))
    try:
        data = json.loads(text, parse_constant=_no_number)
        json.dumps(data, allow_nan=False)  # Python reads 1e400 as infinity, which JSON cannot express
    except (json.JSONDecodeError, _NoNumberError) as error:
        raise Failure(ExitStatus.USAGE, f"{source} is not JSON: {error}") from None
    except ValueError:
        raise Failure(ExitStatus.USAGE, f"{source} contains a number that is too large") from None
    except RecursionError:
        raise Failure(ExitStatus.USAGE, f"{source} is nested too deeply") from None
    return checked_schema(data, source)


def _is_short(given: str) -> bool:
    """Whether `given` is a schema in the short form. Raises Failure (USAGE) if a file has the same name."""
    if "/" in given or given.endswith(".json") or not re.search(r"[,\s?]", given.strip()):
        return False
    if not os.path.lexists(given):
        return True
    try:
        short_schema(given)
    except Failure:
        return False
    raise Failure(
        ExitStatus.USAGE,
        f"--schema: `{shorten(given)}` is a file, and a schema; for the file write ./{shorten(given)}",
    )


def checked_schema(data: Any, source: str) -> AnswerSchema:
    """`data` as a schema. Raises Failure (USAGE), naming `source`, if it is invalid or no answer can match it."""
    if not isinstance(data, dict):
        raise Failure(ExitStatus.USAGE, f"{source} is not a JSON Schema: it must be an object")
    from jsonschema.exceptions import SchemaError

    try:
        _validator(data).check_schema(data)
        references = _references(data)
    except SchemaError as error:
        raise Failure(
            ExitStatus.USAGE, f"{source} is not a JSON Schema: {error.json_path}: {error.message}"
        ) from None
    except RecursionError:
        raise Failure(ExitStatus.USAGE, f"{source} is nested too deeply") from None
    for reference in references:
        if not reference.startswith("#"):
            raise Failure(
                ExitStatus.USAGE,
                f"{source} refers to {reference}; only references within the schema (#/...) work",
            )
        if not _resolves(reference, data):
            raise Failure(ExitStatus.USAGE, f"{source} refers to {reference}, which it does not contain")
    contradiction = _contradiction(data)
    if contradiction is not None:
        raise Failure(ExitStatus.USAGE, f"no answer can match {source}: {contradiction}")
    return AnswerSchema(data)


def _contradiction(data: Any) -> str | None:
    """Why no value can match the schema `data`, or a part of it that every answer needs; None if none is found.

    Only simple contradictions are found. They save the cost of a cloud's answer that must fail.
    """
    if not isinstance(data, dict):
        return None
    values = data.get("enum", [data["const"]] if "const" in data else None)
    # References point outside this part, and patterns can be very slow: both are left to the check of answers.
    is_plain = not _references(data) and '"pattern' not in json.dumps(data)
    if values is not None and is_plain and not any(_may_match(data, value) for value in values):
        return f"no value of `{'enum' if 'enum' in data else 'const'}` matches the rest of the schema"
    bounds = _BOUNDS.get(data["type"]) if isinstance(data.get("type"), str) else None
    if bounds is not None and all(key in data for key in bounds):
        low, high = bounds
        if data[low] > data[high]:
            return f"`{low}` is above `{high}`"
    if data.get("type") != "object":
        return None
    properties, required = data.get("properties", {}), data.get("required", [])
    if data.get("additionalProperties") is False and "patternProperties" not in data:
        missing = [name for name in required if name not in properties]
        if missing:
            return f"it requires `{shorten(missing[0])}`, which `additionalProperties` forbids"
    found = (_contradiction(properties[name]) for name in required if name in properties)
    return next((one for one in found if one is not None), None)


def _may_match(data: Any, value: Any) -> bool:
    """Return whether `value` matches the schema `data`, or is a number too large to tell."""
    try:
        matches: bool = _validator(data).is_valid(value)
    except OverflowError:
        return True
    return matches


def _read(given: str) -> str:
    """Return the text of the file `given`. Raises Failure (USAGE)."""
    try:
        path = Path(given).expanduser()
        opened = path.open("rb") if str(path).startswith(_STREAMS) else open_regular(path)
        with opened as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a valid file name"
        is_field = re.fullmatch(r"[^\W\d][\w-]{0,39}", given) is not None
        hint = f"; for a field of that name, write: --schema '{given} str'" if is_field else ""
        hint = hint if is_field or "." in given or "/" in given else f"; to name fields, write: {EXAMPLE}"
        raise Failure(ExitStatus.USAGE, f"the schema {shorten(given)} cannot be read: {why}{hint}") from error
    if len(content) > _MAX_BYTES:
        raise Failure(ExitStatus.USAGE, f"the schema {shorten(given)} is over {_MAX_BYTES // 1000} kB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Failure(ExitStatus.USAGE, f"the schema {shorten(given)} is not UTF-8") from None


class _NoNumberError(ValueError):
    """A constant that Python reads but JSON does not have, such as NaN."""


def _no_number(name: str) -> NoReturn:
    raise _NoNumberError(f"{name} is not a JSON value")


def _finite(number: str) -> float:
    """Return the number. Raises OverflowError for 1e400, which Python reads as infinity."""
    value = float(number)
    if math.isinf(value):
        raise OverflowError
    return value


def _validator(schema: Any) -> Any:
    """A validator that knows no other documents; the default one would download unknown references."""
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    return validator_for(schema, default=Draft202012Validator)(schema, registry=Registry())


def _resolves(reference: str, schema: Any) -> bool:
    """Whether `schema` contains the target of `reference`."""
    from hybrid_cli.local.plain_schema import target_in  # late: few schemas have references

    try:
        target_in(schema)(reference)
    except ValueError:
        return False
    return True


def _references(data: Any) -> list[str]:
    """All `$ref` values in a schema."""
    if isinstance(data, list):
        return [ref for item in data for ref in _references(item)]
    if not isinstance(data, dict):
        return []
    own = [data["$ref"]] if isinstance(data.get("$ref"), str) else []
    return own + [ref for item in data.values() for ref in _references(item)]
