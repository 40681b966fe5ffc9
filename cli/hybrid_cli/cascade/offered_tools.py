"""The tools the local model may call: those whose call the policy would allow to leave."""

from __future__ import annotations

from dataclasses import replace

from hybrid_cli.cascade.destination import Destination
from hybrid_cli.checks.tool_calls import ToolName
from hybrid_cli.egress.permission import permission_for
from hybrid_cli.egress.prompt_rules import RequestFacts, under_rules
from hybrid_cli.exit_status import Failure
from hybrid_cli.profile.modes import Tool
from hybrid_cli.profile.policy import Policy
from hybrid_cli.profile.rules import Ruling
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment


def offered_tools(
    request: Request,
    policy: Policy,
    ruling: Ruling | None,
    facts: RequestFacts,
    output: Destination,
    environment: Environment,
) -> dict[ToolName, Policy]:
    """Return the tools the local model may call for `request`, each with the policy for its call.

    There are none under a schema: its grammar leaves no room for a call.
    """
    never_leaves = policy.mode not in ("auto", "ask") or (ruling is not None and ruling.then == "local")
    if never_leaves or request.schema is not None or _denied(request, policy, environment):
        return {}
    found: dict[ToolName, Policy] = {}
    for tool in policy.cloud.tools if policy.cloud is not None else ():
        if tool == "image_generation" and not output.takes_images:
            continue
        allowed = _policy_for(tool, request, policy, facts, environment)
        if allowed is not None:
            found[tool] = allowed
    if policy.escalation.handoff_tool:
        found["handoff"] = policy
    return found


def _policy_for(
    tool: Tool, request: Request, policy: Policy, facts: RequestFacts, environment: Environment
) -> Policy | None:
    """Return the policy under the rules for a prompt that needs `tool`; None if the tool may not be used."""
    try:
        policy, ruling = under_rules(policy, replace(facts, tools=frozenset([tool])))
    except Failure:
        return None
    keeps = ruling is not None and ruling.then == "local"
    return None if keeps or _denied(replace(request, tools=(tool,)), policy, environment) else policy


def _denied(request: Request, policy: Policy, environment: Environment) -> bool:
    cannot_ask = policy.mode == "ask" and not environment.can_ask()
    return cannot_ask or permission_for(request, policy, environment).denied is not None
