"""Find a profile's file, check it, and read it together with the profiles that it extends."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.mistakes import schema_mistakes
from hybrid_cli.profile.strict_yaml import KeyPath, parse_strict, read_settings
from hybrid_cli.system.files import is_there
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.suggest import nearest

_MAX_CHAIN = 8
"""Files that may extend one another."""


def shipped_folder() -> Path:
    """The folder of the shipped profiles: in the package, or at the root of a checkout."""
    packaged = Path(__file__).resolve().parents[1] / "profiles"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "profiles"


def profile_folders(environment: Environment) -> list[Path]:
    """The folders that are searched for a profile's name; the user's own comes first."""
    return [environment.config_folder / "profiles", shipped_folder()]


def find_profile(name: str, environment: Environment, folder: Path = Path()) -> Path:
    """The file of the profile called `name`, which is a path if it contains a slash or ends in .yaml or .yml.

    A relative path starts at `folder`. Raises Failure (USAGE) if no profile has that name.
    """
    if "/" in name or name.endswith((".yaml", ".yml")):
        return folder / name
    for place in profile_folders(environment):
        path = place / f"{name}.yaml"
        if is_there(path):
            return path
    raise _no_profile(name, environment)


def _no_profile(name: str, environment: Environment) -> Failure:
    known = sorted({path.stem for folder in profile_folders(environment) for path in folder.glob("*.yaml")})
    close = nearest(name, known)
    hint = f"did you mean `{close}`?" if close else f"use a path or one of {', '.join(known)}"
    return Failure(ExitStatus.USAGE, f"no profile `{name}`; {hint}")


@dataclass(frozen=True)
class CheckedProfile:
    """The content of a profile's file."""

    path: Path
    text: bytes
    data: Any
    """Nested as in the file; None or incomplete if it cannot be read."""
    found: list[tuple[int, str]]
    """Line and message of each mistake, in order."""
    lines: dict[KeyPath, int]
    """The line of each value."""

    @property
    def mistakes(self) -> list[str]:
        """Each mistake as `FILE:LINE: message`."""
        return [f"{self.path}:{line}: {message}" for line, message in self.found]


def read_profile(path: Path) -> CheckedProfile:
    """The file at `path`, checked by itself. Raises Failure (USAGE) if it cannot be read."""
    text = read_settings(path, "the profile")
    document = parse_strict(text)
    found = list(document.mistakes.items())
    if document.data is not None or not found:
        found += [one for one in schema_mistakes(document) if one[0] not in document.mistakes]
    return CheckedProfile(path, text, document.data, sorted(found, key=lambda one: one[0]), document.lines)


def read_checked(path: Path) -> CheckedProfile:
    """As `read_profile`, but raises the first mistake as Failure (USAGE)."""
    checked = read_profile(path)
    if checked.mistakes:
        raise Failure(ExitStatus.USAGE, checked.mistakes[0])
    return checked


def read_whole(path: Path, environment: Environment) -> dict[str, Any]:
    """The data of the profile at `path`; profiles that it extends supply the keys it does not set.

    Raises Failure (USAGE) for the first mistake.
    """
    return overlaid(read_chain(path, environment))


def overlaid(chain: Sequence[ChainLink]) -> dict[str, Any]:
    """The data of a profile that extends others: `chain` begins with the profile itself."""
    whole: dict[str, Any] = {}
    for link in reversed(chain):
        whole = _overlaid(whole, link.data)
    return whole


@dataclass(frozen=True)
class ChainLink:
    """The file of a profile, or of a profile that it extends."""

    path: Path
    data: dict[str, Any]
    """What this file itself sets."""


def read_chain(path: Path, environment: Environment) -> list[ChainLink]:
    """The profile at `path`, and after it each profile that the one before extends.

    A relative path in it is made absolute; it starts at the folder of the file that contains it. Raises
    Failure (USAGE) for the first mistake.
    """
    chosen = path
    chain: list[ChainLink] = []
    seen: set[Path] = set()
    while True:
        if path.resolve() in seen or len(seen) == _MAX_CHAIN:
            raise Failure(
                ExitStatus.USAGE,
                f"{path} extends itself, or more than {_MAX_CHAIN} files extend one another",
            )
        seen.add(path.resolve())
        data = dict(read_checked(path).data)
        base = data.pop("extends", None)
        chain.append(ChainLink(path, with_absolute_paths(data, path.absolute().parent)))
        if base is None:
            break
        path = _base_of(path, base, environment)
    whole = overlaid(chain)
    if "cloud" in whole and not names_server(whole["cloud"]):
        raise Failure(
            ExitStatus.USAGE,
            f"{path}: sets no cloud to inherit; in `cloud`, set `use`, such as openai, or `base_url`",
        )
    _refuse_looser(chosen, whole, environment)
    return chain


def _base_of(path: Path, base: str, environment: Environment) -> Path:
    """The file that the profile at `path` extends; one named as it is itself is the shipped profile."""
    found = find_profile(base, environment, path.parent)
    shipped = shipped_folder() / f"{base}.yaml"
    return shipped if found.resolve() == path.resolve() and shipped.is_file() else found


_STRICTNESS = {"forbid": 2, "ask": 1}
"""Of the escalation modes; 0 for the others."""


def _refuse_looser(path: Path, data: dict[str, Any], environment: Environment) -> None:
    """Raise Failure (USAGE) if the user's profile at `path` has a shipped one's name and a less strict mode.

    Who types `-p offline` relies on what that name means.
    """
    shipped = shipped_folder() / path.name
    own = environment.config_folder / "profiles"
    if path.parent.resolve() != own.resolve() or not shipped.is_file():
        return
    usual = read_whole(shipped, environment)
    modes = [one.get("escalation", {}).get("mode", "auto") for one in (usual, data)]
    before, now = (_STRICTNESS.get(mode, 0) for mode in modes)
    if now < before:
        raise Failure(
            ExitStatus.USAGE,
            f"{path}: takes the place of the shipped profile `{path.stem}`, whose mode is {modes[0]}, with the"
            f" mode {modes[1]}; rename the file",
        )


REPLACED_WHOLE = ("cloud", "target")
"""Sections that replace the base profile's: its key and prices belong to its own cloud."""
_OF_THE_MODEL = ("prices", "max_tokens", "reasoning_effort", "extra")
"""Keys of a cloud that belong to its model: another model does not inherit them."""


def same_cloud(base: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """`data` completed by the cloud `base`, whose server it keeps because it names none itself."""
    kept = {key: value for key, value in base.items() if "model" not in data or key not in _OF_THE_MODEL}
    return {**kept, **data}


def names_server(cloud: Any) -> bool:
    """Whether the section `cloud` names its server itself, or is no section."""
    return not isinstance(cloud, dict) or "base_url" in cloud or "use" in cloud


def _overlaid(base: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `data` set; sections merge key by key."""
    result = dict(base)
    for key, value in data.items():
        if key == "cloud" and not names_server(value) and isinstance(base.get(key), dict):
            result[key] = same_cloud(base[key], value)
            continue
        both = isinstance(value, dict) and isinstance(base.get(key), dict) and key not in REPLACED_WHOLE
        result[key] = _overlaid(base[key], value) if both else value
    return result


COMMANDS = (
    ("cloud", "key", "command"),
    ("cloud", "fallbacks", "key", "command"),
    ("privacy", "scanner"),
    ("checks", "verify"),
)
"""The keys that hold a command, a list of words."""


def with_absolute_paths(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """`data` with its paths made absolute; relative ones start at `folder`.

    So do commands and the files that their arguments name: the working folder may be anybody's.
    """

    def absolute(name: Any) -> Any:
        # os.path.expanduser keeps `~name` if there is no such user
        return str(folder / os.path.expanduser(name)) if isinstance(name, str) else name  # noqa: PTH111

    def model(name: Any) -> Any:
        is_path = isinstance(name, str) and ("/" in name or name.lower().endswith(".gguf"))
        return absolute(name) if is_path else name

    def projector(name: Any) -> Any:
        return name if name in ("auto", "off") else absolute(name)

    def command(words: Any) -> Any:
        if not isinstance(words, list):
            return words
        return [
            absolute(word) if _is_path(word, folder, is_first=not n) else word for n, word in enumerate(words)
        ]

    changes: list[tuple[tuple[str, ...], Callable[[Any], Any]]] = [
        (("local", "model"), model),
        (("local", "draft"), model),
        (("local", "projector"), projector),
        (("cloud", "key", "file"), absolute),
        (("cloud", "fallbacks", "key", "file"), absolute),
        (("checks", "schema"), absolute),
        *((keys, command) for keys in COMMANDS),
    ]
    for keys, change in changes:
        data = _with_changed(data, keys, change)
    return data


def _is_path(word: Any, folder: Path, *, is_first: bool) -> bool:
    """Whether a command's `word` is a path: its program if it contains a slash, or a file in `folder`."""
    if not isinstance(word, str) or not word or word.startswith("-") or "\0" in word or "{file}" in word:
        return False
    if is_first:
        return "/" in word
    try:
        return (folder / os.path.expanduser(word)).is_file()  # noqa: PTH111
    except OSError:  # too long for a file's name
        return False


def _with_changed(data: Any, keys: tuple[str, ...], change: Callable[[Any], Any]) -> Any:
    """`data` with `change` applied to the value at the path `keys`, if there is any; lists are searched."""
    if not keys:
        return change(data)
    if isinstance(data, list):
        return [_with_changed(item, keys, change) for item in data]
    if not isinstance(data, dict) or keys[0] not in data:
        return data
    return {**data, keys[0]: _with_changed(data[keys[0]], keys[1:], change)}
