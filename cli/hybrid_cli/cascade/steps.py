"""The steps of every prompt's cascade, whichever command or client it comes from: rules before, shadow mode after."""

from __future__ import annotations

from dataclasses import replace

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.cascade.cascade import Cascade
from hybrid_cli.cascade.decision import Decision
from hybrid_cli.cascade.offered_tools import offered_tools
from hybrid_cli.cascade.shadow import Shadow, shadow_of
from hybrid_cli.egress.prompt_rules import RequestFacts, under_rules


def ruled(cascade: Cascade, tags: frozenset[str]) -> Cascade:
    """Return `cascade` under the profile's rules, with the tools that its local model may call. Raises Failure."""
    request = cascade.request
    facts = RequestFacts(request, tags, frozenset(request.tools))
    policy, ruling = under_rules(cascade.policy, facts)
    offers = offered_tools(request, policy, ruling, facts, cascade.output, cascade.environment)
    return replace(cascade, policy=policy, ruling=ruling, offers=offers)


def settled(cascade: Cascade, decision: Decision) -> tuple[Answer, Shadow | None]:
    """Settle `decision`; return the answer, and what shadow mode sends after it. Raises Failure."""
    answer = cascade.settle(decision)
    observation = decision.observation
    return answer, shadow_of(cascade.request, answer, observation, cascade.policy, cascade.environment)
