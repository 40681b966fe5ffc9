"""Run the local side of `hybrid pipe` on the nodes of a Ray cluster.

Only this process, the driver, hands off, keeps the ledger and writes: keys, consent, privacy scan and budget stay
in one place. Ray Data keeps the order, and repeats the work of a lost node.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext, read_datasource
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hybrid_cli.exit_status import ExitStatus, Failure, Interrupted
from hybrid_cli.gate.criterion import criterion_of
from hybrid_cli.local.threads import usable_cores
from hybrid_cli.pipe.pending import PendingRecord
from hybrid_cli.pipe.record_cascade import HandoffDue, LocalOutcome, RecordCascades
from hybrid_cli.pipe.records import Source
from hybrid_cli.pipe.remote import COLUMN, Batch, Job, Node, Records
from hybrid_cli.pipe.resume import AnsweredKeys
from hybrid_cli.pipe.sink import Sink
from hybrid_cli.privacy.consent import Consent
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.ui.environment import Environment, deadline
from hybrid_cli.ui.sanitize import shorten
from hybrid_cli.weights.store import Store

_CONNECT_SECONDS = 5.0
_JOIN_SECONDS = 30.0
_POLL_SECONDS = 2.0
_OBJECT_STORE_BYTES = 200_000_000
"""For a cluster that hybrid starts: batches of text are small."""
_DECLARED_CORES = 0.01
"""The cores that hybrid reserves from Ray for an engine. An engine uses its whole node, but if it reserved all
cores, Ray could not move it to another node after a loss."""


@contextlib.contextmanager
def joined(address: str, environment: Environment) -> Iterator[None]:
    """Join the cluster at `address` for the block. `auto` joins one on this machine, or starts one.

    Raises Failure (USAGE) if there is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with _silenced(environment):
        try:
            with environment.waiting("joining the cluster"):
                _join(address)
            for number, handler in handlers.items():  # Ray replaces them
                signal.signal(number, handler)
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _silenced(environment: Environment) -> Iterator[None]:
    """Discard what Ray and its native code write to stdout and stderr; `environment` still writes there."""
    before = {1: environment.stdout, 2: environment.stderr}
    copies = {number: os.dup(number) for number in before}
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        if environment.stdout is not None:
            environment.stdout = os.fdopen(copies[1], "wb", closefd=False)
        if environment.stderr is not None:
            environment.stderr = os.fdopen(copies[2], "w", encoding="utf-8", errors="replace", closefd=False)
        for number in before:
            os.dup2(nothing, number)
        yield
    finally:
        environment.stdout, environment.stderr = before[1], before[2]  # type: ignore[assignment]
        for number, descriptor in copies.items():
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(nothing)


def _join(address: str) -> None:
    """Join the cluster at `address`, or start one if `auto` finds none. Raises Failure (USAGE)."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    named = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    if named != "auto":
        _check_reachable(named)
    try:
        with deadline(_JOIN_SECONDS):
            ray.init(address=named, **quiet)
    except ConnectionError as error:
        if named != "auto":
            raise _unreachable(named, "no Ray cluster answers") from error
        with _uninterrupted():
            ray.init(
                num_cpus=usable_cores(),
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=False,
                **quiet,
            )
    except Interrupted as interrupted:
        if interrupted.status is not ExitStatus.DEADLINE:
            raise
        raise _unreachable(named, f"no answer within {_JOIN_SECONDS:g} s") from None
    except (RuntimeError, ValueError) as error:
        raise _unreachable(
            named, "this machine is not one of its nodes, or runs another version of Ray"
        ) from error


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay signals until the end of the block: interrupting Ray's start would leave processes behind."""
    received: list[int] = []
    numbers = [
        number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, lambda given, _: received.append(given)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])


def _check_reachable(address: str) -> None:
    """Raise Failure (USAGE) if nothing listens at `address`: Ray would try for two minutes and end the process."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise Failure(
            ExitStatus.USAGE,
            f"`{shorten(address)}` is not HOST:PORT; for a cluster on this machine, use `auto`",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, getattr(error, "strerror", None) or str(error)) from None


def _unreachable(address: str, why: str) -> Failure:
    return Failure(ExitStatus.USAGE, f"cannot join a cluster at {address}: {why}")


def new_job(cascades: RecordCascades, sink: Sink, source: Source, jobs: int | None) -> Job:
    """Return the nodes' input. Raises Failure (WEIGHTS) if this machine lacks the weights, too."""
    policy, environment = cascades.policy, cascades.environment
    weights = None if policy.mode == "force" else Store(environment).verified(policy.local.model)
    cores = _cores()
    if not cores:
        raise Failure(ExitStatus.FAILURE, "no node of the cluster has a CPU core")
    cloud = policy.cloud
    has_consent = cloud is not None and Consent(environment).covers(cloud.base_url, cloud.model)
    return Job(
        cascades.instruction,
        policy,
        sink,
        source.each,
        source.delimiter,
        tuple(path.absolute() for path in source.files),
        cascades.as_objects,
        cascades.enforcement,
        None if weights is None else weights.sha256,
        None if weights is None else criterion_of(policy, weights, environment),
        origin_of(cloud.base_url) if cloud is not None and has_consent else "",
        environment.variables.get("HYBRID_HOME"),
        environment.verbosity,
        jobs,
        cores,
    )


def _cores() -> dict[str, int]:
    """Return the cores of each living node that has any."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    cores = {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in alive}
    return {node: count for node, count in cores.items() if count}


def run_job(
    job: Job, answered: AnsweredKeys | None, cascades: RecordCascades, *, ordered: bool
) -> Iterator[PendingRecord]:
    """Yield the records with their local outcomes, in input order if `ordered`. Raises Failure if the cluster fails."""
    environment = cascades.environment
    nodes = len(job.cores)
    over = threading.Event()
    threading.Thread(target=_report_losses, args=(job, environment, over), daemon=True).start()
    try:
        with environment.waiting(f"starting the local model on {nodes} node{'s' * (nodes > 1)}") as waiting:
            for batch in _batches(job, answered, ordered):
                waiting.end()
                environment.write_stderr(batch.messages)
                if batch.failure is not None:
                    raise batch.failure
                for pending in batch.records:
                    yield _with_cascade(pending, batch, cascades)
    finally:
        over.set()


def _report_losses(job: Job, environment: Environment, over: threading.Event) -> None:
    """Print a note when nodes are lost: no answers may come until Ray has moved their work."""
    left = set(job.cores)
    while not over.wait(_POLL_SECONDS):
        with contextlib.suppress(Exception):  # hybrid is leaving the cluster
            alive = left & set(_cores())
            if alive != left:
                environment.note(
                    f"{len(left - alive)} of {len(left)} nodes lost; others repeat their records"
                )
            left = alive


def _batches(job: Job, answered: AnsweredKeys | None, ordered: bool) -> Iterator[Batch]:
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = 1  # pass each batch on at once
    context.execution_options.preserve_order = ordered
    records = read_datasource(Records(job, answered), override_num_blocks=1, num_cpus=0)
    batches = records.map_batches(
        Node,
        fn_constructor_args=[job],
        batch_size=1,
        num_cpus=_DECLARED_CORES,
        compute=ActorPoolStrategy(
            size=len(job.cores),
            max_tasks_in_flight_per_actor=4,
            max_concurrent_calls_per_actor=2,
            enable_true_multi_threading=True,
        ),
        ray_remote_args_fn=_one_per_node(job),
    )
    try:
        for table in batches.iter_batches(batch_size=None, prefetch_batches=0):
            yield from map(pickle.loads, table[COLUMN])
    except Exception as error:
        if os.environ.get("HYBRID_DEBUG"):
            raise
        cause = getattr(error, "cause", None) or error.__cause__ or error
        raise Failure(
            ExitStatus.FAILURE,
            f"the cluster failed: {type(cause).__name__}; for the traceback, set HYBRID_DEBUG=1",
        ) from error


def _one_per_node(job: Job) -> Callable[[], dict[str, Any]]:
    """Start one engine on each node. After a loss, Ray may restart it on any other."""
    nodes = itertools.cycle(job.cores)
    return lambda: {"scheduling_strategy": NodeAffinitySchedulingStrategy(next(nodes), soft=True)}


def _with_cascade(pending: PendingRecord, batch: Batch, cascades: RecordCascades) -> PendingRecord:
    """Give a record to hand off a cascade of this process, which settles it under its own policy."""
    decision = batch.decisions.get(pending.number)
    if decision is None or pending.record is None:
        return pending
    cascade = cascades.cascade_for(pending.record, pending.number)
    cascade.stopwatch.add(decision.seconds)
    return replace(pending, local_outcome=LocalOutcome(HandoffDue(cascade, decision)))
