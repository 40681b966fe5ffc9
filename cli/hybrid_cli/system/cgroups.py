"""The limits that Linux control groups set to this process: memory in bytes, processor time in cores.

See cgroups(7). A group is limited by its own limit and by those of all groups above it, so each function
takes the strictest. Version 2 (`memory.max`, `cpu.max`) and version 1 (`memory.limit_in_bytes`,
`cpu.cfs_quota_us`) are read. `root` is where the file system begins; tests build a small one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

_ROOT = Path("/")
_NO_LIMIT = 1 << 60
"""Version 1 writes a number near 2**63 if there is no limit."""


def memory_limit(root: Path = _ROOT) -> int | None:
    """Bytes of memory that the process may use; None without a limit."""
    return min((limit for _folder, limit in _memory_limits(root)), default=None)


def memory_left(root: Path = _ROOT) -> int | None:
    """Bytes that the process may still take; None without a limit. Cached files count as free."""
    return min((limit - _memory_held(folder) for folder, limit in _memory_limits(root)), default=None)


def slurm_limit(variables: Mapping[str, str]) -> int | None:
    """Bytes of memory that Slurm gives the job on this node; None outside of a job. Slurm counts in MB (sbatch(1))."""
    whole, per_core, cores = (
        int(found) if (found := variables.get(name, "").partition("(")[0]).isdecimal() else 0
        for name in ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE")
    )
    return (whole or per_core * cores) << 20 or None  # 0 means all of the node's memory


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Cores' worth of processor time that the process may use; None without a quota."""
    quotas = []
    for folder in _folders("cpu", root):
        words = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        if len(words) == 2 and all(word.isdecimal() for word in words):  # neither `max` nor -1
            quota, period = map(int, words)
            quotas.append(quota / period)
    return min(quotas, default=None)


def _memory_limits(root: Path) -> Iterator[tuple[Path, int]]:
    """The folder and the limit of each group that has one."""
    for folder in _folders("memory", root):
        # Above `memory.high`, systemd's MemoryHigh, the kernel slows the process down until it hardly moves.
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            limit = _word(folder / name)
            if limit.isdecimal() and int(limit) < _NO_LIMIT:  # version 2 says `max`
                yield folder, int(limit)


def _memory_held(folder: Path) -> int:
    """Bytes in use by a group, less those that the kernel can free: cached files."""
    used = _word(folder / "memory.current") or _word(folder / "memory.usage_in_bytes")
    words = _words(folder / "memory.stat")
    counters = dict(zip(words[::2], words[1::2], strict=False))
    cached = counters.get("file") or counters.get("total_cache") or "0"
    return int(used or 0) - int(cached)


def _folders(controller: str, root: Path) -> list[Path]:
    """The folders of the process's group and of all groups above it, in the hierarchies of `controller`."""
    folders: list[Path] = []
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return folders
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        top = root / "sys/fs/cgroup"
        if controllers:  # version 1: a hierarchy for each controller
            if controller not in controllers.split(","):
                continue
            top /= controller
        group = top / path.lstrip("/")
        folders += [group, *(parent for parent in group.parents if parent.is_relative_to(top))]
    return folders


def _word(file: Path) -> str:
    """The first word of `file`; "" if it cannot be read."""
    return next(iter(_words(file)), "")


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []
