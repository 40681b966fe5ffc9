"""The choice of one file from a repository that has the same model at several sizes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.weights.names import shards_of

_SHARE_OF_MEMORY = 0.5
"""Share of memory for the weights; the rest is for the context window and other programs."""
_NO_MODEL = re.compile(r"(?:^|/|[-_.])(?:mmproj|imatrix)", re.IGNORECASE)
_UNQUANTISED = re.compile(r"(?:^|[-_.])(?:BF16|F16|F32|FP16|FP32)(?:[-_.]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class HubFile:
    """One model file in a repository: of a split model the first shard, with the bytes of all shards."""

    file: str
    size: int


def model_files(sizes: dict[str, int]) -> list[HubFile]:
    """The model files among a repository's files (bytes by name), smallest first."""
    found = []
    for file in sizes:
        shards = shards_of(file)
        whole = shards[0] == file and all(shard in sizes for shard in shards)
        if file.endswith(".gguf") and whole and not _NO_MODEL.search(file):
            found.append(HubFile(file, sum(sizes[shard] for shard in shards)))
    return sorted(found, key=lambda one: (one.size, one.file))


def choose(files: list[HubFile], memory: int, repo: str) -> HubFile:
    """The largest quantised file that takes at most half of `memory` (bytes): the most accurate one.

    An unquantised file is chosen only if there are no others: it gains little and runs at half the speed.
    Raises Failure (WEIGHTS) if there is no file, or none that fits.
    """
    if not files:
        raise Failure(ExitStatus.WEIGHTS, f"{repo} has no GGUF model file")
    quantised = [file for file in files if not _UNQUANTISED.search(file.file)] or files
    fitting = [file for file in quantised if file.size <= _SHARE_OF_MEMORY * memory]
    if not fitting:
        least = quantised[0]
        raise Failure(
            ExitStatus.WEIGHTS,
            f"every model file in {repo} needs more than half of this machine's {memory / 1e9:.0f} GB of memory;"
            f" to pull the smallest anyway: hybrid pull hf:{repo}/{least.file}",
        )
    return fitting[-1]
