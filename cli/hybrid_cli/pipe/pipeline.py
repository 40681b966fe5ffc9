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

from hybrid_cli.cascade.cascade import Decided
from hybrid_cli.cascade.session import engine_of, guard
from hybrid_cli.cascade.shadow import Shadows
from hybrid_cli.checks.choices import read_choices
from hybrid_cli.checks.json_schema import read_schema
from hybrid_cli.egress.prompt_rules import known_tags
from hybrid_cli.exit_status import ExitStatus, Failure, Interrupted
from hybrid_cli.ledger.database import Ledger
from hybrid_cli.local.worker import Worker
from hybrid_cli.pipe.pending import Arrival, arrivals
from hybrid_cli.pipe.pipe_estimate import estimate
from hybrid_cli.pipe.queue import Blank, Crew, Desk, Ticket
from hybrid_cli.pipe.record_cascade import Answering, Asked, Judged
from hybrid_cli.pipe.records import Each, Source, matching
from hybrid_cli.pipe.resume import Begun, Done, done_in, resumed
from hybrid_cli.pipe.shared_engine import LOCAL_CREW, EngineOver, Shared
from hybrid_cli.pipe.shutdown import GRACE_SECONDS, Stop, stopping
from hybrid_cli.pipe.sink import Lines, Objects, Sink
from hybrid_cli.pipe.summary import Counts, Progress
from hybrid_cli.pipe.template import View, field_view, template_view
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Flags, Policy, merge_policy
from hybrid_cli.ui.environment import Environment
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


def pipe_records(flags: Flags, options: Options, environment: Environment, worker: Worker | None) -> None:
    """Answer for each record. Raises Failure with the worst code where a record has failed."""
    policy = merge_policy(flags, environment)
    asked = _asked(options, policy, environment)
    as_objects = options.as_objects or options.resume is not None
    sink: Sink = Objects(options.key) if as_objects else Lines(environment)
    files = options.files if options.cluster is None else matching(options.files)
    source = Source(files, _each(options, as_objects=as_objects), environment)
    if options.dry_run:
        answering = Answering(asked, policy, "", environment, None, as_objects=as_objects)
        done = done_in(options.resume, options.key) if options.resume is not None else None
        plan = estimate(arrivals(source, sink, answering.key, done), asked, policy, environment)
        _show(plan, environment, as_json=as_objects)
        return
    enforcement = guard(policy, environment)
    answering = Answering(asked, policy, enforcement, environment, None, as_objects=as_objects)
    local_side = _here if options.cluster is None else _on_nodes
    with (
        local_side(options, source, answering, sink, worker) as (file, found),
        stopping() as stop,
    ):
        shadows = Shadows(flags, options.tags, environment)
        _Pipe(options, found, answering, sink, file, stop, shadows).run()


@contextlib.contextmanager
def _here(
    options: Options, source: Source, answering: Answering, sink: Sink, worker: Worker | None
) -> Iterator[tuple[BinaryIO, Iterator[Arrival]]]:
    """Where the lines go, and the records, with an engine of this process's that decides about them."""
    policy, environment = answering.policy, answering.environment
    with engine_of(policy, worker) as engine, _destination(options, environment) as (file, begun):
        if engine is not None:  # at once, so that the model loads while the first record is waited for
            weights = Store(environment).locate(policy.local.model)
            answering.engine = Shared(engine, answering.asked.flow(weights, policy, options.jobs))
        yield file, arrivals(source, sink, answering.key, _done(begun))


@contextlib.contextmanager
def _on_nodes(
    options: Options, source: Source, answering: Answering, sink: Sink, worker: Worker | None
) -> Iterator[tuple[BinaryIO, Iterator[Arrival]]]:
    """Where the lines go, and the records as nodes of a cluster have decided about them."""
    policy, environment = answering.policy, answering.environment
    if policy.mode == "forbid":
        words = f"{policy.decided_by} forbids escalation, which keeps this process from the network"
        raise Failure(ExitStatus.DENIED, f"{words} that --cluster needs")
    if worker is not None:
        worker.stop()
    cluster = _cluster()
    with (
        cluster.joined(options.cluster, environment),
        _destination(options, environment) as (file, begun),
    ):
        job = cluster.job_of(answering, sink, source, options.jobs)
        yield file, cluster.judged(job, _done(begun), answering, ordered=not options.unordered)


def _done(begun: Begun | None) -> Done | None:
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
        environment.put(json.dumps(plan).encode() + b"\n")
        return
    for name, value in plan.items():
        environment.error(f"{name}: {value}")


def _asked(options: Options, policy: Policy, environment: Environment) -> Asked:
    schema = options.schema or policy.checks.schema
    choices = read_choices(options.choices) if options.choices is not None else ()
    if choices and options.schema is not None:
        raise Failure(ExitStatus.USAGE, "--choices and --schema cannot both be kept; give one")
    return Asked(
        options.instruction,
        _view(options),
        options.system,
        read_schema(schema) if schema is not None and not choices else None,
        options.verify or tuple(policy.checks.verify or ()),
        choices,
        known_tags(options.tags, policy, environment),
    )


def _view(options: Options) -> View:
    if options.field is not None and options.template is not None:
        raise Failure(ExitStatus.USAGE, "--field and --template both say what the model sees; give one")
    if options.template is not None:
        return template_view(options.template)
    return field_view(options.field) if options.field is not None else View()


def _each(options: Options, *, as_objects: bool) -> Each:
    has_fields = options.field is not None or options.template is not None
    if options.each is None:
        return "jsonl" if as_objects or has_fields else "line"
    if has_fields and options.each not in ("jsonl", "csv"):
        raise Failure(ExitStatus.USAGE, "only --each jsonl and --each csv have fields")
    return options.each


@contextlib.contextmanager
def _destination(options: Options, environment: Environment) -> Iterator[tuple[BinaryIO, Begun | None]]:
    """Where the lines go, and what is there already."""
    if options.resume is not None:
        with resumed(options.resume, options.key) as begun:
            yield begun.file, begun
    elif environment.stdout is None:
        raise Failure(ExitStatus.FAILURE, "stdout is closed; give --resume FILE")
    else:
        yield environment.stdout, None


class _Pipe:
    """The records on their way."""

    def __init__(
        self,
        options: Options,
        found: Iterator[Arrival],
        answering: Answering,
        sink: Sink,
        file: BinaryIO,
        stop: Stop,
        shadows: Shadows,
    ) -> None:
        self._options, self._found, self._answering = options, found, answering
        self._sink, self._file, self._stop = sink, file, stop
        self._shadows = shadows
        self._environment = environment = answering.environment
        self._desk = Desk(
            environment.clock, ordered=not options.unordered, seconds=answering.policy.limits.seconds
        )
        self._local: Crew[Ticket] = Crew(LOCAL_CREW, self._decide, self._end)
        self._cloud: Crew[tuple[Ticket, Decided]] = Crew(options.cloud_jobs, self._hand_off, self._end)
        self._last = 0
        self._counts = Counts()
        self._progress = Progress(environment, self._counts, self._spent)

    def run(self) -> None:
        """Write a line a record. Raises Failure or Interrupted where it ends early, or not well."""
        Thread(target=self._take, daemon=True).start()
        try:
            while (ticket := self._desk.next(self._looks_up)) is not None:
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
        return self._counts.summary(environment.clock() - environment.started, self._spent())

    def _spent(self) -> float:
        return Ledger(self._environment.state_folder).spent(self._environment.run)

    def _looks_up(self) -> bool:
        self._progress.show()
        return self._stop.status is not None

    def _take(self) -> None:
        """Take records as fast as there is room: behind that, their producer waits."""
        try:
            for arrival in self._found:
                if arrival.record is None:
                    self._counts.passed_over += 1
                    continue
                ticket = self._desk.take(arrival.record, arrival.number)
                if ticket is None:
                    return
                if arrival.record.is_blank:
                    self._desk.finish(ticket, Blank())
                elif arrival.judged is None:
                    self._local.put(ticket)
                else:
                    self._go_on(ticket, arrival.judged)
        except Exception as error:  # noqa: BLE001  it is raised again by the thread that writes
            self._end(error)
        else:
            self._desk.close()

    def _end(self, error: Exception) -> None:
        """Nothing can go on: the engine is gone, the input broken, or this program wrong."""
        self._desk.close(error.__cause__ if isinstance(error, EngineOver) else error)

    def _decide(self, ticket: Ticket) -> None:
        """The local side of one record."""
        self._go_on(ticket, self._answering.judge(ticket.record, ticket.number, self._desk.begin(ticket)))

    def _go_on(self, ticket: Ticket, judged: Judged) -> None:
        """Write what was `judged`, or hand it off."""
        if isinstance(judged.outcome, Decided):
            self._desk.wait(ticket)
            self._cloud.put((ticket, judged.outcome))
        else:
            ticket.shadow = judged.shadow
            self._desk.finish(ticket, judged.outcome)

    def _hand_off(self, waiting: tuple[Ticket, Decided]) -> None:
        """The cloud's side of one record."""
        ticket, decided = waiting
        environment, policy = decided.cascade.environment, decided.cascade.policy
        begun = environment.clock()
        try:
            decided = decided.asked()
            if decided.needs_cloud and policy.cloud is not None:
                longest = policy.limits.seconds or _LONGEST_TURN
                with contextlib.suppress(Failure):  # it is told where the policy may still keep the answer
                    self._answering.traffic.turn(origin_of(policy.cloud.base_url), longest)
            environment.started += environment.clock() - begun  # waiting for its turn does not count
            self._desk.begin(ticket)
            self._desk.finish(ticket, decided.settle())
        except Failure as failure:
            self._desk.finish(ticket, failure)

    def _deliver(self, ticket: Ticket) -> None:
        """Write the line of `ticket`, whole and at once."""
        outcome, record = ticket.outcome, ticket.record
        self._last = ticket.number
        if isinstance(outcome, Failure):
            self._counts.add(outcome)
            named = record.named(ticket.number)
            self._tell(named, outcome)
            self._write(self._sink.failure(record, outcome))
            if self._options.fail_fast:
                self._desk.close()
                words = f"stopped at {named} (--fail-fast); {self._summary()}"
                raise Failure(outcome.status, words)
        elif isinstance(outcome, Blank):
            self._write(self._sink.blank())
        elif outcome is not None:
            self._counts.add(outcome)
            self._write(self._sink.answer(record, outcome, self._answering.key(record)))
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
        self._desk.close()
        ends = self._environment.clock() + GRACE_SECONDS
        while (ticket := self._desk.next(lambda: self._environment.clock() > ends)) is not None:
            self._deliver(ticket)
        self._progress.end()
        self._environment.error(f"stopped; {self._summary()}; {self._how_to_go_on()}")
        raise Interrupted(status)

    def _how_to_go_on(self) -> str:
        if self._options.resume is not None:
            return "the same command goes on from here"
        if isinstance(self._sink, Objects):
            return "to go on: the same with --resume and the file that these lines went to"
        if self._options.unordered:
            return "with --resume FILE it could be gone on with"
        return f"to go on: from record {self._last + 1}"
