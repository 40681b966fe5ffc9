"""The pool of threads that pipe and eval share."""

from __future__ import annotations

import threading

from hybrid_cli.system.thread_pool import ThreadPool


def test_a_pool_starts_as_many_threads_as_it_needs() -> None:
    threads: set[int] = set()
    all_here = threading.Barrier(3)
    errors: list[Exception] = []
    over = threading.Event()

    def work(item: int) -> None:
        threads.add(threading.get_ident())
        if item < 3:
            all_here.wait(10)
        if item == 9:
            raise OSError
        if item == 99:
            over.set()

    pool: ThreadPool[int] = ThreadPool(3, work, errors.append)
    for item in (0, 1, 2, *range(3, 100)):
        pool.put(item)
    assert over.wait(10)
    assert len(threads) == 3
    assert [type(error) for error in errors] == [OSError]
