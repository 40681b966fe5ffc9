"""The parts of a request that leave: its messages, and the call to one cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybrid_cli.cloud.payload import Call
from hybrid_cli.profile.policy import Policy
from hybrid_cli.profile.schema import Server
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment

if TYPE_CHECKING:  # late, as most runs send nothing
    from hybrid_cli.privacy.screen import Screened


def outgoing_messages(request: Request, server: Server) -> list[dict[str, str]]:
    """Return the messages that would leave: for a tool its argument alone, unless the profile says more."""
    if request.tools and server.tool_context == "arguments":
        return request.arguments()
    return request.messages()


def call_to(
    server: Server,
    request: Request,
    policy: Policy,
    screened: Screened,
    environment: Environment,
    key: str | None,
) -> Call:
    """Build the call to `server`. Raises Failure (DENIED) for a secret in the schema."""
    guided = _may_guide(request, policy, screened, environment, key)
    return Call(
        server,
        screened.messages,
        policy.local.sampling.max_tokens,
        policy.cloud_temperature,
        request.tools,
        request.schema.data if guided and request.schema is not None and request.schema.is_object else None,
        request.stop if guided else (),
    )


def _may_guide(
    request: Request, policy: Policy, screened: Screened, environment: Environment, key: str | None
) -> bool:
    """Return whether schema and stop strings are sent, too.

    They are sent unchanged or not at all: a placeholder would not fit them. Without them only tokens are lost,
    because the answer is cut and validated here in any case.
    """
    if request.tools or screened.vault.counts:
        return False
    from hybrid_cli.privacy.screen import screen

    schema = [] if request.schema is None else [("--schema", request.schema.text)]
    guides = [
        {"role": role, "content": text} for role, text in [*schema, *(("--stop", s) for s in request.stop)]
    ]
    return not screen(guides, policy.privacy, environment.variables, key).vault.counts
