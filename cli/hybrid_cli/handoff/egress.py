"""The one way out. Nothing else in the program sends a prompt to a cloud."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_cli.cloud.client import Reply, complete
from hybrid_cli.cloud.keys import read_key
from hybrid_cli.environment import Environment
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.handoff.answer import Request
from hybrid_cli.privacy.consent import Consent
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.profile.schema import Cloud


def denial(policy: Policy, environment: Environment) -> str | None:
    """Why nothing may be sent under `policy`, in words for the user; None where it may."""
    if policy.mode == "forbid":
        return f"escalation is forbidden by {policy.decided_by}"
    if policy.cloud is None:
        return f"no cloud is set in profile `{policy.profile}`"
    if not _has_consent(policy.cloud, environment) and not environment.can_ask():
        origin = origin_of(policy.cloud.base_url)
        return f"no consent to send to {origin} (to give it: hybrid consent grant {origin})"
    return None


def ask(request: Request, policy: Policy, words: str, environment: Environment) -> str | None:
    """Put the handoff to the user where the mode is `ask` or there is no consent to this cloud yet.

    A yes to a new cloud is recorded for its origin and model. The denial in words, or None to go on.
    """
    cloud = policy.cloud
    known = cloud is not None and _has_consent(cloud, environment)
    if cloud is None or (known and policy.mode != "ask"):
        return None
    size = sum(len(message["content"]) for message in request.messages())
    price = "" if cloud.prices is None else f", ${cloud.prices.input}/${cloud.prices.output} a million tokens"
    where = f"{cloud.model} at {origin_of(cloud.base_url)}{price}"
    first = "" if known else " (and later prompts, when this happens)"
    if not environment.confirm(f"{words}: send {size} characters{first} to {where}?"):
        return (
            f"{policy.decided_by} asks before each handoff, and nobody agreed"
            if known
            else "you did not agree"
        )
    if not known:
        Consent(environment).grant(cloud.base_url, cloud.model)
    return None


def _has_consent(cloud: Cloud, environment: Environment) -> bool:
    return Consent(environment).covers(cloud.base_url, cloud.model)


def send(
    request: Request,
    policy: Policy,
    words: str,
    environment: Environment,
    on_text: Callable[[str], None],
) -> Reply:
    """Hand the request off: policy, consent, key, then send. `words` say why, on stderr.

    Raises Failure: DENIED, KEY, CLOUD, or CHECK for a reply that is no whole answer.
    """
    denied = denial(policy, environment)
    if denied is not None or policy.cloud is None or not _has_consent(policy.cloud, environment):
        raise Failure(ExitStatus.DENIED, denied or "no consent to send there")
    cloud = policy.cloud
    key = read_key(cloud.key, environment) if cloud.key is not None else None
    parameters: dict[str, int | float] = {"max_tokens": policy.local.sampling.max_tokens}
    if policy.cloud_temperature is not None:
        parameters["temperature"] = policy.cloud_temperature
    environment.note(f"handed off to {cloud.model}: {words}")
    with environment.waiting(f"waiting for {cloud.model} at {origin_of(cloud.base_url)}") as arrived:

        def take(text: str) -> None:
            arrived()
            on_text(text)

        reply = complete(cloud, key, request.messages(), parameters, environment, take)
    _check(reply)
    return reply


def _check(reply: Reply) -> None:
    if reply.finish_reason == "length":
        raise Failure(ExitStatus.CHECK, "the cloud's answer was cut; --max-tokens raises the limit")
    if reply.finish_reason == "content_filter":
        raise Failure(ExitStatus.CHECK, "the cloud's answer was withheld by its content filter")
    if not reply.text.strip():
        raise Failure(ExitStatus.CHECK, "the cloud's answer is empty")
