"""Whether a request may leave: policy, cloud, tools and consent, and the question to the user.

A `Permission` is computed once for a request, and `egress.send` computes it again before it sends: in between,
the user may have answered a question, or revoked the consent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hybrid_cli.cloud import sdk
from hybrid_cli.cloud.image import counted
from hybrid_cli.cloud.keys import why_missing
from hybrid_cli.egress.backpressure import Backpressure
from hybrid_cli.egress.request import outgoing_images, outgoing_messages
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.privacy.consent import Consent
from hybrid_cli.profile.cloud_section import Cloud, Server
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import shorten


@dataclass(frozen=True)
class Fallback:
    """A fallback cloud of the profile."""

    server: Server
    skip_reason: str | None
    """Why it would not be tried; None if it would."""


@dataclass(frozen=True)
class Permission:
    """What policy and consent say about sending one request."""

    denied: str | None
    """Why the request may not be sent, for the user; None if it may."""
    has_consent: bool
    """The user agreed to this cloud."""
    must_ask: bool
    """The user must confirm first: the mode is `ask`, or there is no consent to this cloud yet."""
    fallbacks: tuple[Fallback, ...] = ()
    status: ExitStatus = ExitStatus.DENIED
    """The exit code of `denied`: KEY if there is no key, as when a request fails for want of one."""

    @property
    def is_granted(self) -> bool:
        """Whether the request may be sent without a question."""
        return self.denied is None and not self.must_ask


def permission_for(request: Request, policy: Policy, environment: Environment) -> Permission:
    """Compute the permission to send `request` under `policy`. Reads the recorded consents once."""
    if policy.mode == "forbid":
        return _denied(f"{policy.decided_by} forbids handoffs")
    cloud = policy.cloud
    if cloud is None:
        return _denied(f"profile `{policy.profile}` sets no cloud")
    why = _why_no_tools(request, cloud, policy) or _why_no_images(request, cloud, policy, environment)
    if why is not None:
        return _denied(why)
    consent = Consent(environment)
    agreed = consent.covers(cloud.base_url, cloud.model)
    if not agreed and not environment.can_ask():
        origin = origin_of(cloud.base_url)
        return _denied(f"no consent for {origin}; run: hybrid consent grant {origin}")
    fallbacks = tuple(Fallback(one, _why_skipped(one, request, consent)) for one in cloud.fallbacks)
    must_ask = not agreed or _asks_each_time(request, policy)
    return Permission(None, agreed, must_ask, fallbacks)


def _asks_each_time(request: Request, policy: Policy) -> bool:
    """Return whether the user confirms each handoff like this one, whatever cloud was agreed to."""
    return policy.mode == "ask" or bool(request.images and policy.privacy.images == "ask")


def _why_no_tools(request: Request, cloud: Cloud, policy: Policy) -> str | None:
    """Return why the tools of `request` may not be used; None if they may, or if it needs none."""
    for tool in request.tools:
        if tool not in cloud.tools:
            return f"the cloud of profile `{policy.profile}` does not offer {tool} (cloud.tools)"
        if policy.limits.tools is not None and tool not in policy.limits.tools:
            return f"{policy.values['limits.tools'].layer} does not allow {tool}"
    return None


def _why_no_images(request: Request, cloud: Cloud, policy: Policy, environment: Environment) -> str | None:
    """Return why the images of `request` may not be sent; None if they may, or if it has none."""
    if not request.images:
        return None
    layer = policy.values["privacy.images"].layer
    if policy.privacy.images == "forbid":
        return f"{layer} forbids images (privacy.images)"
    if not outgoing_images(request, cloud):
        return "a hosted tool gets only the prompt, not images (cloud.tool_context)"
    if policy.privacy.images == "ask" and not environment.can_ask():
        return f"{layer} asks before images are sent, and there is no terminal; set privacy.images: allow"
    return None


def _denied(why: str) -> Permission:
    return Permission(why, has_consent=False, must_ask=False)


def _why_skipped(server: Server, request: Request, consent: Consent) -> str | None:
    if not consent.covers(server.base_url, server.model):
        return "no consent"
    return None if set(request.tools) <= set(server.tools) else "lacks the requested tools"


def confirm(
    permission: Permission,
    requests: Sequence[Request],
    policy: Policy,
    reason: str,
    environment: Environment,
    backpressure: Backpressure,
) -> Permission:
    """Ask the user to confirm the handoff of `requests`, if `permission` needs that, and return the outcome.

    One question at a time. A yes to a new cloud is recorded for its origin and model; a no holds for this
    process.
    """
    if policy.cloud is None or permission.is_granted or permission.denied is not None:
        return permission
    missing = why_missing(policy.cloud.key, environment)
    if missing is not None:  # a yes would send nothing
        if reason == "forced":
            raise Failure(ExitStatus.KEY, missing)
        return replace(permission, denied=missing, must_ask=False, status=ExitStatus.KEY)
    with backpressure.asking:
        denied = _ask(requests, policy.cloud, policy, reason, environment, backpressure)
    return replace(permission, denied=denied, must_ask=False, has_consent=denied is None)


def _ask(
    requests: Sequence[Request],
    cloud: Cloud,
    policy: Policy,
    reason: str,
    environment: Environment,
    backpressure: Backpressure,
) -> str | None:
    """Put one question. Return why the handoff is denied, or None."""
    is_known = Consent(environment).covers(cloud.base_url, cloud.model)
    each_time = any(_asks_each_time(request, policy) for request in requests)
    if is_known and not each_time:  # agreed to while this question waited for another one
        return None
    if not is_known and (cloud.base_url, cloud.model) in backpressure.refused:
        return "you declined"
    if not environment.confirm(_question(requests, cloud, policy, reason, is_known=is_known)):
        if not is_known:
            backpressure.refused.add((cloud.base_url, cloud.model))
            return "you declined"
        if policy.mode != "ask":
            return "you declined"
        return f"{policy.decided_by} requires confirmation for each handoff, and it was declined"
    if not is_known:
        Consent(environment).grant(cloud.base_url, cloud.model)
    return None


def _question(
    requests: Sequence[Request], cloud: Cloud, policy: Policy, reason: str, *, is_known: bool
) -> str:
    size = sum(
        len(message["content"]) for request in requests for message in outgoing_messages(request, cloud)
    )
    images = [image for request in requests for image in outgoing_images(request, cloud)]
    seen = f" and {counted(images)}, which the scan cannot read" if images else ""
    price = "" if cloud.prices is None else f", ${cloud.prices.input}/${cloud.prices.output} a million tokens"
    what = "this prompt" if len(requests) == 1 else f"{len(requests)} prompts"
    later = "prompts without images" if images and policy.privacy.images == "ask" else "prompts"
    remembered = "" if is_known else f' "Yes" is remembered for later {later}.'
    why = "" if reason == "forced" else f"{reason}. "
    return (
        f"{why}Send {what} ({size} characters{seen}) to {origin_of(cloud.base_url)},"
        f" {shorten(cloud.model)}{price}?{remembered}"
    )


def prefetch_sdk(policy: Policy, environment: Environment) -> None:
    """Load what a handoff needs in the background, once a handoff is likely. Nothing is sent."""
    if policy.cloud is not None:
        sdk.prefetch(environment.variables, needs_certificates=sdk.uses_tls(policy.cloud))


def withhold_keys(policy: Policy, environment: Environment) -> None:
    """Remove the clouds' keys from the environment variables, before any other command runs."""
    servers = [] if policy.cloud is None else [policy.cloud, *policy.cloud.fallbacks]
    environment.withhold([one.key.env for one in servers if one.key is not None and one.key.env is not None])
