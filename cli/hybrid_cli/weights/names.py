"""Names of models, and how they differ from paths."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.default_model import DEFAULT

# ASCII only: no name leaves a folder, is hidden, or looks like another.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}(?<!\.gguf)")  # NAME.gguf is a path to every command
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")


def path_of(model: str) -> Path | None:
    """`model` as a path; None if it is a name. Raises Failure (USAGE) for a NUL byte."""
    if "\0" in model:
        raise Failure(ExitStatus.USAGE, f"`{model}` cannot be a model's name or path")
    if "/" not in model and not model.lower().endswith(".gguf"):
        return None
    try:
        return Path(model).expanduser()
    except RuntimeError:  # no such user: the tilde is a plain character
        return Path(model)


def is_name(name: str) -> bool:
    """Whether weights may be stored under `name`."""
    return _NAME.fullmatch(name) is not None and name != DEFAULT


def check_name(name: str) -> str:
    """`name`. Raises Failure (USAGE) unless weights may be stored under it."""
    if not is_name(name):
        raise Failure(
            ExitStatus.USAGE,
            f"`{name}` cannot be a model's name; use up to 100 lower-case letters, digits, dots, dashes and"
            " underscores, with a letter or digit first, without .gguf at the end, and not `default`",
        )
    return name


def name_from_file(file: str) -> str:
    """The name to store a file under if the user gives none."""
    last = PurePosixPath(file).name
    stem = shard["stem"] if (shard := _SHARD.fullmatch(last)) else last
    name = re.sub(r"[^a-z0-9._-]+", "-", stem.lower().removesuffix(".gguf")).strip("-._")
    if not is_name(name):
        raise Failure(ExitStatus.USAGE, f"cannot make a model name from `{file}`; give one with --name")
    return name


def shards_of(file: str) -> list[str]:
    """The names of all shards of the split model that `file` belongs to; else `file` alone.

    llama.cpp finds the shards by these names (`llama_split_path`).
    """
    shard = _SHARD.fullmatch(file)
    if shard is None or not 1 <= int(shard["count"]) <= 999:
        return [file]
    count = int(shard["count"])
    return [f"{shard['stem']}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]


def as_text(name: str) -> str:
    """`name` as valid Unicode: bytes that are no text become question marks."""
    return name.encode(errors="replace").decode()
