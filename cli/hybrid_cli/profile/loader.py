"""Finding a profile's file, reading it with what it extends, and telling every mistake with its line."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.mistakes import schema_mistakes
from hybrid_cli.profile.strict_yaml import MAX_BYTES, parse_strict
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.suggest import nearest

_LONGEST_CHAIN = 8


def shipped_folder() -> Path:
    """The profiles of the package; in a checkout or an editable install, those of the checkout."""
    packaged = Path(__file__).resolve().parents[1] / "profiles"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "profiles"


def profile_folders(environment: Environment) -> list[Path]:
    """Where names are looked up: the user's own first."""
    return [environment.config_folder / "profiles", shipped_folder()]


def find_profile(name: str, environment: Environment, folder: Path = Path()) -> Path:
    """The file of the profile called `name`, or at that path if it holds a slash or ends in .yaml or .yml.

    A relative path starts at `folder`.
    """
    if "/" in name or name.endswith((".yaml", ".yml")):
        return folder / name
    for place in profile_folders(environment):
        path = place / f"{name}.yaml"
        if path.is_file():
            return path
    raise _unknown(name, environment)


def _unknown(name: str, environment: Environment) -> Failure:
    known = sorted({path.stem for folder in profile_folders(environment) for path in folder.glob("*.yaml")})
    close = nearest(name, known)
    hint = f"did you mean `{close}`?" if close else f"known are {', '.join(known)}, or give a path"
    return Failure(ExitStatus.USAGE, f"there is no profile `{name}`; {hint}")


@dataclass(frozen=True)
class Checked:
    """A profile's file: its bytes, its data, and every mistake as `FILE:LINE: message`."""

    text: bytes
    data: dict[str, Any]
    mistakes: list[str]
    line_of_extends: int


def read_profile(path: Path) -> Checked:
    """Read and check the one file at `path`. Raises Failure (USAGE) where it cannot be read at all."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a named pipe would wait for its writer
            raise Failure(ExitStatus.USAGE, f"the profile {path} is not a file")
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Failure(ExitStatus.USAGE, f"the profile {path} cannot be read: {error.strerror}") from error
    document = parse_strict(text)
    mistakes = dict(document.mistakes)
    if document.data is not None or not mistakes:
        for line, message in schema_mistakes(document):
            mistakes.setdefault(line, message)
    told = [f"{path}:{line}: {message}" for line, message in sorted(mistakes.items())]
    return Checked(text, document.data, told, document.lines.get(("extends",), 1))


def read_checked(path: Path) -> Checked:
    """As `read_profile`, but the first mistake is raised as Failure (USAGE)."""
    checked = read_profile(path)
    if checked.mistakes:
        raise Failure(ExitStatus.USAGE, checked.mistakes[0])
    return checked


def every_mistake(path: Path, environment: Environment) -> list[str]:
    """The mistakes of the file at `path`; where it has none, the first of what it extends."""
    try:
        checked = read_profile(path)
    except Failure as failure:
        return [f"{path}:1: {failure}"]
    if not checked.mistakes:
        try:
            read_whole(path, environment)
        except Failure as failure:
            return [f"{path}:{checked.line_of_extends}: extends: {failure}"]
    return checked.mistakes


def read_whole(path: Path, environment: Environment) -> dict[str, Any]:
    """The data of the profile at `path`, its own words over those of the one it extends.

    File names in it are made absolute, as each starts at the folder of the file that says it.
    """
    chain: list[dict[str, Any]] = []
    seen: set[Path] = set()
    while True:
        if path.resolve() in seen or len(seen) == _LONGEST_CHAIN:
            raise Failure(ExitStatus.USAGE, f"{path} extends itself, or through over {_LONGEST_CHAIN} files")
        seen.add(path.resolve())
        data = dict(read_checked(path).data)
        base = data.pop("extends", None)
        chain.append(anchored(data, path.absolute().parent))
        if base is None:
            break
        path = find_profile(base, environment, path.parent)
    whole: dict[str, Any] = {}
    for data in reversed(chain):
        whole = _laid_over(whole, data)
    return whole


_WHOLE = ("cloud", "target")
"""Sections that replace the extended profile's: a key or a price must not meet another origin."""


def _laid_over(base: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in data.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict) and key not in _WHOLE
        result[key] = _laid_over(base[key], value) if both else value
    return result


def anchored(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """`data` with the names of files made absolute; relative ones start at `folder`."""

    def absolute(name: str) -> str:
        return str(folder / os.path.expanduser(name))  # noqa: PTH111  leaves an unknown user's tilde as it is

    def model(name: str) -> str:
        return absolute(name) if "/" in name or name.lower().endswith(".gguf") else name

    for keys, place in (
        (("local", "model"), model),
        (("cloud", "key", "file"), absolute),
        (("cloud", "fallbacks", "key", "file"), absolute),
        (("checks", "schema"), absolute),
    ):
        data = _changed(data, keys, place)
    return data


def _changed(data: Any, keys: tuple[str, ...], change: Callable[[str], str]) -> Any:
    """`data` with the word at the path `keys` changed, where there is one."""
    if not keys:
        return change(data) if isinstance(data, str) else data
    if isinstance(data, list):
        return [_changed(item, keys, change) for item in data]
    if not isinstance(data, dict) or keys[0] not in data:
        return data
    return {**data, keys[0]: _changed(data[keys[0]], keys[1:], change)}
