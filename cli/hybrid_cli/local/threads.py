"""The number of decoding threads: the cores that affinity and quota allow, minus those that are busy.

llama.cpp's threads meet at a barrier about a thousand times a token. A thread that waits for a core makes all
others wait, so on a busy machine fewer threads can be several times faster.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from hybrid_cli.system import cgroups

SPIN_COUNT = "20000"
"""GOMP_SPINCOUNT, which keeps llama.cpp's threads awake between two tokens: waking one costs about 5 % of a small
model's time for a token. With libgomp's default, threads spin for ever, which is several times slower as soon
as another process needs the cores."""

_WINDOW = 0.25  # seconds between two measurements of the load: 25 ticks of the kernel's clock


def usable_cores() -> int:
    """The number of cores that affinity and the control group's quota allow this process."""
    cores = len(_affinity())
    quota = cgroups.cpu_quota()
    return cores if quota is None else max(1, min(cores, round(quota)))


class ThreadCount:
    """The number of threads, adapted to the machine's load unless it is `fixed` (local.threads)."""

    def __init__(self, fixed: int | None = None) -> None:
        self._cores = usable_cores()
        self._then = _Usage.now() if fixed is None and self._cores > 1 else None
        # More threads than cores would wait for each other at every barrier.
        self.value = min(fixed or self._cores, self._cores)

    def update(self) -> bool:
        """Measure the load, at most four times a second; returns whether the value changed."""
        if self._then is None or time.monotonic() - self._then.at < _WINDOW:
            return False
        now = _Usage.now()
        if now is None:
            return False
        others = now.busy_beside_us(self._then)
        self._then = now
        value = threads_beside(others, self._cores)
        changed, self.value = value != self.value, value
        return changed

    def rested(self, seconds: float) -> None:
        """Measure anew after `seconds` without work: what other processes did meanwhile may have ended.

        Without this, a program that calls the engine slows it down by its own start.
        """
        if self._then is not None and seconds >= _WINDOW:
            self._then = _Usage.now()


def automatic_threads() -> tuple[int, str]:
    """Return the number of threads that would decode now, and the reasons. Measures the load for 0.25 s."""
    allowed, quota, cores = len(_affinity()), cgroups.cpu_quota(), usable_cores()
    total = os.cpu_count() or allowed
    reasons = [f"CPU affinity allows {allowed}"] if allowed < total else []
    reasons += [f"the CPU quota is {quota:g}"] if quota is not None else []
    then = _Usage.now()
    time.sleep(_WINDOW)
    now = _Usage.now()
    threads = cores
    if then is None or now is None:
        reasons.append("the load is unknown")
    else:
        others = now.busy_beside_us(then)
        threads = threads_beside(others, cores)
        reasons += [f"other programs keep {others:.1f} busy"] if threads < cores else []
    return threads, f"using {threads} of {total} cores{': ' if reasons else ''}{', '.join(reasons)}"


def threads_beside(others: float, cores: int) -> int:
    """The best number of threads on `cores`, of which other processes keep `others` busy."""
    # A thread on a mostly free core is worth it; one on half a core makes the others wait.
    return max(1, min(cores, int(cores - others + 0.35)))


class _Usage:
    """Processor time used so far, in clock ticks: by all processes on our cores, and by this command."""

    def __init__(self, at: float, everybody: int, ours: int) -> None:
        self.at, self._everybody, self._ours = at, everybody, ours

    @classmethod
    def now(cls) -> _Usage | None:
        """The usage now; None without /proc."""
        try:
            everybody = _busy_ticks(_affinity())
            ours = _ticks_of("self") + _ticks_of(str(os.getppid()))  # the parent is part of the command
        except (OSError, ValueError, IndexError):
            return None
        return cls(time.monotonic(), everybody, ours)

    def busy_beside_us(self, then: _Usage) -> float:
        """The average number of cores that other processes kept busy since `then`."""
        ticks = (self._everybody - then._everybody) - (self._ours - then._ours)
        return max(0.0, ticks / os.sysconf("SC_CLK_TCK") / (self.at - then.at))


def _busy_ticks(cores: set[int]) -> int:
    """Busy clock ticks of `cores` since boot, from /proc/stat (proc(5))."""
    busy = 0
    names = {f"cpu{core}" for core in cores}
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *fields = line.split()
        if name in names:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            busy += user + nice + system + irq + softirq + steal
    return busy


def _ticks_of(process: str) -> int:
    """utime + stime of a process: fields 14 and 15 of /proc/PID/stat, after a name that may have spaces."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
