"""Set-up of one `hybrid pipe`: policy, input, output and engine, or only the plan of a dry run."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from msgspec import structs

from hybrid_cli.cascade.local_run import report_loaded
from hybrid_cli.cascade.output_file import OutputFile
from hybrid_cli.cascade.session import choose_engine, engine_of, guard, note_shorter_limit
from hybrid_cli.cascade.shadow import Shadows
from hybrid_cli.cascade.shared_engine import SharedEngine
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.criterion import criterion_of
from hybrid_cli.local.connection import Connection
from hybrid_cli.local.worker import Worker
from hybrid_cli.pipe.options import PipeOptions
from hybrid_cli.pipe.pending import PendingRecord, pending_records
from hybrid_cli.pipe.pipe_estimate import estimate
from hybrid_cli.pipe.pipeline import Pipeline
from hybrid_cli.pipe.record_cascade import THINKING, RecordCascades
from hybrid_cli.pipe.records import Source, expand_patterns
from hybrid_cli.pipe.resume import AnsweredKeys, answered_keys, open_resumed
from hybrid_cli.pipe.shutdown import stopping
from hybrid_cli.pipe.sink import Lines, Objects, Sink
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
from hybrid_cli.weights.store import Store


def run_pipe(
    flags: Flags, options: PipeOptions, environment: Environment, worker: Worker | None, stopwatch: Stopwatch
) -> None:
    """Answer each record of the input. Raises Failure with the worst exit code of the failed records."""
    policy = merge_policy(flags, environment)
    note_shorter_limit(policy, environment)
    if policy.local.thinking is None:
        policy = replace(policy, local=structs.replace(policy.local, thinking=THINKING))
    instruction = options.read_instruction(policy, environment)
    sink: Sink = Objects.for_output(options.key, environment) if options.as_objects else Lines(environment)
    files = options.files if options.cluster is None else expand_patterns(options.files)
    source = Source(files, options.record_kind(), environment, options.delimiter)
    cascades = RecordCascades(instruction, policy, "", environment, None, as_objects=options.as_objects)
    if options.dry_run:
        _show_plan(options, source, sink, cascades)
        return
    opened = _on_this_machine if options.cluster is None else _on_a_cluster
    with opened(options, source, cascades, sink, worker) as (file, records), stopping() as stop:
        shadows = Shadows(flags, options.tags, environment)
        Pipeline(options, records, cascades, sink, file, stop, shadows, stopwatch).run()


def _show_plan(options: PipeOptions, source: Source, sink: Sink, cascades: RecordCascades) -> None:
    """Print the plan of the run: JSON on stdout, or lines on stderr."""
    answered = answered_keys(options.resume, options.key) if options.resume is not None else None
    records = pending_records(source, sink, cascades.key, answered)
    environment = cascades.environment
    plan = estimate(records, cascades.instruction, cascades.policy, environment)
    if options.as_objects:
        environment.print_json(plan)
        return
    for name, value in plan.items():
        environment.error(f"{name}: {value}")


@contextlib.contextmanager
def _on_this_machine(
    options: PipeOptions, source: Source, cascades: RecordCascades, sink: Sink, worker: Worker | None
) -> Iterator[tuple[BinaryIO, Iterator[PendingRecord]]]:
    """Open the output and start the local engine; yield the output file and the records to decide about."""
    policy, environment = cascades.policy, cascades.environment
    with _output(options, environment) as (file, answered):
        chosen = choose_engine(policy, environment, worker)
        cascades.enforcement = guard(policy, environment)
        with engine_of(policy, chosen) as engine:
            if engine is not None:  # now, so that the model loads while hybrid waits for the first record
                cascades.engine = _loading(engine, options, cascades)
            yield file, pending_records(source, sink, cascades.key, answered)


def _loading(engine: Connection, options: PipeOptions, cascades: RecordCascades) -> SharedEngine:
    """Let `engine` load the model, and give `cascades` its criterion."""
    policy, environment = cascades.policy, cascades.environment
    weights = Store(environment).locate(policy.local.model)
    cascades.criterion = criterion_of(policy, weights, environment)
    if cascades.criterion.keeps_nothing is not None and policy.mode != "forbid":
        environment.note(cascades.criterion.keeps_nothing)
    request = cascades.instruction.scheduler_request(weights, policy, environment, options.jobs)
    return SharedEngine(
        engine, request, lambda loaded: report_loaded(loaded, policy.local.model, environment)
    )


@contextlib.contextmanager
def _on_a_cluster(
    options: PipeOptions, source: Source, cascades: RecordCascades, sink: Sink, worker: Worker | None
) -> Iterator[tuple[BinaryIO, Iterator[PendingRecord]]]:
    """Open the output and join the cluster; yield the output file and the records with their local outcomes."""
    policy, environment = cascades.policy, cascades.environment
    cascades.enforcement = guard(policy, environment)
    if policy.mode == "forbid":
        raise Failure(
            ExitStatus.DENIED, f"--cluster needs the network, but {policy.decided_by} forbids handoffs"
        )
    if worker is not None:
        worker.stop()
    cluster = _import_cluster()
    with (
        cluster.joined(options.cluster, environment),
        _output(options, environment) as (file, answered),
    ):
        job = cluster.new_job(cascades, sink, source, options.jobs)
        yield file, cluster.run_job(job, answered, cascades, ordered=not options.unordered)


def _import_cluster() -> Any:
    """Import `pipe.cluster`, which needs Ray. Raises Failure (USAGE) if Ray is not installed."""
    try:
        return importlib.import_module("hybrid_cli.pipe.cluster")
    except ImportError:
        raise Failure(
            ExitStatus.USAGE, "--cluster needs Ray; run: pip install 'hybrid-cli[cluster]'"
        ) from None


@contextlib.contextmanager
def _output(options: PipeOptions, environment: Environment) -> Iterator[tuple[BinaryIO, AnsweredKeys | None]]:
    """Open stdout, or the file of --resume or --output; yield it with the keys of the answers it already holds."""
    if options.output is not None and str(options.output) != "-":
        output = OutputFile(options.output, environment)
        failure = None
        try:
            try:
                yield output.file, None
            except Failure as error:  # every record has its line, even if some failed
                failure = error
            _commit(output, failure, environment)
        finally:
            output.discard()
    elif options.resume is not None:
        environment.check_link(options.resume)
        with open_resumed(options.resume, options.key) as resumed:
            yield resumed.file, resumed.answered
    elif environment.stdout is None:
        raise Failure(ExitStatus.FAILURE, "stdout is closed; give --output FILE")
    else:
        yield environment.stdout, None


def _commit(output: OutputFile, failure: Failure | None, environment: Environment) -> None:
    """Write the file, then raise the `failure` of the records, if there is one. Raises Failure if writing fails."""
    try:
        output.commit()
    except Failure:
        if failure is not None:
            environment.error(str(failure))
        raise
    if failure is not None:
        raise failure
