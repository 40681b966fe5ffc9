"""One `hybrid pipe`, from its instruction to its last line: many records in hand, answers in their order."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDone
from dataclasses import dataclass, replace
from typing import Any

from hybrid_cli.environment import Environment
from hybrid_cli.escapes import plain
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.handoff.answer import Answer, Request
from hybrid_cli.handoff.decide import Cascade
from hybrid_cli.handoff.ruling import RequestFacts, under_rules
from hybrid_cli.handoff.run import engine_of, guard
from hybrid_cli.handoff.shadow import Shadow, Shadows, shadow_of
from hybrid_cli.input import MAX_BYTES, Question
from hybrid_cli.local.protocol import FlowRequest
from hybrid_cli.local.worker import Worker
from hybrid_cli.output import Output
from hybrid_cli.pipe.side import Shared, Side
from hybrid_cli.profile.policy import Flags, Policy, merge_policy
from hybrid_cli.weights.store import Store

_CHUNK = 1 << 16
_IN_HAND = 24
"""Records begun and not finished: some for the engine, some that wait for a cloud."""
_UNWRITTEN = 1024
"""Records taken and not written: those behind a slow one wait for it."""


@dataclass(frozen=True)
class Options:
    instruction: str
    jobs: int | None


def pipe_records(flags: Flags, options: Options, environment: Environment, worker: Worker | None) -> None:
    """Answer each line of stdin. Raises Failure with the worst code where a record has failed."""
    if environment.stdin is None or environment.stdout is None or environment.stdin_is_terminal():
        raise Failure(ExitStatus.USAGE, "there are no records; pipe them in, a line each")
    policy = merge_policy(flags, environment)
    enforcement = guard(policy, environment)
    with engine_of(policy, worker) as engine:
        shared = None if engine is None else _begin(engine, policy, options, environment)
        shadows = Shadows(flags, (), environment)
        _Pipe(options, policy, enforcement, shared, shadows, environment).run()


def _begin(worker: Worker, policy: Policy, options: Options, environment: Environment) -> Shared:
    """Start the flow at once, so that the model loads while the first line is waited for."""
    local = policy.local
    request = FlowRequest(
        path=str(Store(environment).locate(local.model).path.absolute()),
        examples=[_request(options, text).messages() for text in ("a", "7")],
        places=options.jobs,
        context=None if local.context == "auto" else local.context,
        threads=None if local.threads == "auto" else local.threads,
        require_enforcement=policy.escalation.require_enforcement,
    )
    return Shared(worker, request)


def _request(options: Options, text: str) -> Request:
    """The instruction comes first: what all prompts begin with is computed once."""
    return Request(Question(f"{options.instruction}\n\n{text}", ""), None)


@dataclass(frozen=True)
class _Taken:
    """A record in hand."""

    answer: Future[tuple[Answer, Shadow | None]]
    begun: float


@dataclass
class _Pipe:
    options: Options
    policy: Policy
    enforcement: str
    shared: Shared | None
    shadows: Shadows
    environment: Environment

    def run(self) -> None:
        counts = {"kept": 0, "escalated": 0, "denied": 0, "failed": 0}
        self._in_hand = threading.BoundedSemaphore(_IN_HAND)
        self._unwritten = threading.BoundedSemaphore(_UNWRITTEN)
        self._taken: deque[_Taken] = deque()
        self._arrived = threading.Condition()
        self._ended: Future[None] | None = None
        threading.Thread(target=self._take, daemon=True).start()
        worst, number, cost = ExitStatus.ANSWERED, 0, 0.0
        while (taken := self._next()) is not None:
            number += 1
            text, shadow = "", None
            try:
                answer, shadow = self._answer_of(taken)
                text = _one_line(answer.answer)
                counts[answer.handoff.decision] += 1
                cost += answer.cost_usd or 0.0
            except Failure as failure:
                counts["failed"] += 1
                worst = max(worst, failure.status)
                self.environment.error(f"record {number}: {failure}")
            self._write(text)
            self.shadows.add(shadow)
            self._unwritten.release()
        self.shadows.send()
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        seconds = max(self.environment.clock() - self.environment.started, 1e-9)
        summary = f"{number} records: {told}, ${cost:.4f}, {number / seconds:.1f} records/s"
        if worst:
            raise Failure(worst, summary)
        self.environment.note(summary)

    def _write(self, text: str) -> None:
        stdout: Any = self.environment.stdout
        stdout.write(text.encode("utf-8", "replace") + b"\n")
        stdout.flush()

    def _answer_of(self, taken: _Taken) -> tuple[Answer, Shadow | None]:
        """Wait for it, as long as the profile's limit for a run lets it take. Raises Failure after that."""
        seconds = self.policy.limits.seconds
        if seconds is None:
            return taken.answer.result()
        try:
            return taken.answer.result(max(0.0, taken.begun + seconds - self.environment.clock()))
        except NotDone:
            raise Failure(ExitStatus.DEADLINE, f"no answer within {seconds:g} s (limits.seconds)") from None

    def _next(self) -> _Taken | None:
        """The next record's answer to be, in the order of input; None at the end."""
        with self._arrived:
            while not self._taken and self._ended is None:
                self._arrived.wait()
            if self._taken:
                return self._taken.popleft()
        if self._ended is not None:
            self._ended.result()
        return None

    def _take(self) -> None:
        """Read records as fast as they can be begun: behind that, the producer waits."""
        ended: Future[None] = Future()
        try:
            for line in _lines(self.environment):
                self._unwritten.acquire()
                self._in_hand.acquire()
                future: Future[tuple[Answer, Shadow | None]] = Future()
                with self._arrived:
                    self._taken.append(_Taken(future, self.environment.clock()))
                    self._arrived.notify()
                threading.Thread(target=self._answer, args=(line, future), daemon=True).start()
            ended.set_result(None)
        except Exception as error:  # noqa: BLE001  it is raised again by the thread that writes
            ended.set_exception(error)
        with self._arrived:
            self._ended = ended
            self._arrived.notify()

    def _answer(self, line: bytes, future: Future[tuple[Answer, Shadow | None]]) -> None:
        try:
            future.set_result(self._decide(line))
        except Exception as error:  # noqa: BLE001  it is raised again by the thread that writes
            future.set_exception(error)
        finally:
            self._in_hand.release()

    def _decide(self, line: bytes) -> tuple[Answer, Shadow | None]:
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Failure(ExitStatus.USAGE, f"it is not UTF-8 (byte {error.start})") from None
        if len(line) > MAX_BYTES:
            raise Failure(ExitStatus.USAGE, f"it is over {MAX_BYTES // 1_000_000} MB")
        request = _request(self.options, text)
        policy, ruling = under_rules(self.policy, RequestFacts(request, frozenset()))
        environment = replace(self.environment, verbosity=self.environment.verbosity - 1)
        output = Output(environment, file=None, as_json=True, stream=False)
        side: Any = None if self.shared is None else Side(self.shared)
        cascade = Cascade(request, policy, ruling, self.enforcement, side, output, environment)
        answer = cascade.answer()
        return answer, shadow_of(request, answer, cascade.observation, policy, environment)


def _lines(environment: Environment) -> Iterator[bytes]:
    """The lines of stdin as they come, without their ends. Of a longer one than may be, only a part."""
    descriptor = environment.stdin.fileno() if environment.stdin is not None else -1
    held = bytearray()
    while chunk := os.read(descriptor, _CHUNK):
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            held += part[: MAX_BYTES + 1 - len(held)]
            yield bytes(held.removesuffix(b"\r"))
            held.clear()
        held += rest[: MAX_BYTES + 1 - len(held)]
    if held:
        yield bytes(held)


def _one_line(text: str) -> str:
    """`text` without control sequences, on one line; `printf %b` turns it back."""
    return plain(text).replace("\\", "\\\\").replace("\n", "\\n")
