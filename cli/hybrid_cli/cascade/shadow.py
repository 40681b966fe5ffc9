"""Shadow mode: a share of the kept prompts goes to the cloud, too, to compare the answers.

The user must not wait for it, so a process of its own sends them after the answer is out: the command, its
output and its exit code are already done. That process merges the policy anew and sends through `egress.send`.
It asks nobody and prints nothing; the ledger holds the outcome.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import msgspec

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.checks.agreement import agreement
from hybrid_cli.egress.backpressure import Backpressure
from hybrid_cli.egress.permission import permission_for
from hybrid_cli.egress.prompt_rules import RequestFacts, under_rules
from hybrid_cli.exit_status import Failure, Interrupted
from hybrid_cli.gate.features import CHECKPOINTS, VERSION, answer_signals, running_mean
from hybrid_cli.gate.verdict import LocalResult
from hybrid_cli.ledger.database import Ledger, Observation
from hybrid_cli.local.stop_strings import stop_at
from hybrid_cli.profile.policy import Flags, Policy, merge_policy
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment, deadline
from hybrid_cli.ui.stopwatch import Stopwatch

_BATCH_SIZE = 50
"""Prompts that a long run gathers before it starts a process for them."""
_SECONDS = 600.0
"""For one prompt, if the profile sets no limit."""


class Shadow(msgspec.Struct, frozen=True):
    """A prompt whose local answer was kept."""

    request: Request
    answer: str
    observation: Observation


class _ShadowJob(msgspec.Struct, frozen=True):
    """The other process's input: what the policy is merged from, and the prompts."""

    run: str
    folder: str
    flags: Flags
    tags: list[str]
    shadows: list[Shadow]


def observe(
    result: LocalResult, weights: str, policy: Policy, environment: Environment
) -> Observation | None:
    """Return a finished local answer in numbers; None if not sampled for shadow mode, or not measurable.

    Kept and handed-off prompts are sampled alike, so that the record represents the real traffic.
    """
    if policy.escalation.shadow <= 0 or environment.chance() >= policy.escalation.shadow:
        return None
    signals = answer_signals(result.logprobs, result.tokens_in, result.first)
    if result.finish_reason != "stop" or signals["mean_logprob"] is None:
        return None
    running = [running_mean(result.logprobs, tokens) for tokens in CHECKPOINTS]
    return Observation(weights, VERSION, signals, running, result.tokens_in, result.tokens_out)


def shadow_of(
    request: Request,
    answer: Answer,
    observation: Observation | None,
    policy: Policy,
    environment: Environment,
) -> Shadow | None:
    """Return what to send after `answer`; None if it was not sampled or needs a question first."""
    kept = (answer.handoff.decision, answer.handoff.reason) == ("kept", "none")
    with suppress(Failure):  # a failure here must not affect the delivered answer
        if observation is not None and kept and _may_send(request, policy, environment):
            return Shadow(request, answer.answer, observation)
    return None


def _may_send(request: Request, policy: Policy, environment: Environment) -> bool:
    return policy.mode == "auto" and permission_for(request, policy, environment).is_granted


@dataclass
class Shadows:
    """Gathers prompts for the process that sends them."""

    flags: Flags
    tags: Collection[str]
    environment: Environment
    _gathered: list[Shadow] = field(default_factory=list)

    def add(self, shadow: Shadow | None) -> None:
        if shadow is not None:
            self._gathered.append(shadow)
        if len(self._gathered) >= _BATCH_SIZE:
            self.send()

    def send(self) -> None:
        """Start the process for the gathered prompts, and wait for nothing. Errors are ignored."""
        with suppress(OSError):
            self._send()

    def _send(self) -> None:
        shadows, self._gathered = self._gathered, []
        if not shadows:
            return
        environment = self.environment
        message = _ShadowJob(environment.run_id, str(Path.cwd()), self.flags, list(self.tags), shadows)
        environment.detail(
            f"sending {len(shadows)} kept prompts to the cloud for comparison (escalation.shadow)"
        )
        with _unnamed_file() as stdin:  # unlike a pipe, it takes any size at once
            stdin.write(msgspec.json.encode(message))
            stdin.seek(0)
            subprocess.Popen(
                [sys.executable, "-m", "hybrid_cli.cascade.shadow"],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**environment.variables, **environment.withheld},
                cwd="/",  # python looks for modules in its working folder, which may be a hostile project
                start_new_session=True,
            )


def _unnamed_file() -> IO[bytes]:
    """Open it in memory where the system can: prompts do not belong on the disk."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("shadow"), "w+b")
    return tempfile.TemporaryFile()


def main() -> None:
    """Run as the other process: send each prompt from stdin that the policy still allows."""
    message = msgspec.json.decode(sys.stdin.buffer.read(), type=_ShadowJob)
    os.chdir(message.folder)
    environment = replace(Environment.of_process(), verbosity=-1, run_id=message.run)
    with suppress(Failure):
        policy = merge_policy(message.flags, environment)
        for shadow in message.shadows:
            with suppress(Failure, Interrupted), deadline(policy.limits.seconds or _SECONDS):
                _send(shadow, frozenset(message.tags), policy, environment)


def _send(shadow: Shadow, tags: frozenset[str], policy: Policy, environment: Environment) -> None:
    from hybrid_cli.egress.send import Handoff, send  # late, as most commands send nothing

    request = shadow.request
    policy, ruling = under_rules(policy, RequestFacts(request, tags))
    if ruling is not None or not _may_send(request, policy, environment):
        return
    handoff = Handoff(request, policy, "shadow", "a kept prompt, to compare")
    sent = send(
        handoff,
        environment,
        lambda _text: None,
        is_shown=False,
        stopwatch=Stopwatch(environment.clock),
        backpressure=Backpressure(),
    )
    answer = stop_at(sent.reply.text, request.stop)
    Ledger(environment.state_folder).observe(sent.row, shadow.observation, agreement(shadow.answer, answer))


if __name__ == "__main__":
    main()
