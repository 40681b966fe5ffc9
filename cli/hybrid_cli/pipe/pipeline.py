"""The running pipe: threads that read, decide, hand off and write.

One thread reads records. A pool of threads decides about them with the local engine. A second pool hands off, so
that a slow cloud does not delay local work. The main thread writes.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from threading import Thread
from typing import BinaryIO

from hybrid_cli.cascade.shadow import Shadows
from hybrid_cli.cascade.shared_engine import LOCAL_THREADS, EngineGone
from hybrid_cli.exit_status import ExitStatus, Failure, Interrupted
from hybrid_cli.ledger.database import Ledger
from hybrid_cli.pipe.options import PipeOptions
from hybrid_cli.pipe.pending import PendingRecord
from hybrid_cli.pipe.queue import Blank, QueuedRecord, RecordQueue
from hybrid_cli.pipe.record_cascade import HandoffDue, LocalOutcome, RecordCascades
from hybrid_cli.pipe.shutdown import GRACE_SECONDS, Stop
from hybrid_cli.pipe.sink import Lines, Objects, Sink
from hybrid_cli.pipe.summary import Counts, PipeProgress
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.system.thread_pool import ThreadPool
from hybrid_cli.ui.stopwatch import Stopwatch

_MAX_BACKPRESSURE_SECONDS = 60.0
"""How long a record waits for a rate-limited or failing cloud if `limits.seconds` is not set."""
_MAX_CAUSES = 3
"""Causes of denied handoffs reported on stderr."""
_MAX_REPORTED_FAILURES = 20
"""Failures reported on stderr if each also has its own object in the output."""


class Pipeline:
    """Takes pending records to written lines."""

    def __init__(
        self,
        options: PipeOptions,
        records: Iterator[PendingRecord],
        cascades: RecordCascades,
        sink: Sink,
        file: BinaryIO,
        stop: Stop,
        shadows: Shadows,
        stopwatch: Stopwatch,
    ) -> None:
        self._options, self._records, self._cascades = options, records, cascades
        self._sink, self._file, self._stop = sink, file, stop
        self._shadows, self._stopwatch = shadows, stopwatch
        self._environment = environment = cascades.environment
        self._queue = RecordQueue(
            environment.clock, ordered=not options.unordered, seconds=cascades.policy.limits.seconds
        )
        self._local_pool: ThreadPool[QueuedRecord] = ThreadPool(LOCAL_THREADS, self._decide, self._abort)
        self._cloud_pool: ThreadPool[tuple[QueuedRecord, HandoffDue]] = ThreadPool(
            options.cloud_jobs, self._hand_off, self._abort
        )
        self._last_written = 0
        self._counts = Counts()
        self._progress = PipeProgress(environment, self._counts, self._spent)

    def run(self) -> None:
        """Write one line per record. Raises Failure if a record failed, Interrupted after a signal."""
        Thread(target=self._read, daemon=True).start()
        try:
            while (queued := self._queue.next(self._should_stop)) is not None:
                self._write_outcome(queued)
            if self._stop.status is not None:
                self._stop_early(self._stop.status)
        finally:
            self._progress.end()
            self._shadows.send()
            self._explain_denials()
        if self._counts.worst:
            raise Failure(self._counts.worst, self._summary())
        self._environment.note(self._summary())

    # ---- the reading thread -----------------------------------------------------------------------------

    def _read(self) -> None:
        """Queue the records. A full queue makes the producer of the input wait."""
        try:
            for pending in self._records:
                if pending.record is None:
                    self._counts.answered_before += 1
                    continue
                queued = self._queue.add(pending.record, pending.number)
                if queued is None:
                    return
                if pending.record.is_blank:
                    self._queue.finish(queued, Blank())
                elif pending.local_outcome is None:
                    self._local_pool.put(queued)
                else:
                    self._proceed(queued, pending.local_outcome)
        except Exception as error:  # noqa: BLE001  the main thread raises it again
            self._abort(error)
        else:
            self._queue.close()

    def _abort(self, error: Exception) -> None:
        """End the run: the engine is gone, the input is broken, or hybrid has a defect."""
        self._queue.close(error.__cause__ if isinstance(error, EngineGone) else error)

    # ---- the two pools ----------------------------------------------------------------------------------

    def _decide(self, queued: QueuedRecord) -> None:
        """Run the local side of one record."""
        with self._cascades.turn():
            deadline = self._queue.start_clock(queued)
            outcome = self._cascades.decide(queued.record, queued.number, deadline)
        self._proceed(queued, outcome)

    def _proceed(self, queued: QueuedRecord, local: LocalOutcome) -> None:
        """Finish the record, or pass it to the cloud pool."""
        if isinstance(local.result, HandoffDue):
            self._queue.stop_clock(queued)
            self._cloud_pool.put((queued, local.result))
        else:
            queued.shadow = local.shadow
            self._queue.finish(queued, local.result)

    def _hand_off(self, item: tuple[QueuedRecord, HandoffDue]) -> None:
        """Ask the user where needed, send one record, and finish it."""
        queued, due = item
        cascade, decision = due.cascade, due.decision
        cloud, seconds = cascade.policy.cloud, cascade.policy.limits.seconds
        try:
            with cascade.stopwatch.pause():  # waiting for the user or for a turn does not count
                decision = cascade.ask(decision)
                if decision.needs_cloud and cloud is not None:
                    with contextlib.suppress(Failure):  # `settle` reports it, and may keep the local answer
                        origin = origin_of(cloud.base_url)
                        self._cascades.backpressure.wait_for_turn(
                            origin, seconds or _MAX_BACKPRESSURE_SECONDS
                        )
            self._queue.start_clock(queued)
            self._queue.finish(queued, cascade.settle(decision))
        except Failure as failure:
            self._queue.finish(queued, failure)

    # ---- the main thread --------------------------------------------------------------------------------

    def _should_stop(self) -> bool:
        """Update the progress line, and return whether a signal has arrived."""
        self._progress.show()
        return self._stop.status is not None

    def _write_outcome(self, queued: QueuedRecord) -> None:
        """Count the outcome and write its line. Raises Failure for a failed record under --fail-fast."""
        outcome, record = queued.outcome, queued.record
        self._last_written = queued.number
        if isinstance(outcome, Failure):
            self._counts.add(outcome)
            name = record.name(queued.number)
            self._report(name, outcome)
            self._write(self._sink.failure(record, outcome))
            if self._options.fail_fast:
                self._queue.close()
                raise Failure(outcome.status, f"stopped at {name} (--fail-fast); {self._summary()}")
        elif isinstance(outcome, Blank):
            self._write(self._sink.blank())
        elif outcome is not None:
            self._counts.add(outcome)
            self._write(self._sink.answer(record, outcome, self._cascades.key(record)))
            self._shadows.add(queued.shadow)

    def _report(self, name: str, failure: Failure) -> None:
        """Print a failure on stderr; only the first ones if the output has an object for each."""
        failed = self._counts.failed
        if (
            isinstance(self._sink, Lines)
            or failed <= _MAX_REPORTED_FAILURES
            or self._environment.verbosity > 0
        ):
            self._environment.error(f"{name}: {failure}")
        elif failed == _MAX_REPORTED_FAILURES + 1:
            self._environment.error("more records failed; the output has each error")

    def _write(self, line: bytes) -> None:
        if not line:
            return
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:  # the same error class, with the file's name
            name = self._options.resume or self._options.output or "stdout"
            raise OSError(error.errno, error.strerror, str(name)) from error

    def _explain_denials(self) -> None:
        """Say why records were denied a handoff, once for each cause."""
        for why, count in Counter(self._cascades.denials).most_common(_MAX_CAUSES):
            self._environment.note(f"{count} denied: {why}")

    def _stop_early(self, status: ExitStatus) -> None:
        """After a signal, write the records that finish within the grace period. Raises Interrupted."""
        self._queue.close()
        deadline = self._environment.clock() + GRACE_SECONDS
        while (queued := self._queue.next(lambda: self._environment.clock() > deadline)) is not None:
            self._write_outcome(queued)
        self._progress.end()
        self._environment.error(f"stopped; {self._summary()}; {self._how_to_continue()}")
        raise Interrupted(status)

    def _how_to_continue(self) -> str:
        if self._options.resume is not None:
            return "to continue, run the same command again"
        if isinstance(self._sink, Objects):
            return "to continue, run the same command with --resume and the file that holds this output"
        if self._options.unordered:
            return "to be able to continue later, use --resume FILE"
        return f"to continue, start at record {self._last_written + 1}"

    def _summary(self) -> str:
        """Return the line that ends the run; under --quiet, only the number of failures."""
        if self._environment.verbosity < 0:
            return f"{self._counts.failed} of {self._counts.records} records failed"
        return self._counts.summary(self._stopwatch.elapsed(), self._spent())

    def _spent(self) -> float:
        return Ledger(self._environment.state_folder).spent(self._environment.run_id)
