"""The models that are known by name. The data is in `catalog.yaml`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.strict_yaml import parse_strict

DEFAULT_MODEL = "smollm2-135m"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model: its file, size in bytes, checksum and where to get it, best source first."""

    file: str
    size: int
    sha256: str
    licence: str
    sources: list[str]


def catalog() -> dict[str, Entry]:
    """Every entry by name."""
    path = Path(__file__).with_name("catalog.yaml")
    return msgspec.convert(parse_strict(path.read_bytes()).data, dict[str, Entry])


def unknown_model(name: str, stored: list[str]) -> Failure:
    """The failure for a name that is neither stored nor in the catalog, with the nearest one."""
    from difflib import get_close_matches

    known = sorted({*stored, *catalog()})
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(known)}, or give a path"
    return Failure(ExitStatus.USAGE, f"there is no model `{name}`; {hint}")
