"""The profile's schema for editors and other validators: what `hybrid profile schema` prints."""

from __future__ import annotations

from typing import Any

import msgspec

from hybrid_cli.profile.cloud_section import Key
from hybrid_cli.profile.schema import Profile, Target, When


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a profile, for editors and other validators."""
    schema = msgspec.json.schema(Profile)
    for section in (Key, Target):  # as their __post_init__ checks
        schema["$defs"][section.__name__].update(minProperties=1, maxProperties=1)
    schema["$defs"][When.__name__].update(minProperties=1)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "hybrid profile", **schema}
