"""Turns are given in the order in which threads ask for them."""

from __future__ import annotations

import threading

from hybrid_cli.system.thread_pool import ThreadPool
from hybrid_cli.system.turns import Turns


def test_no_thread_waits_while_later_ones_get_a_turn() -> None:
    """Each turn ends as soon as an engine has decoded the record; with a plain semaphore, some waited for 250 others."""
    turns, engine, done = Turns(2), threading.Lock(), threading.Semaphore(0)
    order: list[int] = []

    def work(number: int) -> None:
        with turns:
            order.append(number)
            with engine:
                threading.Event().wait(0.0005)
        done.release()

    pool = ThreadPool(72, work, print)
    for number in range(300):
        pool.put(number)
    for _ in range(300):
        assert done.acquire(timeout=10)
    assert max(place - number for place, number in enumerate(order)) < 72


def test_an_exception_gives_the_turn_back() -> None:
    turns = Turns(1)
    try:
        with turns:
            assert turns.free == 0
            raise OSError
    except OSError:
        assert turns.free == 1
