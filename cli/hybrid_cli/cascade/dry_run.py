"""`--dry-run`: what a run would do, without loading or sending anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hybrid_cli.cloud.keys import key_source, read_key
from hybrid_cli.cloud.prices import estimate, image_tokens
from hybrid_cli.egress.budget import Account, left_in_words, worst_cost
from hybrid_cli.egress.permission import Fallback, Permission, permission_for
from hybrid_cli.egress.request import scanned_call
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ledger.amounts import usd
from hybrid_cli.profile.cloud_section import Cloud, Server
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.profile.rules import Ruling
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.projector import reads_images
from hybrid_cli.weights.store import Store


def make_plan(
    request: Request, policy: Policy, ruling: Ruling | None, environment: Environment
) -> dict[str, Any]:
    """Return profile, mode, model, cloud, and whether a handoff would happen. Nothing is loaded or sent."""
    cloud = policy.cloud
    permission = permission_for(request, policy, environment)
    plan = {
        "profile": policy.profile,
        "mode": f"{policy.mode} (set by {policy.decided_by})",
        "model": "not used" if policy.mode == "force" else _model_state(policy, environment),
        "cloud": "none" if cloud is None else f"{cloud.model} at {origin_of(cloud.base_url)}",
        "key": "none" if cloud is None else key_source(cloud.key),
        "rule": "none" if ruling is None else f"{ruling.then} ({ruling.rule})",
        "handoff": permission.denied or _when(request, policy, ruling, environment),
        "characters": sum(len(message["content"]) for message in request.messages()),
    }
    if cloud is not None and policy.mode != "forbid":
        plan |= _payload(request, policy, cloud, permission, environment)
    return plan


def as_lines(plan: dict[str, Any]) -> list[str]:
    """Return the plan as lines for a reader, with the payload below, indented."""
    lines = [f"{name}: {value}" for name, value in plan.items() if name not in ("images", "payload")]
    if "payload" in plan:
        described = _with_descriptions(json.loads(plan["payload"]), iter(plan.get("images", ())))
        spread = json.dumps(described, ensure_ascii=False, indent=2)
        lines += ["payload (--json has it byte for byte):", *spread.split("\n")]
    return lines


def _with_descriptions(data: Any, images: Iterator[str]) -> Any:
    """Return a payload with the next of the descriptions in the place of each image."""
    if isinstance(data, list):
        return [_with_descriptions(item, images) for item in data]
    if not isinstance(data, dict):
        return data
    if data.get("type") == "image_url":
        return {**data, "image_url": {"url": next(images)}}
    if data.get("type") == "input_image":
        return {**data, "image_url": next(images)}
    return {key: _with_descriptions(value, images) for key, value in data.items()}


def _payload(
    request: Request, policy: Policy, cloud: Cloud, permission: Permission, environment: Environment
) -> dict[str, Any]:
    """Return the payload a handoff would send, and its cost. Only the placeholders' suffix will differ."""
    try:
        key = _key_at_hand(cloud, environment)
        call, vault = scanned_call(cloud, request, policy, environment, key)
    except Failure as failure:
        return {"forbidden": str(failure)}
    content = call.content()
    text_size = len(call.readable())
    worst = worst_cost(call, text_size)
    seen = f"at most {image_tokens(cloud.model, len(call.images))} for images, " if call.images else ""
    refused = Account(policy, "", vault.counts, environment).refusal(call)
    return {
        "privacy": (f"redacted: {dict(vault.counts)}" if vault.counts else "nothing to redact")
        + ("; the scan cannot read images" if call.images else ""),
        **({"images": [str(image) for image in call.images]} if call.images else {}),
        "fallbacks": ", ".join(map(_describe, permission.fallbacks)) or "none",
        "destination": f"{cloud.base_url.rstrip('/')}{call.path}",
        "bytes": len(content),
        "tokens": f"about {estimate(text_size, '', ()).tokens_in} in, {seen}at most {call.max_tokens} out",
        "price": "unknown" if worst is None else f"at most {usd(worst)}",
        "left": left_in_words(policy, environment),
        **({} if refused is None else {"over_limit": refused}),
        "payload": content.decode(),
    }


def _key_at_hand(server: Server, environment: Environment) -> str | None:
    """Return the cloud's key, to look for it in the payload. No key command is run: it might ask the user."""
    if server.key is None or server.key.command is not None:
        return None
    try:
        return read_key(server.key, environment)
    except Failure:
        return None


def _describe(fallback: Fallback) -> str:
    named = f"{fallback.server.model} at {origin_of(fallback.server.base_url)}"
    return named if fallback.skip_reason is None else f"{named} ({fallback.skip_reason})"


def _model_state(policy: Policy, environment: Environment) -> str:
    try:
        Store(environment).verified(policy.local.model)
    except Failure as failure:
        if failure.status is ExitStatus.USAGE:
            raise
        return f"{policy.local.model} (missing: {failure})"
    return f"{policy.local.model} (ready)"


def _when(request: Request, policy: Policy, ruling: Ruling | None, environment: Environment) -> str:
    if ruling is not None and ruling.then == "local":
        return "never"
    if policy.mode == "force" or request.tools:
        return "always"
    asked = ", after your confirmation" if policy.mode == "ask" else ""
    is_blind = request.images and not reads_images(policy, environment)
    if is_blind or (ruling is not None and ruling.then == "force"):
        return f"always{asked}"
    shadow = policy.escalation.shadow
    after = (
        f"; kept prompts afterwards with probability {shadow:g}" if shadow and policy.mode == "auto" else ""
    )
    return f"{_target(policy)}, or if there is no usable local answer{asked}{after}"


def _target(policy: Policy) -> str:
    target = policy.escalation.target
    if target.threshold is not None:
        return f"below confidence {target.threshold:.2f}"
    names = [name for name in target.__struct_fields__ if getattr(target, name) is not None]
    return f"by the calibration for {names[0]}={getattr(target, names[0]):g}"
