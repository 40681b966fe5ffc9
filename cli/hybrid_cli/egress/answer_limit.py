"""The most tokens that a cloud may write. Models that reason need more, because their thinking counts."""

from __future__ import annotations

from hybrid_cli.cloud.reasoning import reasons_by_name
from hybrid_cli.ledger.database import Ledger
from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment

_REASONING, _PLAIN = 8192, 2048


def answer_limit(server: Server, policy: Policy, environment: Environment) -> int:
    """The most tokens that `server` may use for an answer, thinking included.

    It is `cloud.max_tokens`, or a default that is larger for models that reason. --max-tokens limits the answer, but
    not the thinking before it.
    """
    is_reasoning = reasons(server, environment)
    own = server.max_tokens or max(_REASONING if is_reasoning else _PLAIN, policy.local.sampling.max_tokens)
    wanted = policy.answer_tokens
    if wanted is None:
        return own
    if policy.answer_tokens_tighten and server.max_tokens is not None:
        wanted = min(wanted, server.max_tokens)
    return max(own, wanted) if is_reasoning else wanted


def reasons(server: Server, environment: Environment) -> bool:
    """Whether the model thinks before it answers: by its name, or by an earlier reply's token counts."""
    if reasons_by_name(server.model):
        return True
    return Ledger(environment.state_folder).has_reasoned(origin_of(server.base_url), server.model)
