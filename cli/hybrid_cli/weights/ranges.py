"""Parallel download of one file's ranges into a `Partial`, hashed on the way."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.weights.https import ConnectionCut, FileChanged, NoRanges, RangeResponse, RemoteFile, get
from hybrid_cli.weights.partial import Partial
from hybrid_cli.weights.reporter import DownloadProgress

CHUNK = 1 << 18
_HASHED_AT_ONCE = 1 << 20
_TICK = 0.1


@dataclass(frozen=True)
class Tuning:
    """Settings of a transfer. Times are in seconds."""

    connections: int = 4
    segment: int = 64 << 20
    """Bytes in one request."""
    patience: float = 30.0
    """The longest time without a byte from the server."""
    retries: int = 5
    """Failed tries in a row, without a byte between them, before the transfer gives up."""
    pause: float = 0.5
    """The wait before the first retry; it doubles with each."""
    least_rate: int = 2_000
    """Bytes a second, below which a download makes no sense: a day would bring 170 MB."""
    rate_seconds: float = 300.0
    """How long a download may be slower."""


class Pace:
    """Ends a download whose server sends some bytes for ever, but too few."""

    def __init__(self, file: str, tuning: Tuning, done: int = 0) -> None:
        self._file, self._tuning = file, tuning
        self._begun, self._done = time.monotonic(), done

    def check(self, done: int) -> None:
        """Raise Failure (WEIGHTS) if too few of the `done` bytes came since the last check that counted."""
        tuning, now = self._tuning, time.monotonic()
        if now - self._begun < tuning.rate_seconds:
            return
        if done - self._done < tuning.least_rate * tuning.rate_seconds:
            raise Failure(
                ExitStatus.WEIGHTS,
                f"{self._file}: the server sent less than {tuning.least_rate / 1000:g} kB a second for"
                f" {tuning.rate_seconds:g} seconds; run the command again later",
            )
        self._begun, self._done = now, done


class Ranges:
    """The threads that fill `partial`. `first` is the response to a request for the first segment, if any."""

    def __init__(
        self, remote: RemoteFile, partial: Partial, tuning: Tuning, first: RangeResponse | None
    ) -> None:
        self._remote = remote
        self._partial = partial
        self._tuning = tuning
        self._first = first
        self.mixed = False
        """Whether some bytes came with another validator: they may belong to another version of the file."""
        self._left = deque(partial.missing()[0 if first is None else 1 :])
        self._digest = hashlib.sha256()
        self._stop = threading.Event()
        self._failure: BaseException | None = None

    def run(self, progress: DownloadProgress) -> str:
        """Fetch the missing ranges; returns the whole file's sha256. Raises Failure and FileChanged.

        The threads are daemons: one that waits for a silent server must not keep the process alive.
        """
        count = min(self._tuning.connections, len(self._partial.missing()))
        targets = [self._begin, *[self._work] * (count - 1), self._hash]
        threads = [threading.Thread(target=self._guarded, args=(target,), daemon=True) for target in targets]
        pace = Pace(self._remote.file, self._tuning, self._partial.done())
        try:
            for thread in threads:
                thread.start()
            while self._failure is None and any(thread.is_alive() for thread in threads):
                next(thread for thread in threads if thread.is_alive()).join(_TICK)
                progress.show(self._partial.done())
                pace.check(self._partial.done())
        except StopIteration:  # the last thread ended between the two looks
            pass
        finally:
            self._stop.set()
        if self._failure is not None:
            raise self._failure
        self._partial.close()  # not after a failure: a thread may still write
        return self._digest.hexdigest()

    def _guarded(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:  # noqa: BLE001  raised again by `run`
            self._failure = self._failure or error
            self._stop.set()

    def _begin(self) -> None:
        if self._first is not None:
            self._fill(0, self._first)
        self._work()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                index = self._left.popleft()
            except IndexError:
                return
            self._fill(index, None)

    def _fill(self, index: int, answer: RangeResponse | None) -> None:
        """Fetch a segment; a request whose response is cut is sent again."""
        end = self._partial.span(index)[1]
        patience = Patience(self._tuning, self._stop)
        while (at := self._partial.position(index)) < end and not self._stop.is_set():
            try:
                answer = answer or get(self._remote, (at, end), self._tuning.patience)
                self._check(answer, at)
                self._receive(answer, index, end)
            except ConnectionCut as cut:
                patience.wait(cut, progressed=self._partial.position(index) > at)
            answer = None

    def _check(self, answer: RangeResponse, at: int) -> None:
        """Raise FileChanged unless `answer` belongs to the file whose download began."""
        if not answer.is_range or answer.start != at:
            answer.close()
            raise NoRanges("the server no longer sends ranges")
        if answer.size != self._partial.size:
            answer.close()
            raise FileChanged("the file changed on the server")
        if answer.validator == self._partial.validator:
            return
        # It may be another cache of the same network. The checksum will tell, if there is one.
        self.mixed = True
        if self._remote.sha256 is None:
            answer.close()
            raise FileChanged("the file changed on the server")

    def _receive(self, answer: RangeResponse, index: int, end: int) -> None:
        try:
            while (left := end - self._partial.position(index)) and not self._stop.is_set():
                data = answer.read(min(CHUNK, left))
                if not data:
                    raise ConnectionCut("the connection was cut")
                self._partial.write(index, data)
        finally:
            answer.close()

    def _hash(self) -> None:
        """Hash the bytes up to the first missing one; they were just written, so the page cache has them."""
        buffer = memoryview(bytearray(_HASHED_AT_ONCE))
        at = 0
        while at < self._partial.size and not self._stop.is_set():
            ready = min(self._partial.watermark(at) - at, len(buffer))
            if ready == 0 or (ready < len(buffer) and at + ready < self._partial.size):
                self._stop.wait(0.005)
                continue
            count = self._partial.read(buffer[:ready], at)
            self._digest.update(buffer[:count])
            at += count


class Patience:
    """The waits between the tries of one request, which double, and their limit."""

    def __init__(self, tuning: Tuning, stop: threading.Event | None = None) -> None:
        self._tuning = tuning
        self._stop = stop or threading.Event()
        self._failures = 0

    def wait(self, cut: ConnectionCut, *, progressed: bool = False) -> None:
        """Wait before the next try. Raises Failure (WEIGHTS) after too many tries without a byte."""
        self._failures = 1 if progressed else self._failures + 1
        if self._failures > self._tuning.retries:
            raise Failure(ExitStatus.WEIGHTS, f"gave up after {self._tuning.retries} retries: {cut}")
        pause = self._tuning.pause * 2 ** (self._failures - 1)
        self._stop.wait(pause if cut.wait is None else cut.wait)
