"""How many threads decode: what affinity and quota allow, less what other processes are using.

llama.cpp's threads meet at a barrier about a thousand times a token. One that has to wait for a core
makes all others wait, so on a busy machine fewer threads are several times faster than more.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from hybrid_cli import cgroups

SPIN_COUNT = "20000"
"""GOMP_SPINCOUNT. It keeps llama.cpp's threads awake between two tokens: one that slept costs the next token
some 5 % with a small model. The default of libgomp, which spins for ever, is several times slower as soon as
another process wants the cores."""

_WINDOW = 0.25  # seconds between two looks at the load: 25 ticks of the kernel's clock a core


def usable_cores() -> int:
    """The cores that this process may use: its affinity, and its control group's quota."""
    cores = len(_affinity())
    quota = cgroups.cpu_quota()
    return cores if quota is None else max(1, min(cores, round(quota)))


class ThreadCount:
    """The number of threads that pays, followed as the load of the machine changes."""

    def __init__(self, fixed: int | None = None) -> None:
        self._cores = usable_cores()
        self._then = _Usage.now() if fixed is None and self._cores > 1 else None
        # Threads that have to take turns at a barrier make each other wait for ever.
        self.value = min(fixed or self._cores, self._cores)

    def update(self) -> bool:
        """Look at the load of the last quarter of a second, if it is over; whether the value changed."""
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
    """The threads that pay on `cores` of which others keep so many busy."""
    # A core that is mostly free is worth a thread; half of one makes the others wait.
    return max(1, min(cores, int(cores - others + 0.35)))


class _Usage:
    """Processor time used so far, in ticks: by everybody on our cores, and by this command."""

    def __init__(self, at: float, everybody: int, ours: int) -> None:
        self.at, self._everybody, self._ours = at, everybody, ours

    @classmethod
    def now(cls) -> _Usage | None:
        """None where there is no /proc to read it from."""
        try:
            everybody = _busy_ticks(_affinity())
            ours = _ticks_of("self") + _ticks_of(str(os.getppid()))  # the parent is part of the command
        except (OSError, ValueError, IndexError):
            return None
        return cls(time.monotonic(), everybody, ours)

    def busy_beside_us(self, then: _Usage) -> float:
        """Cores that others kept busy, on average since `then`."""
        ticks = (self._everybody - then._everybody) - (self._ours - then._ours)
        return max(0.0, ticks / os.sysconf("SC_CLK_TCK") / (self.at - then.at))


def _busy_ticks(cores: set[int]) -> int:
    """proc(5), stat: user, nice, system, idle, iowait, irq, softirq, steal of each core."""
    busy = 0
    names = {f"cpu{core}" for core in cores}
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *fields = line.split()
        if name in names:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            busy += user + nice + system + irq + softirq + steal
    return busy


def _ticks_of(process: str) -> int:
    """utime and stime, the 14th and 15th field of proc(5)'s PID/stat; the name before them may have spaces."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
