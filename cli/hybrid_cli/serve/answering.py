"""Answers one client's request: policy, rules, cascade. The same steps as `hybrid run`, in a thread of its own."""

from __future__ import annotations

import gc
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.cascade.cascade import Cascade
from hybrid_cli.cascade.shadow import Shadows
from hybrid_cli.cascade.steps import ruled, settled
from hybrid_cli.egress.backpressure import Backpressure
from hybrid_cli.egress.permission import prefetch_sdk, withhold_keys
from hybrid_cli.egress.prompt_rules import known_tags
from hybrid_cli.exit_status import ExitStatus, Failure, Interrupted
from hybrid_cli.ledger.database import Ledger
from hybrid_cli.profile.keep_alive import keep_seconds
from hybrid_cli.profile.modes import Mode
from hybrid_cli.profile.policy import Policy, merge_policy
from hybrid_cli.serve.asked import Asked
from hybrid_cli.serve.engines import Engines, ServedEngine
from hybrid_cli.serve.exchange import Exchange
from hybrid_cli.serve.logprobs import logprobs_of
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
from hybrid_cli.ui.terminal import StatusLine

_COLLECTION_THRESHOLD = 1_000
"""Objects between two garbage collections; a command that ends soon has a hundred times as many."""


def collect_garbage_often() -> None:
    """Let a process that stays not grow by the garbage of a thousand requests."""
    gc.set_threshold(_COLLECTION_THRESHOLD)


@dataclass
class Answering:
    """What all requests of one server share."""

    environment: Environment
    engines: Engines
    enforcement: str = "none"
    """What keeps this process off the network."""
    keep_alive: str | None = None
    """How long a model stays after this process; None for what the profile says."""
    escalation: Mode | None = None
    """A mode for all requests; None for what the profile says."""
    backpressure: Backpressure = field(default_factory=Backpressure)
    cost_usd: float = 0.0
    """Of all handoffs so far, also of those without an answer; an unknown price counts as 0."""
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def start(self, asked: Asked, exchange: Exchange) -> threading.Thread:
        """Answer in a new thread. The outcome arrives in `exchange`, whatever happens."""
        thread = threading.Thread(target=self._run, args=(asked, exchange), daemon=True)
        thread.start()
        return thread

    def _run(self, asked: Asked, exchange: Exchange) -> None:
        try:
            exchange.complete(self.answer(asked, exchange))
        except Failure as failure:
            exchange.put(failure)
        except Interrupted as interrupted:  # nobody waits
            exchange.put(Failure(interrupted.status, interrupted.status.meaning))
        except Exception as error:
            exchange.put(Failure(ExitStatus.FAILURE, f"internal error: {type(error).__name__}"))
            if self.environment.variables.get("HYBRID_DEBUG"):
                raise

    def answer(self, asked: Asked, exchange: Exchange) -> Answer:
        """Return the answer. Raises Failure, or Interrupted once `exchange` has ended."""
        environment = self._environment_of_request()
        stopwatch = Stopwatch(environment.clock)
        flags = replace(asked.flags, keep_alive=self.keep_alive, server_escalation=self.escalation)
        policy = merge_policy(flags, environment)
        withhold_keys(policy, environment)
        if policy.mode == "force":
            prefetch_sdk(policy, environment)
        seconds = policy.limits.seconds
        timer = threading.Timer(
            seconds or 0, exchange.end, [ExitStatus.DEADLINE, "deadline reached (limits.seconds)"]
        )
        timer.daemon = True
        if seconds is not None:
            timer.start()
        try:
            return self._answer(asked, exchange, policy, environment, stopwatch)
        finally:
            timer.cancel()

    def _environment_of_request(self) -> Environment:
        """Return an environment that asks nobody and prints nothing: no text of a client is ever logged."""
        return replace(
            self.environment,
            stdin=None,
            stdout=None,
            stderr=None,
            verbosity=-1,
            run_id=os.urandom(8).hex(),  # a limit for each run is one for each request
            command_keys={},
            known_secrets=set(),  # of one client; another one's prompts stay as they are
            status_line=StatusLine(),
        )

    def _answer(
        self, asked: Asked, exchange: Exchange, policy: Policy, environment: Environment, stopwatch: Stopwatch
    ) -> Answer:
        request = asked.request(policy, environment)
        whole = request.schema or request.choices or request.verify or request.top_logprobs is not None
        exchange.streams = exchange.streams and not whole
        tags = known_tags(asked.tags, policy, environment)
        keep = keep_seconds(policy.local.keep_alive)
        engine = ServedEngine(self.engines, keep, environment.clock, exchange.use)
        cascade = Cascade(
            request,
            policy,
            self.enforcement,
            engine,
            exchange,
            environment,
            stopwatch,
            backpressure=self.backpressure,
        )
        cascade = ruled(cascade, tags)
        decision = cascade.ask(cascade.decide())
        exchange.is_local = not decision.needs_cloud
        try:
            answer, shadow = settled(cascade, decision)
        finally:
            if decision.needs_cloud:
                self._count_cost(environment)
        if answer.answered_by == "local" and request.top_logprobs is not None and decision.local is not None:
            exchange.logprobs = logprobs_of(answer.answer, decision.local.result.token_logprobs)
        shadows = Shadows(asked.flags, tags, environment)
        shadows.add(shadow)
        shadows.send()
        return answer

    def _count_cost(self, environment: Environment) -> None:
        """Add what the ledger has for this request. A failure here must not affect the answer."""
        with suppress(Failure):
            spent = Ledger(environment.state_folder).spent(environment.run_id)
            with self._counting:
                self.cost_usd += spent
