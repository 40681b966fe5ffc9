"""The models that are known by name: the package's `catalog.yaml`, and the user's own file over it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.strict_yaml import Document, KeyPath, parse_strict
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.suggest import nearest
from hybrid_cli.weights.names import check_name

DEFAULT_MODEL = "smollm2-135m"
USER_CATALOG = "models.yaml"

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class CatalogFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a model: its name at the source, its size in bytes and its checksum."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$", max_length=200)]
    size: Annotated[int, Meta(gt=0)]
    sha256: Sha256


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model. Where its file is split, `files` are the shards in order."""

    files: Annotated[list[CatalogFile], Meta(min_length=1, max_length=999)]
    sources: Annotated[list[str], Meta(min_length=1)]
    """In the order in which they are tried; `{file}` stands for a file's name."""
    licence: str
    summary: str = ""
    """What it is good for."""
    good_for: Literal["general", "code", "reasoning"] = "general"
    context: Annotated[int, Meta(gt=0)] | None = None
    """Tokens that it was trained for."""
    memory: Annotated[float, Meta(gt=0)] | None = None
    """The memory of a machine that runs it, in GB."""
    quirks: list[str] = []
    """What is unusual about its chat template or its answers."""
    caution: str = ""
    """What is not certain about this entry."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)


def catalog(environment: Environment) -> dict[str, Entry]:
    """Every entry by name, from small to large; the user's own come last, and in place of others.

    Raises Failure (USAGE) where the user's file is wrong.
    """
    own = environment.config_folder / USER_CATALOG
    entries = shipped_catalog()
    return {**entries, **_read(own)} if own.is_file() else entries


def shipped_catalog() -> dict[str, Entry]:
    """The package's own entries."""
    return _read(Path(__file__).with_name("catalog.yaml"))


def _read(path: Path) -> dict[str, Entry]:
    document = parse_strict(path.read_bytes())
    for line, message in sorted(document.mistakes.items()):
        raise Failure(ExitStatus.USAGE, f"{path}:{line}: {message}")
    if document.data is not None and not isinstance(document.data, dict):
        raise Failure(ExitStatus.USAGE, f"{path}:1: it must map names to models")
    entries = {}
    for name, data in (document.data or {}).items():
        try:
            check_name(name)
            entries[name] = msgspec.convert(data, Entry)
        except (msgspec.ValidationError, Failure) as error:
            line, where, problem = _mistake(name, str(error), document)
            raise Failure(ExitStatus.USAGE, f"{path}:{line}: {where}: {problem}") from None
    return entries


def _mistake(name: str, message: str, document: Document) -> tuple[int, str, str]:
    """Line, place and words of what `message` says of the entry `name`."""
    problem, _, place = message.partition(" - at `$")
    inside = [int(part) if part.isdecimal() else part for part in re.findall(r"[\w-]+", place)]
    keys: KeyPath = (name, *inside)
    while keys not in document.lines and len(keys) > 1:
        keys = keys[:-1]
    return document.lines.get(keys, 1), ".".join(map(str, (name, *inside))), problem[0].lower() + problem[1:]


def unknown_model(name: str, stored: list[str], environment: Environment) -> Failure:
    """The failure for a name that is neither stored nor in the catalog, with the nearest one."""
    known = [one for one in dict.fromkeys([*stored, *catalog(environment)]) if one != name]
    close = nearest(name, known)
    hint = f"did you mean `{close}`?" if close else f"known are {', '.join(sorted(known))}, or give a path"
    return Failure(ExitStatus.USAGE, f"there is no model `{name}`; {hint}")
