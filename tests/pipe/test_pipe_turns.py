"""How many records are decided about at once: those with a slot in the engine, and a few that wait for one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from hybrid_cli.cascade.shared_engine import SharedEngine
from hybrid_cli.local.devices import kernels
from hybrid_cli.local.layouts import Layouts, Speed
from hybrid_cli.local.protocol import SchedulerRequest, Task
from hybrid_cli.local.worker import Worker

MANY_PAY = Speed(0.35, 0.0072, 0.0457, 0.0140)


@contextlib.contextmanager
def engine(
    model: Path, jobs: int | None, layouts: Layouts | None = None, max_tokens: int = 4
) -> Iterator[SharedEngine]:
    """Yield an engine whose model is loaded."""
    loaded = threading.Event()
    examples = [Task([{"role": "user", "content": text}], max_tokens) for text in ("a", "b")]
    worker = Worker.spawn()
    try:
        request = SchedulerRequest(str(model), examples, jobs, layouts=layouts)
        shared = SharedEngine(worker, request, lambda _: loaded.set())
        assert loaded.wait(60)
        yield shared
    finally:
        worker.stop()


def turns(shared: SharedEngine) -> int:
    """How many records get a turn while none gives its turn back."""
    turns = shared.turn()
    with contextlib.ExitStack() as taken:
        for count in range(200):
            if not turns.free:
                return count
            taken.enter_context(turns)
    return 200


def test_as_many_wait_as_there_are_slots_up_to_eight(model_file: Path) -> None:
    for jobs, expected in ((1, 2), (4, 8), (16, 24)):
        with engine(model_file, jobs) as shared:
            assert turns(shared) == expected


def test_an_engine_with_more_slots_gets_more_records(model_file: Path) -> None:
    with engine(model_file, None, Layouts(MANY_PAY, MANY_PAY, kernels())) as shared:
        assert turns(shared) == 52  # the cache of 44 answers is small


def test_no_more_records_come_than_their_slots_have_room_for(model_file: Path) -> None:
    """The cache for 64 answers of this length would be much larger than the weights."""
    with engine(model_file, None, Layouts(MANY_PAY, MANY_PAY, kernels()), max_tokens=1000) as shared:
        assert turns(shared) == 24
