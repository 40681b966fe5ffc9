"""A pool of daemon threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class ThreadPool(Generic[Item]):
    """At most `most` threads, which call `work` with each item in the order of `put`.

    The threads are daemons, unlike those of concurrent.futures: a process that ends does not wait for them.
    """

    def __init__(self, most: int, work: Callable[[Item], None], on_error: Callable[[Exception], Any]) -> None:
        """`on_error` is called in the thread with each exception that `work` raises."""
        self._most = most
        self._work = work
        self._on_error = on_error
        self._waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._started = 0
        self._starting = threading.Lock()
        self._idle = threading.Semaphore(0)

    def put(self, item: Item) -> None:
        """Queue `item`, and return at once. Any thread may call it."""
        self._waiting.put(item)
        with self._starting:
            if not self._idle.acquire(blocking=False) and self._started < self._most:
                self._started += 1
                threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            item = self._waiting.get()
            try:
                self._work(item)
            except Exception as error:  # noqa: BLE001  the caller decides what it means
                self._on_error(error)
            self._idle.release()
