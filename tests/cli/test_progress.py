"""Progress in plain lines, and the parts of a bar; on a terminal it is seen in tests/cli/test_terminal.py."""

from __future__ import annotations

import io
from itertools import pairwise

from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.progress import Progress, ProgressBar, Rate, bar, duration


def test_lines_where_nothing_may_be_redrawn() -> None:
    now = [0.0]
    stderr = io.StringIO()
    world = Environment(stdin=None, stdout=None, stderr=stderr, variables={}, clock=lambda: now[0])
    with ProgressBar(world, "answered by small", 40) as progress:
        for second in range(1, 15):
            now[0] = float(second)
            progress.step()
    assert stderr.getvalue().splitlines() == [
        "hybrid: 2 of 40 answered by small",
        "hybrid: 12 of 40 answered by small, about 28 s left",
    ]


def test_hours_of_work_do_not_fill_a_log() -> None:
    """Answers of a slow model take longer than the first pauses: not every one of them is a line."""
    now, stamps = [0.0], []
    world = Environment(stdin=None, stdout=None, stderr=io.StringIO(), variables={}, clock=lambda: now[0])
    progress = Progress(world, lambda: stamps.append(now[0]) or "")  # type: ignore[func-returns-value]
    for second in range(0, 3600, 12):
        now[0] = float(second)
        progress.update()
    pauses = [after - before for before, after in pairwise(stamps)]
    assert pauses[:4] == [12, 24, 48, 60]
    assert set(pauses[4:]) == {60}


def test_a_rate_is_that_of_the_last_samples() -> None:
    now = [0.0]
    rate = Rate(lambda: now[0], 100)
    assert rate.per_second == 0
    for tick in range(1, 101):
        now[0] = tick / 4
        rate.add(100 + tick * (1 if tick <= 50 else 2))
        rate.add(10**9)  # too soon after the last one
    assert rate.per_second == 8


def test_a_bar_and_a_duration() -> None:
    assert bar(0, 3) == "░" * 10
    assert bar(2, 3) == "█" * 6 + "░" * 4
    assert bar(3, 3) == "█" * 10
    assert [duration(seconds) for seconds in (0.4, 119, 120, 7199, 7500)] == [
        "0 s",
        "119 s",
        "2 min",
        "119 min",
        "2 h 5 min",
    ]
