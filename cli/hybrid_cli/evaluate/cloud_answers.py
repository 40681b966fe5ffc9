"""The cloud's answers to labelled questions. Each is a handoff by `egress.send`, under all its rules."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from hybrid_cli.egress.backpressure import Backpressure
from hybrid_cli.egress.permission import confirm, permission_for
from hybrid_cli.egress.prompt_rules import RequestFacts, under_rules
from hybrid_cli.egress.send import Handoff, send
from hybrid_cli.evaluate.eval_estimate import EvalEstimate
from hybrid_cli.evaluate.local_answers import request_for
from hybrid_cli.evaluate.questions import LabelledQuestion, is_right
from hybrid_cli.evaluate.rows import CloudRow, SavedRows, cloud_key_of
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ledger.amounts import usd
from hybrid_cli.profile.policy import Policy
from hybrid_cli.system.thread_pool import ThreadPool
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.progress import ProgressBar
from hybrid_cli.ui.stopwatch import Stopwatch

_PARALLEL = 4
"""Requests in parallel: few enough for the rate limits of common accounts."""


def missing(
    questions: Sequence[LabelledQuestion], policy: Policy, saved: SavedRows
) -> list[LabelledQuestion]:
    """The questions that the cloud has not answered yet, each once."""
    if policy.cloud is None:
        return []
    found = {cloud_key_of(question, policy.cloud.model): question for question in questions}
    return [question for key, question in found.items() if key not in saved.cloud]


def outcome(question: LabelledQuestion, policy: Policy, saved: SavedRows) -> bool | None:
    """Whether the cloud was right; None if it was not asked."""
    row = saved.cloud.get(cloud_key_of(question, policy.cloud.model)) if policy.cloud is not None else None
    return None if row is None else row.right


def agree(
    questions: Sequence[LabelledQuestion],
    policy: Policy,
    plan: EvalEstimate,
    environment: Environment,
    *,
    agreed: bool,
) -> None:
    """Make sure that the policy allows the requests, and that the user wants them.

    `agreed` means that the user confirmed with --yes. A missing consent, or the mode `ask`, leads to one
    question for all requests. Raises Failure: DENIED by the policy, USAGE if the user does not confirm.
    """
    requests = [request_for(question) for question in questions]
    permission = permission_for(requests[0], policy, environment)
    if permission.must_ask:
        permission = confirm(permission, requests, policy, "evaluation", environment, Backpressure())
        agreed = True
    if permission.denied is not None:
        raise Failure(ExitStatus.DENIED, f"nothing was sent: {permission.denied}")
    if agreed or not plan.to_send:
        return
    most = "price unknown" if plan.usd_at_most is None else f"at most {usd(plan.usd_at_most)}"
    if not environment.confirm(f"Send {plan.to_send} questions to {plan.destination}, {most}?"):
        raise Failure(ExitStatus.USAGE, "nothing was sent: not confirmed; to confirm in advance: --yes")


def ask(
    questions: Sequence[LabelledQuestion], policy: Policy, saved: SavedRows, environment: Environment
) -> None:
    """Send the questions without a recorded outcome, and record each outcome as it arrives.

    Raises the first Failure that concerns more than one question: a limit, a key, a cloud that is down.
    """
    left = missing(questions, policy, saved)
    withheld = 0
    with ProgressBar(environment, "answered by the cloud", len(left)) as progress:
        for row in _outcomes(left, policy, environment):
            if row is None:
                withheld += 1
            else:
                saved.add(row)
            progress.step()
    if withheld:
        environment.note(
            f"{withheld} questions were not sent (denied by a rule or the privacy scan); the report omits them"
        )


def _outcomes(
    questions: Sequence[LabelledQuestion], policy: Policy, environment: Environment
) -> Iterator[CloudRow | None]:
    """Send `questions`, a few in parallel; yields the result of `_send` for each, as they complete.

    Raises the first exception, after the requests in flight have ended: they must be paid.
    """
    outcomes: queue.SimpleQueue[CloudRow | Exception | None] = queue.SimpleQueue()
    errors: list[Exception] = []
    quiet = replace(environment, verbosity=environment.verbosity - 1)
    backpressure = Backpressure()

    def work(question: LabelledQuestion) -> None:
        if errors:  # nothing more is sent
            raise errors[0]
        outcomes.put(_send(question, policy, quiet, backpressure))

    def on_error(error: Exception) -> None:
        errors.append(error)
        outcomes.put(error)

    pool = ThreadPool(_PARALLEL, work, on_error)
    for question in questions:
        pool.put(question)
    for _ in questions:
        outcome = outcomes.get()
        if not isinstance(outcome, Exception):
            yield outcome
    if errors:
        raise errors[0]


def _send(
    question: LabelledQuestion, policy: Policy, environment: Environment, backpressure: Backpressure
) -> CloudRow | None:
    """The outcome of one question; None if the policy denies sending it. Raises Failure."""
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
        if failure.status is ExitStatus.CHECK:  # empty, cut or withheld: such an answer is wrong
            return CloudRow(key, model, right=False)
        raise
    used = sent.settlement
    right = is_right(question, sent.reply.text, environment.variables)
    return CloudRow(key, model, right, used.tokens_in, used.tokens_out, used.cost)


def figures(questions: Sequence[LabelledQuestion], policy: Policy, saved: SavedRows) -> dict[str, Any]:
    """Tokens and cost of the cloud's answers, with those of earlier runs."""
    if policy.cloud is None:
        return {}
    keys = {cloud_key_of(question, policy.cloud.model) for question in questions}
    rows = [row for key, row in saved.cloud.items() if key in keys]
    return {
        "model": policy.cloud.model,
        "answers": len(rows),
        "tokens_in": sum(row.tokens_in or 0 for row in rows),
        "tokens_out": sum(row.tokens_out or 0 for row in rows),
        "usd": round(sum(row.cost or 0.0 for row in rows), 6),
    }
