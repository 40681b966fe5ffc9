"""The shards of a split model that is used by path. llama.cpp finds them by their names, beside the first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.weights.names import shards_of


def check_shards(path: Path) -> None:
    """Raise Failure (WEIGHTS) if `path` has the name of a later shard, or if another shard is missing."""
    names = shards_of(path.name)
    if path.name != names[0]:
        first = path.with_name(names[0])
        raise Failure(
            ExitStatus.WEIGHTS, f"{path} is a part of a split model; give the first one: -m {first}"
        )
    missing = [name for name in names if not path.with_name(name).exists()]
    if missing:
        raise Failure(
            ExitStatus.WEIGHTS,
            f"{path} needs all {len(names)} files of its split model in one folder; missing: {', '.join(missing[:3])}"
            + (f" and {len(missing) - 3} more" if len(missing) > 3 else ""),
        )


def check_name(path: Path, metadata: Mapping[str, int | str]) -> None:
    """Raise Failure (WEIGHTS) if `metadata` says that `path` is a shard, but its name does not."""
    count = int(metadata.get("split.count", 0) or 0)
    if count > 1 and len(shards_of(path.name)) != count:
        number = int(metadata.get("split.no", 0) or 0) + 1
        raise Failure(
            ExitStatus.WEIGHTS,
            f"{path} is file {number} of a model split into {count};"
            f" its name must end in -{number:05d}-of-{count:05d}.gguf, with the others beside it",
        )
