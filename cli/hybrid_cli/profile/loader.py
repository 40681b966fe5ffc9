"""Finding a profile's file, and checking it against the schema: every mistake with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from hybrid_cli.environment import Environment
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.schema import Profile
from hybrid_cli.profile.strict_yaml import MAX_BYTES, Document, parse_strict

_PLACE = re.compile(r"(?P<problem>.*?)(?: - at `(?:key in )?\$(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)


def shipped_folder() -> Path:
    """The profiles of the package; in a checkout or an editable install, those of the checkout."""
    packaged = Path(__file__).resolve().parents[1] / "profiles"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "profiles"


def profile_folders(environment: Environment) -> list[Path]:
    """Where names are looked up: the user's own first."""
    return [environment.config_folder / "profiles", shipped_folder()]


def find_profile(name: str, environment: Environment) -> Path:
    """The file of the profile called `name`, or at that path if it holds a slash or ends in .yaml or .yml."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return Path(name)
    for folder in profile_folders(environment):
        path = folder / f"{name}.yaml"
        if path.is_file():
            return path
    raise _unknown(name, environment)


def _unknown(name: str, environment: Environment) -> Failure:
    from difflib import get_close_matches

    known = sorted({path.stem for folder in profile_folders(environment) for path in folder.glob("*.yaml")})
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(known)}, or give a path"
    return Failure(ExitStatus.USAGE, f"there is no profile `{name}`; {hint}")


@dataclass(frozen=True)
class Checked:
    """A profile's file: its bytes, its data, and every mistake as `FILE:LINE: message`."""

    text: bytes
    data: dict[str, Any]
    mistakes: list[str]


def read_profile(path: Path) -> Checked:
    """Read and check the file at `path`. Raises Failure (USAGE) where it cannot be read at all."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Failure(ExitStatus.USAGE, f"the profile {path} cannot be read: {error.strerror}") from error
    document = parse_strict(text)
    mistakes = dict(document.mistakes)
    if document.data is not None or not mistakes:
        for line, message in _schema_mistakes(document):
            mistakes.setdefault(line, message)
    told = [f"{path}:{line}: {message}" for line, message in sorted(mistakes.items())]
    return Checked(text, document.data, told)


def read_checked(path: Path) -> Checked:
    """As `read_profile`, but the first mistake is raised as Failure (USAGE)."""
    checked = read_profile(path)
    if checked.mistakes:
        raise Failure(ExitStatus.USAGE, checked.mistakes[0])
    return checked


def _schema_mistakes(document: Document) -> Iterator[tuple[int, str]]:
    """Each place where the data does not fit the schema: what fails is taken out and the rest tried."""
    data = deepcopy(document.data)
    while True:
        try:
            msgspec.convert(data, Profile)
        except msgspec.ValidationError as error:
            path, message = _explain(str(error))
            yield _line_of(path, document), f"{'.'.join(path)}: {message}" if path else message
            if not _take_out(data, path):
                return
        else:
            return


def _explain(error: str) -> tuple[tuple[str, ...], str]:
    """The key path and the message of msgspec's error, with the nearest key for an unknown one."""
    match = _PLACE.fullmatch(error)
    problem, dotted = (match["problem"], match["path"] or "") if match else (error, "")
    path = tuple(part for part in re.split(r"\.|\[(?:\d+|\.\.\.)\]", dotted) if part)
    unknown = _UNKNOWN_FIELD.fullmatch(problem)
    if unknown:
        path = (*path, unknown["field"])
        problem = f"unknown key{_nearest(path)}"
    return path, problem


def _line_of(path: tuple[str, ...], document: Document) -> int:
    return document.lines.get(path) or document.lines.get(path[:-1], 1)


def _take_out(data: Any, path: tuple[str, ...]) -> bool:
    """Remove what is at `path`; whether there was anything."""
    for part in path[:-1]:
        data = data.get(part) if isinstance(data, dict) else None
    if not path or not isinstance(data, dict) or path[-1] not in data:
        return False
    del data[path[-1]]
    return True


def _nearest(path: tuple[str, ...]) -> str:
    from difflib import get_close_matches

    fields = _fields_at(path[:-1])
    close = get_close_matches(path[-1], fields, n=1)
    return f"; did you mean `{close[0]}`?" if close else f"; known are {', '.join(fields)}"


def _fields_at(path: tuple[str, ...]) -> list[str]:
    """The keys that the schema knows below `path`."""
    struct: Any = msgspec.inspect.type_info(Profile)
    for part in path:
        kind = next(field.type for field in struct.fields if field.name == part)
        options = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
        struct = next(option for option in options if isinstance(option, msgspec.inspect.StructType))
    return [field.name for field in struct.fields]
