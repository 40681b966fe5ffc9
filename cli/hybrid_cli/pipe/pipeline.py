"""One `hybrid pipe`, from its options to its last line.

Records are taken in one thread, decided about by a crew of others beside the engine, handed off by a second
crew, so that no cloud holds up the local work, and written by the main thread.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO

from hybrid_cli.cascade.session import engine_of, guard
from hybrid_cli.cascade.shadow import Shadows
from hybrid_cli.checks.choices import read_choices
from hybrid_cli.checks.json_schema import read_schema
from hybrid_cli.egress.prompt_rules import known_tags
from hybrid_cli.exit_status import ExitStatus, Failure, Interrupted
from hybrid_cli.ledger.database import Ledger
from hybrid_cli.local.worker import Worker
from hybrid_cli.pipe.pending import PendingRecord, pending_records
from hybrid_cli.pipe.pipe_estimate import estimate
from hybrid_cli.pipe.queue import Blank, QueuedRecord, RecordQueue
from hybrid_cli.pipe.record_cascade import HandoffDue, Instruction, RecordCascades, RecordOutcome
from hybrid_cli.pipe.record_kinds import Each
from hybrid_cli.pipe.records import Source, matching
from hybrid_cli.pipe.resume import Done, ResumedFile, done_in, resumed
from hybrid_cli.pipe.shared_engine import LOCAL_THREADS, EngineGone, SharedEngine
from hybrid_cli.pipe.shutdown import GRACE_SECONDS, Stop, stopping
from hybrid_cli.pipe.sink import Lines, Objects, Sink
from hybrid_cli.pipe.summary import Counts, PipeProgress
from hybrid_cli.pipe.template import RecordTemplate, field_template, user_template
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Flags, Policy, merge_policy
from hybrid_cli.thread_pool import ThreadPool
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
from hybrid_cli.weights.store import Store

_LONGEST_TURN = 60.0
"""Seconds that a record waits for a cloud that holds requests back, where no limit says otherwise."""
_FAILURES_TOLD = 20


@dataclass(frozen=True)
class Options:
    """What the command line says of the records and their answers."""

    instruction: str
    files: tuple[Path, ...] = ()
    each: Each | None = None
    """None for lines, or JSON where objects or fields are asked for."""
    field: str | None = None
    template: str | None = None
    system: str | None = None
    tags: frozenset[str] = frozenset()
    schema: str | None = None
    """A file's name, or JSON; None for the profile's."""
    verify: tuple[str, ...] = ()
    """A command; empty for the profile's."""
    choices: str | None = None
    jobs: int | None = None
    cloud_jobs: int = 4
    as_objects: bool = False
    key: str = "hybrid"
    unordered: bool = False
    fail_fast: bool = False
    resume: Path | None = None
    dry_run: bool = False
    cluster: str | None = None
    """Ray's address, or `auto`."""


def pipe_records(
    flags: Flags, options: Options, environment: Environment, worker: Worker | None, stopwatch: Stopwatch
) -> None:
    """Answer for each record. Raises Failure with the worst code where a record has failed."""
    policy = merge_policy(flags, environment)
    instruction = _instruction(options, policy, environment)
    as_objects = options.as_objects or options.resume is not None
    sink: Sink = Objects(options.key) if as_objects else Lines(environment)
    files = options.files if options.cluster is None else matching(options.files)
    source = Source(files, _each(options, as_objects=as_objects), environment)
    if options.dry_run:
        cascades = RecordCascades(instruction, policy, "", environment, None, as_objects=as_objects)
        done = done_in(options.resume, options.key) if options.resume is not None else None
        plan = estimate(pending_records(source, sink, cascades.key, done), instruction, policy, environment)
        _show(plan, environment, as_json=as_objects)
        return
    enforcement = guard(policy, environment)
    cascades = RecordCascades(instruction, policy, enforcement, environment, None, as_objects=as_objects)
    local_side = _here if options.cluster is None else _on_nodes
    with (
        local_side(options, source, cascades, sink, worker) as (file, found),
        stopping() as stop,
    ):
        shadows = Shadows(flags, options.tags, environment)
        _Pipeline(options, found, cascades, sink, file, stop, shadows, stopwatch).run()


@contextlib.contextmanager
def _here(
    options: Options, source: Source, cascades: RecordCascades, sink: Sink, worker: Worker | None
) -> Iterator[tuple[BinaryIO, Iterator[PendingRecord]]]:
    """Where the lines go, and the records, with an engine of this process's that decides about them."""
    policy, environment = cascades.policy, cascades.environment
    with engine_of(policy, worker) as engine, _destination(options, environment) as (file, begun):
        if engine is not None:  # at once, so that the model loads while the first record is waited for
            weights = Store(environment).locate(policy.local.model)
            request = cascades.instruction.scheduler_request(weights, policy, options.jobs)
            cascades.engine = SharedEngine(engine, request)
        yield file, pending_records(source, sink, cascades.key, _done(begun))


@contextlib.contextmanager
def _on_nodes(
    options: Options, source: Source, cascades: RecordCascades, sink: Sink, worker: Worker | None
) -> Iterator[tuple[BinaryIO, Iterator[PendingRecord]]]:
    """Where the lines go, and the records as nodes of a cluster have decided about them."""
    policy, environment = cascades.policy, cascades.environment
    if policy.mode == "forbid":
        raise Failure(
            ExitStatus.DENIED, f"--cluster needs the network, but {policy.decided_by} forbids handoffs"
        )
    if worker is not None:
        worker.stop()
    cluster = _cluster()
    with (
        cluster.joined(options.cluster, environment),
        _destination(options, environment) as (file, begun),
    ):
        job = cluster.job_of(cascades, sink, source, options.jobs)
        yield file, cluster.decided(job, _done(begun), cascades, ordered=not options.unordered)


def _done(begun: ResumedFile | None) -> Done | None:
    return begun.done if begun is not None else None


def _cluster() -> Any:
    """The module that alone knows Ray. Raises Failure (USAGE) where that is not installed."""
    try:
        return importlib.import_module("hybrid_cli.pipe.cluster")
    except ImportError:
        raise Failure(
            ExitStatus.USAGE, "--cluster needs Ray; run: pip install 'hybrid-cli[cluster]'"
        ) from None


def _show(plan: dict[str, Any], environment: Environment, *, as_json: bool) -> None:
    if as_json:
        environment.write_stdout(json.dumps(plan).encode() + b"\n")
        return
    for name, value in plan.items():
        environment.error(f"{name}: {value}")


def _instruction(options: Options, policy: Policy, environment: Environment) -> Instruction:
    schema = options.schema or policy.checks.schema
    choices = read_choices(options.choices) if options.choices is not None else ()
    if choices and options.schema is not None:
        raise Failure(ExitStatus.USAGE, "--choices and --schema cannot both be kept; give one")
    return Instruction(
        options.instruction,
        _view(options),
        options.system,
        read_schema(schema) if schema is not None and not choices else None,
        options.verify or tuple(policy.checks.verify or ()),
        choices,
        known_tags(options.tags, policy, environment),
    )


def _view(options: Options) -> RecordTemplate:
    if options.field is not None and options.template is not None:
        raise Failure(ExitStatus.USAGE, "--field and --template both say what the model sees; give one")
    if options.template is not None:
        return user_template(options.template)
    return field_template(options.field) if options.field is not None else RecordTemplate()


def _each(options: Options, *, as_objects: bool) -> Each:
    has_fields = options.field is not None or options.template is not None
    if options.each is None:
        return "jsonl" if as_objects or has_fields else "line"
    if has_fields and options.each not in ("jsonl", "csv"):
        raise Failure(ExitStatus.USAGE, "only --each jsonl and --each csv have fields")
    return options.each


@contextlib.contextmanager
def _destination(options: Options, environment: Environment) -> Iterator[tuple[BinaryIO, ResumedFile | None]]:
    """Where the lines go, and what is there already."""
    if options.resume is not None:
        with resumed(options.resume, options.key) as begun:
            yield begun.file, begun
    elif environment.stdout is None:
        raise Failure(ExitStatus.FAILURE, "stdout is closed; give --resume FILE")
    else:
        yield environment.stdout, None


class _Pipeline:
    """The records on their way."""

    def __init__(
        self,
        options: Options,
        found: Iterator[PendingRecord],
        cascades: RecordCascades,
        sink: Sink,
        file: BinaryIO,
        stop: Stop,
        shadows: Shadows,
        stopwatch: Stopwatch,
    ) -> None:
        self._options, self._found, self._cascades = options, found, cascades
        self._sink, self._file, self._stop = sink, file, stop
        self._shadows, self._stopwatch = shadows, stopwatch
        self._environment = environment = cascades.environment
        self._queue = RecordQueue(
            environment.clock, ordered=not options.unordered, seconds=cascades.policy.limits.seconds
        )
        self._local: ThreadPool[QueuedRecord] = ThreadPool(LOCAL_THREADS, self._decide, self._end)
        self._cloud: ThreadPool[tuple[QueuedRecord, HandoffDue]] = ThreadPool(
            options.cloud_jobs, self._hand_off, self._end
        )
        self._last = 0
        self._counts = Counts()
        self._progress = PipeProgress(environment, self._counts, self._spent)

    def run(self) -> None:
        """Write a line a record. Raises Failure or Interrupted where it ends early, or not well."""
        Thread(target=self._take, daemon=True).start()
        try:
            while (ticket := self._queue.next(self._looks_up)) is not None:
                self._deliver(ticket)
            if self._stop.status is not None:
                self._wind_up(self._stop.status)
        finally:
            self._progress.end()
            self._shadows.send()
        if self._counts.worst:
            raise Failure(self._counts.worst, self._summary())
        self._environment.note(self._summary())

    def _summary(self) -> str:
        """What became of the records; under --quiet, how many failed."""
        environment = self._environment
        if environment.verbosity < 0:
            return f"{self._counts.failed} of {self._counts.records} records failed"
        return self._counts.summary(self._stopwatch.elapsed(), self._spent())

    def _spent(self) -> float:
        return Ledger(self._environment.state_folder).spent(self._environment.run_id)

    def _looks_up(self) -> bool:
        self._progress.show()
        return self._stop.status is not None

    def _take(self) -> None:
        """Take records as fast as there is room: behind that, their producer waits."""
        try:
            for pending in self._found:
                if pending.record is None:
                    self._counts.passed_over += 1
                    continue
                ticket = self._queue.take(pending.record, pending.number)
                if ticket is None:
                    return
                if pending.record.is_blank:
                    self._queue.finish(ticket, Blank())
                elif pending.decided is None:
                    self._local.put(ticket)
                else:
                    self._proceed(ticket, pending.decided)
        except Exception as error:  # noqa: BLE001  it is raised again by the thread that writes
            self._end(error)
        else:
            self._queue.close()

    def _end(self, error: Exception) -> None:
        """Nothing can go on: the engine is gone, the input broken, or this program wrong."""
        self._queue.close(error.__cause__ if isinstance(error, EngineGone) else error)

    def _decide(self, ticket: QueuedRecord) -> None:
        """The local side of one record."""
        self._proceed(ticket, self._cascades.decide(ticket.record, ticket.number, self._queue.begin(ticket)))

    def _proceed(self, ticket: QueuedRecord, decided: RecordOutcome) -> None:
        """Write the outcome, or queue the handoff."""
        if isinstance(decided.outcome, HandoffDue):
            self._queue.wait(ticket)
            self._cloud.put((ticket, decided.outcome))
        else:
            ticket.shadow = decided.shadow
            self._queue.finish(ticket, decided.outcome)

    def _hand_off(self, waiting: tuple[QueuedRecord, HandoffDue]) -> None:
        """The cloud's side of one record."""
        ticket, due = waiting
        cascade, decision = due.cascade, due.decision
        cloud, limit = cascade.policy.cloud, cascade.policy.limits.seconds
        try:
            with cascade.stopwatch.pause():  # waiting for a turn does not count
                decision = cascade.ask(decision)
                if decision.needs_cloud and cloud is not None:
                    with contextlib.suppress(Failure):  # `settle` reports it, and may keep the local answer
                        self._cascades.backpressure.turn(origin_of(cloud.base_url), limit or _LONGEST_TURN)
            self._queue.begin(ticket)
            self._queue.finish(ticket, cascade.settle(decision))
        except Failure as failure:
            self._queue.finish(ticket, failure)

    def _deliver(self, ticket: QueuedRecord) -> None:
        """Write the line of `ticket`, whole and at once."""
        outcome, record = ticket.outcome, ticket.record
        self._last = ticket.number
        if isinstance(outcome, Failure):
            self._counts.add(outcome)
            named = record.named(ticket.number)
            self._tell(named, outcome)
            self._write(self._sink.failure(record, outcome))
            if self._options.fail_fast:
                self._queue.close()
                words = f"stopped at {named} (--fail-fast); {self._summary()}"
                raise Failure(outcome.status, words)
        elif isinstance(outcome, Blank):
            self._write(self._sink.blank())
        elif outcome is not None:
            self._counts.add(outcome)
            self._write(self._sink.answer(record, outcome, self._cascades.key(record)))
            self._shadows.add(ticket.shadow)

    def _tell(self, named: str, failure: Failure) -> None:
        """On stderr: all failures that have no other place, else the first ones."""
        told = self._counts.failed
        if isinstance(self._sink, Lines) or told <= _FAILURES_TOLD or self._environment.verbosity > 0:
            self._environment.error(f"{named}: {failure}")
        elif told == _FAILURES_TOLD + 1:
            self._environment.error("further failures are in their records' objects only")

    def _write(self, line: bytes) -> None:
        if line:
            self._file.write(line)
            self._file.flush()

    def _wind_up(self, status: ExitStatus) -> None:
        """After a signal: what is done, or is so in a moment, is written. Raises Interrupted."""
        self._queue.close()
        ends = self._environment.clock() + GRACE_SECONDS
        while (ticket := self._queue.next(lambda: self._environment.clock() > ends)) is not None:
            self._deliver(ticket)
        self._progress.end()
        self._environment.error(f"stopped; {self._summary()}; {self._how_to_proceed()}")
        raise Interrupted(status)

    def _how_to_proceed(self) -> str:
        if self._options.resume is not None:
            return "the same command goes on from here"
        if isinstance(self._sink, Objects):
            return "to go on: the same with --resume and the file that these lines went to"
        if self._options.unordered:
            return "with --resume FILE it could be gone on with"
        return f"to go on: from record {self._last + 1}"
