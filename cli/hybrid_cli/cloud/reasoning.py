"""Names of models that reason before they answer."""

from __future__ import annotations

import re

_REASONING_MODELS = re.compile(
    r"(?:^|[/:])(?:o[134](?:-|$)|gpt-5(?!\S*chat)|gpt-oss|codex|deepseek-r|deepseek-reasoner|qwq|qwen3(?!\S*instruct)"
    r"|gemini-(?:2\.5|[3-9])|grok-(?:3-mini|[4-9])|magistral|claude-(?:opus|sonnet|haiku)-[4-9]|claude-3-7|glm-4\.[5-9]"
    r"|minimax-m|kimi-k2-thinking)|thinking|reasoning",
    re.IGNORECASE,
)


def reasons_by_name(model: str) -> bool:
    """Whether the model called `model` reasons before it answers, as its maker's documentation says."""
    return _REASONING_MODELS.search(model) is not None
