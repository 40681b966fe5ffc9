"""The cloud's own answers to questions: through the one way out, with all that holds there."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hybrid_cli.egress.backpressure import Backpressure
from hybrid_cli.egress.permission import confirmed, permission_for
from hybrid_cli.egress.prompt_rules import RequestFacts, under_rules
from hybrid_cli.egress.send import Handoff, send
from hybrid_cli.evaluate.eval_estimate import Estimate
from hybrid_cli.evaluate.local_answers import request_for
from hybrid_cli.evaluate.questions import Question, is_right
from hybrid_cli.evaluate.rows import CloudRow, Kept, cloud_key_of
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ledger.database import usd
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.progress import ProgressBar
from hybrid_cli.ui.stopwatch import Stopwatch

_AT_ONCE = 4
"""Requests under way: few enough for the limits of common accounts."""
_LOOK_SECONDS = 0.1


def missing(questions: Sequence[Question], policy: Policy, kept: Kept) -> list[Question]:
    """Those that the cloud has not answered yet, each once."""
    if policy.cloud is None:
        return []
    found = {cloud_key_of(question, policy.cloud.model): question for question in questions}
    return [question for key, question in found.items() if key not in kept.cloud]


def outcome(question: Question, policy: Policy, kept: Kept) -> bool | None:
    """Whether the cloud was right; None where it was not asked."""
    row = kept.cloud.get(cloud_key_of(question, policy.cloud.model)) if policy.cloud is not None else None
    return None if row is None else row.right


def agree(
    questions: Sequence[Question], policy: Policy, plan: Estimate, environment: Environment, *, agreed: bool
) -> None:
    """Make sure that the policy allows it and the user wants it: `agreed` by an option, or by a question.

    The consent to a new cloud, and each handoff under `ask`, is a question of its own, for all at once.
    Raises Failure: DENIED, or USAGE where nobody said yes.
    """
    requests = [request_for(question) for question in questions]
    permission = permission_for(requests[0], policy, environment)
    if permission.must_ask:
        permission = confirmed(permission, requests, policy, "evaluation", environment, Backpressure())
        agreed = True
    if permission.denied is not None:
        raise Failure(ExitStatus.DENIED, f"nothing was sent: {permission.denied}")
    if agreed or not plan.to_send:
        return
    most = (
        "of a price that is not known" if plan.usd_at_most is None else f"for at most {usd(plan.usd_at_most)}"
    )
    if not environment.confirm(f"send {plan.to_send} questions to {plan.destination}, {most}?"):
        raise Failure(ExitStatus.USAGE, "nothing was sent; --yes says so without a question")


def ask(questions: Sequence[Question], policy: Policy, kept: Kept, environment: Environment) -> None:
    """Send what is missing, and keep each outcome as it comes; tell how many may not leave.

    Raises the first Failure that is none of one question's own: a limit, a key, a cloud that is down.
    """
    left = missing(questions, policy, kept)
    withheld = 0
    with ProgressBar(environment, "answered by the cloud", len(left)) as progress:
        for row in _outcomes(left, policy, environment):
            if row is None:
                withheld += 1
            else:
                kept.add(row)
            progress.step()
    if withheld:
        environment.note(
            f"{withheld} questions may not leave (a rule, or the privacy scan); they are left out"
        )


def _outcomes(
    questions: Sequence[Question], policy: Policy, environment: Environment
) -> Iterator[CloudRow | None]:
    """What `_send` makes of each, a few at once, as they come.

    Raises the first Failure, once those under way have ended: they are paid for.
    """
    waiting: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
    for question in [*questions, *[None] * _AT_ONCE]:
        waiting.put(question)
    outcomes: queue.SimpleQueue[CloudRow | Failure | None] = queue.SimpleQueue()
    failed = threading.Event()
    quiet = replace(environment, verbosity=environment.verbosity - 1)
    backpressure = Backpressure()

    def work() -> None:
        while not failed.is_set() and (question := waiting.get()) is not None:
            outcomes.put(_attempt(question, policy, quiet, backpressure, failed))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(_AT_ONCE)]
    for thread in threads:  # daemons: Ctrl-C does not wait for a cloud
        thread.start()
    failure = None
    while any(thread.is_alive() for thread in threads) or not outcomes.empty():
        with suppress(queue.Empty):
            found = outcomes.get(timeout=_LOOK_SECONDS)
            if isinstance(found, Failure):
                failure = failure or found
            else:
                yield found
    if failure is not None:
        raise failure


def _attempt(
    question: Question,
    policy: Policy,
    environment: Environment,
    backpressure: Backpressure,
    failed: threading.Event,
) -> CloudRow | Failure | None:
    """What `_send` makes of it; where that ends the work, `failed` is set."""
    try:
        return _send(question, policy, environment, backpressure)
    except Failure as failure:
        failed.set()
        return failure
    except Exception as error:  # noqa: BLE001  a thread that ends without a word is waited for in vain
        failed.set()
        return Failure(ExitStatus.FAILURE, f"internal error: {type(error).__name__}")


def _send(
    question: Question, policy: Policy, environment: Environment, backpressure: Backpressure
) -> CloudRow | None:
    """The outcome of one question; None where it may not leave. Raises Failure."""
    if policy.cloud is None:
        return None
    model = policy.cloud.model
    request, key = request_for(question), cloud_key_of(question, model)
    try:
        policy, ruling = under_rules(policy, RequestFacts(request, frozenset()))
        if ruling is not None and ruling.then in ("local", "ask"):
            return None
        sent = send(
            Handoff(request, policy, "eval", "a question of an evaluation"),
            environment,
            lambda _text: None,
            is_shown=False,
            stopwatch=Stopwatch(environment.clock),
            backpressure=backpressure,
        )
    except Failure as failure:
        if failure.status is ExitStatus.DENIED:
            return None
        if failure.status is ExitStatus.CHECK:  # empty, cut or withheld: no answer is no right answer
            return CloudRow(key, model, right=False)
        raise
    used = sent.settlement
    right = is_right(question, sent.reply.text, environment.variables)
    return CloudRow(key, model, right, used.tokens_in, used.tokens_out, used.cost)


def figures(questions: Sequence[Question], policy: Policy, kept: Kept) -> dict[str, Any]:
    """What the cloud's answers took, with those that the rows held before."""
    if policy.cloud is None:
        return {}
    keys = {cloud_key_of(question, policy.cloud.model) for question in questions}
    rows = [row for key, row in kept.cloud.items() if key in keys]
    return {
        "model": policy.cloud.model,
        "answers": len(rows),
        "tokens_in": sum(row.tokens_in or 0 for row in rows),
        "tokens_out": sum(row.tokens_out or 0 for row in rows),
        "usd": round(sum(row.cost or 0.0 for row in rows), 6),
    }
