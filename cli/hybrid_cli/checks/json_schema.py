"""Answers that must fit a JSON Schema, whoever gives them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.sanitize import shorten

_MOST_BYTES = 256_000
_BOUNDS = {"integer": "imum", "number": "imum", "string": "Length", "array": "Items", "object": "Properties"}
"""What is bounded of a type: min and max of it."""
_OTHER_JSON = ("true", "false", "null")


@dataclass(frozen=True)
class AnswerSchema:
    """A JSON Schema that was checked to be one."""

    data: Any

    @property
    def text(self) -> str:
        """The schema as JSON; the order of keys is kept, as the answer follows it."""
        return json.dumps(self.data)

    @property
    def is_object(self) -> bool:
        """Whether it is for objects, the only kind that clouds take everywhere."""
        return isinstance(self.data, dict) and self.data.get("type") == "object"

    def problem(self, answer: str) -> str | None:
        """What is wrong with `answer`, without its words; None where it fits."""
        from jsonschema.exceptions import best_match

        try:
            value = json.loads(answer, parse_constant=_no_number)
        except (ValueError, RecursionError):
            return "is not JSON"
        try:
            error = best_match(_validator(self.data).iter_errors(value))
        except RecursionError:
            raise Failure(ExitStatus.USAGE, "the schema refers to itself without an end") from None
        return None if error is None else f"does not fit the schema: `{error.validator}` at {error.json_path}"


def read_schema(given: str) -> AnswerSchema:
    """The schema that `given` is, or the file of that name holds. Raises Failure (USAGE) for anything else."""
    is_json = given.lstrip().startswith(("{", "[", '"')) or given.strip() in _OTHER_JSON
    source, text = ("--schema", given) if is_json else (shorten(given), _read(Path(given)))
    try:
        data = json.loads(text, parse_constant=_no_number)
        json.dumps(data, allow_nan=False)  # 1e400 is read as infinity, which no answer can be
    except (json.JSONDecodeError, _NoNumberError) as error:
        raise Failure(ExitStatus.USAGE, f"{source} is not JSON: {error}") from None
    except ValueError:
        raise Failure(ExitStatus.USAGE, f"{source} holds a number that is too large") from None
    except RecursionError:
        raise Failure(ExitStatus.USAGE, f"{source} is nested too deep") from None
    return checked_schema(data, source)


def checked_schema(data: Any, source: str) -> AnswerSchema:
    """The schema that `data` is. Raises Failure (USAGE), naming `source`, where it is none."""
    if not isinstance(data, dict):
        raise Failure(ExitStatus.USAGE, f"{source} is no JSON Schema: it must be an object")
    from jsonschema.exceptions import SchemaError

    try:
        _validator(data).check_schema(data)
        references = _references(data)
    except SchemaError as error:
        raise Failure(
            ExitStatus.USAGE, f"{source} is no JSON Schema: {error.json_path}: {error.message}"
        ) from None
    except RecursionError:
        raise Failure(ExitStatus.USAGE, f"{source} is nested too deep") from None
    for reference in references:
        if not reference.startswith("#"):
            raise Failure(
                ExitStatus.USAGE, f"{source} refers to {reference}; only references within it (#/...) work"
            )
        if not _leads_somewhere(reference, data):
            raise Failure(ExitStatus.USAGE, f"{source} refers to {reference}, which is not in it")
    contradiction = _contradiction(data)
    if contradiction is not None:
        raise Failure(ExitStatus.USAGE, f"no answer can fit {source}: {contradiction}")
    return AnswerSchema(data)


def _contradiction(data: Any) -> str | None:
    """What of the whole answer, or of a part that it must have, no value can be; as far as is seen at a glance.

    An answer that cannot fit would be paid for at a cloud, too.
    """
    if not isinstance(data, dict):
        return None
    values = data.get("enum", [data["const"]] if "const" in data else None)
    # A reference leads out of this part, and a pattern may take for ever: these are left to the answer.
    is_plain = not _references(data) and '"pattern' not in json.dumps(data)
    if values is not None and is_plain and not any(map(_validator(data).is_valid, values)):
        return f"no value of `{'enum' if 'enum' in data else 'const'}` is what the rest asks for"
    bounded = _BOUNDS.get(data["type"]) if isinstance(data.get("type"), str) else None
    low, high = f"min{bounded}", f"max{bounded}"
    if low in data and high in data and data[low] > data[high]:
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


def _read(path: Path) -> str:
    try:
        with path.expanduser().open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else "that is no name of a file"
        raise Failure(ExitStatus.USAGE, f"the schema {shorten(str(path))} cannot be read: {why}") from error
    if len(content) > _MOST_BYTES:
        raise Failure(ExitStatus.USAGE, f"the schema {path} is over {_MOST_BYTES // 1000} kB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Failure(ExitStatus.USAGE, f"the schema {path} is not UTF-8") from None


class _NoNumberError(ValueError):
    """A constant that JSON does not have."""


def _no_number(name: str) -> NoReturn:
    raise _NoNumberError(f"it has no {name}")


def _validator(schema: Any) -> Any:
    """A validator that knows no other documents: by default an unknown reference would be fetched."""
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    return validator_for(schema, default=Draft202012Validator)(schema, registry=Registry())


def _leads_somewhere(reference: str, schema: Any) -> bool:
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    whole = DRAFT202012.create_resource(schema)
    try:
        Registry().with_resource("", whole).resolver().lookup(reference)
    except Unresolvable:
        return False
    return True


def _references(data: Any) -> list[str]:
    """Every `$ref` of the schema."""
    if isinstance(data, list):
        return [ref for item in data for ref in _references(item)]
    if not isinstance(data, dict):
        return []
    own = [data["$ref"]] if isinstance(data.get("$ref"), str) else []
    return own + [ref for item in data.values() for ref in _references(item)]
