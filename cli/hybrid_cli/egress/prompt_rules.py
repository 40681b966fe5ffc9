"""The profile's rules applied to one prompt: its facts, and the policy under the ruling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.policy import Policy
from hybrid_cli.profile.rules import Ruling, rule_on
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import shorten

_BYTES_A_TOKEN = 4  # of English text; the prompt is not tokenized, as no model is loaded yet


@dataclass(frozen=True)
class RequestFacts:
    """The facts about one request that rules test."""

    request: Request
    tags: frozenset[str]
    tools: frozenset[str] = frozenset()

    @cached_property
    def text(self) -> str:
        return "\n\n".join(message["content"] for message in self.request.messages())

    def tokens(self) -> int:
        """Return an estimate of the prompt's tokens."""
        return -(-len(self.text.encode()) // _BYTES_A_TOKEN)

    def language(self) -> str:
        """Return the ISO 639-1 code of the likeliest language; a guess for texts of a few words."""
        import py3langid

        code: str = py3langid.classify(self.text)[0]
        return code

    def has_secret(self) -> bool:
        from hybrid_cli.privacy.scan import find

        return bool(find(self.text, ["secret"]))


def known_tags(given: Iterable[str], policy: Policy, environment: Environment) -> frozenset[str]:
    """Return `given` in lower case, split at commas. A note names tags that no rule knows."""
    tags = frozenset(tag.strip().casefold() for word in given for tag in word.split(",") if tag.strip())
    known = {tag.casefold() for _, rule in policy.rules for tag in rule.when.tags or ()}
    for tag in sorted(tags - known):
        environment.note(f"no rule of the profile uses the tag `{shorten(tag)}`")
    return tags


def under_rules(policy: Policy, facts: RequestFacts) -> tuple[Policy, Ruling | None]:
    """Return the policy for this one prompt, and the ruling that changed it, if any.

    Rules only tighten, like any layer. Raises Failure (DENIED) if a rule keeps a prompt here that the policy
    forces to the cloud.
    """
    ruling = rule_on(policy.rules, facts) if policy.rules else None
    if ruling is None or policy.mode == "forbid":
        return policy, ruling
    if ruling.then in ("forbid", "local") and policy.mode == "force":
        raise Failure(
            ExitStatus.DENIED,
            f"{policy.decided_by} forces the cloud, but {ruling.rule} keeps this prompt here",
        )
    if ruling.then == "forbid":
        return replace(policy, mode="forbid", decided_by=ruling.rule), ruling
    if ruling.then == "ask":
        return replace(policy, mode="ask", decided_by=ruling.rule), ruling
    return policy, ruling
