"""What a run would do, without doing it: the answer to --dry-run."""

from __future__ import annotations

from typing import Any

from hybrid_cli.cloud.keys import key_source
from hybrid_cli.environment import Environment
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.handoff.answer import Request
from hybrid_cli.handoff.egress import denial
from hybrid_cli.privacy.consent import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.weights.store import Store


def make_plan(request: Request, policy: Policy, environment: Environment) -> dict[str, Any]:
    """Profile, mode, model, cloud and what stands in the way of a handoff. Nothing is loaded or sent."""
    cloud = policy.cloud
    return {
        "profile": policy.profile,
        "mode": f"{policy.mode} (set by {policy.decided_by})",
        "model": "not used" if policy.mode == "force" else _model_state(policy, environment),
        "cloud": "none" if cloud is None else f"{cloud.model} at {origin_of(cloud.base_url)}",
        "key": "none" if cloud is None else key_source(cloud.key),
        "handoff": denial(policy, environment) or _when(policy),
        "characters": sum(len(message["content"]) for message in request.messages()),
    }


def _model_state(policy: Policy, environment: Environment) -> str:
    try:
        Store(environment).locate(policy.local.model)
    except Failure as failure:
        if failure.status is ExitStatus.USAGE:
            raise
        return f"{policy.local.model} (missing: {failure})"
    return f"{policy.local.model} (ready)"


def _when(policy: Policy) -> str:
    if policy.mode == "force":
        return "always"
    asked = ", after a question" if policy.mode == "ask" else ""
    threshold = policy.escalation.target.threshold
    return f"below a confidence of {threshold:.2f}, or without a usable local answer{asked}"
