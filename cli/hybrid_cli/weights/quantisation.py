"""Choosing one file of a repository that offers the same model at several sizes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.weights.names import shards_of

_SHARE_OF_MEMORY = 0.5
"""What the weights may take: the rest is for the context, and for the user's other programs."""
_NO_MODEL = re.compile(r"(?:^|/|[-_.])(?:mmproj|imatrix)", re.IGNORECASE)
_UNQUANTISED = re.compile(r"(?:^|[-_.])(?:BF16|F16|F32|FP16|FP32)(?:[-_.]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Offer:
    """One model file of a repository; of a split one the first shard, with the bytes of all."""

    file: str
    size: int


def offers(sizes: dict[str, int]) -> list[Offer]:
    """What the files of a repository, by name with their bytes, offer to run, smallest first."""
    found = []
    for file in sizes:
        shards = shards_of(file)
        whole = shards[0] == file and all(shard in sizes for shard in shards)
        if file.endswith(".gguf") and whole and not _NO_MODEL.search(file):
            found.append(Offer(file, sum(sizes[shard] for shard in shards)))
    return sorted(found, key=lambda offer: (offer.size, offer.file))


def choose(offered: list[Offer], memory: int, repo: str) -> Offer:
    """The largest quantised file whose weights take at most half of `memory` bytes: the closest to the original.

    Unquantised files are taken only where there are no others: they gain little and run at half the speed.
    Raises Failure (WEIGHTS) where there is none, or none that fits.
    """
    if not offered:
        raise Failure(ExitStatus.WEIGHTS, f"{repo} holds no GGUF model file")
    quantised = [offer for offer in offered if not _UNQUANTISED.search(offer.file)] or offered
    fitting = [offer for offer in quantised if offer.size <= _SHARE_OF_MEMORY * memory]
    if not fitting:
        least = quantised[0]
        raise Failure(
            ExitStatus.WEIGHTS,
            f"every model file of {repo} takes over half of this machine's {memory / 1e9:.0f} GB of memory;"
            f" to take the smallest all the same: hybrid pull hf:{repo}/{least.file}",
        )
    return fitting[-1]
