"""The most tokens that a cloud may write. Models that reason need more, because their thinking counts."""

from __future__ import annotations

import re

from hybrid_cli.ledger.database import Ledger
from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment

_REASONING, _PLAIN = 8192, 2048
_REASONING_MODELS = re.compile(
    r"(?:^|[/:])(?:o[134](?:-|$)|gpt-5(?!\S*chat)|gpt-oss|codex|deepseek-r|deepseek-reasoner|qwq|qwen3(?!\S*instruct)"
    r"|gemini-(?:2\.5|[3-9])|grok-(?:3-mini|[4-9])|magistral|claude-(?:opus|sonnet|haiku)-[4-9]|claude-3-7|glm-4\.[5-9]"
    r"|minimax-m|kimi-k2-thinking)|thinking|reasoning",
    re.IGNORECASE,
)
"""Names of models that reason before they answer, as their makers' documentation says."""


def answer_limit(server: Server, policy: Policy, environment: Environment) -> int:
    """The most tokens that `server` may use for an answer, thinking included.

    It is `cloud.max_tokens`, or a default that is larger for models that reason. --max-tokens limits the answer, but
    not the thinking before it.
    """
    is_reasoning = reasons(server, environment)
    own = server.max_tokens or max(_REASONING if is_reasoning else _PLAIN, policy.local.sampling.max_tokens)
    if policy.answer_tokens is None:
        return own
    return max(own, policy.answer_tokens) if is_reasoning else policy.answer_tokens


def reasons(server: Server, environment: Environment) -> bool:
    """Whether the model thinks before it answers: by its name, or by an earlier reply's token counts."""
    if _REASONING_MODELS.search(server.model):
        return True
    return Ledger(environment.state_folder).has_reasoned(origin_of(server.base_url), server.model)
