"""Names of models, and telling them from paths."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from hybrid_cli.exit_status import ExitStatus, Failure

# Plain ASCII: nothing that leaves a folder, hides, or looks like another letter.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}(?<!\.gguf)")  # NAME.gguf is a path to every command
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")


def path_of(model: str) -> Path | None:
    """The path that `model` is, or None where it is a name. Raises Failure (USAGE) for what no path holds."""
    if "\0" in model:
        raise Failure(ExitStatus.USAGE, f"`{model}` cannot be a model's name or path")
    if "/" not in model and not model.lower().endswith(".gguf"):
        return None
    try:
        return Path(model).expanduser()
    except RuntimeError:  # there is no such user: a tilde like any other letter
        return Path(model)


def is_name(name: str) -> bool:
    """Whether weights may be stored under `name`."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """`name`, if weights may be stored under it. Raises Failure (USAGE) otherwise."""
    if not is_name(name):
        raise Failure(
            ExitStatus.USAGE,
            f"`{name}` cannot be a model's name: use up to 100 lower-case letters, digits, dots, dashes and"
            " underscores, a letter or digit first, and no .gguf at the end",
        )
    return name


def name_from_file(file: str) -> str:
    """The name under which a file of that name is stored when the user gives none."""
    last = PurePosixPath(file).name
    stem = shard["stem"] if (shard := _SHARD.fullmatch(last)) else last
    name = re.sub(r"[^a-z0-9._-]+", "-", stem.lower().removesuffix(".gguf")).strip("-._")
    if not is_name(name):
        raise Failure(ExitStatus.USAGE, f"no model's name can be made of `{file}`; give one with --name")
    return name


def shards_of(file: str) -> list[str]:
    """The names of all shards of the split model that `file` is one of; else `file` alone.

    llama.cpp finds the shards by these names (its `llama_split_path`).
    """
    shard = _SHARD.fullmatch(file)
    if shard is None or not 1 <= int(shard["count"]) <= 999:
        return [file]
    count = int(shard["count"])
    return [f"{shard['stem']}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]


def as_text(name: str) -> str:
    """A file's name as JSON can hold it: what is no text in it becomes question marks."""
    return name.encode(errors="replace").decode()
