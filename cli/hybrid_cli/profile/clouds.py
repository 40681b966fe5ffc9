"""The clouds known by name: `cloud: {use: groq, model: ...}`, or `--cloud groq`.

Base URL and key variable are as each maker's documentation gives them. Where a cloud's API differs from the common
form, `cloud.payload.DIALECTS` has a row for its origin.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from hybrid_cli.ui.suggest import nearest

CloudName = Literal[
    "openai",
    "openrouter",
    "groq",
    "deepseek",
    "mistral",
    "gemini",
    "anthropic",
    "ollama",
    "lmstudio",
    "llamacpp",
    "vllm",
]


class KnownCloud(NamedTuple):
    """A cloud's URL, and the variable with its key; None for a server that needs none."""

    base_url: str
    key: str | None = None


CLOUDS: dict[str, KnownCloud] = {
    "openai": KnownCloud("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "openrouter": KnownCloud("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "groq": KnownCloud("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "deepseek": KnownCloud("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "mistral": KnownCloud("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "gemini": KnownCloud("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "anthropic": KnownCloud("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "ollama": KnownCloud("http://localhost:11434/v1"),
    "lmstudio": KnownCloud("http://localhost:1234/v1"),
    "llamacpp": KnownCloud("http://localhost:8080/v1"),
    "vllm": KnownCloud("http://localhost:8000/v1"),
}


def unknown_cloud(name: str) -> str | None:
    """Why `name` is no cloud, with the nearest one; None for a known name and for what may be a URL."""
    if name in CLOUDS or not re.fullmatch(r"[\w-]+", name):
        return None
    close = nearest(name, CLOUDS)
    guess = f"did you mean `{close}`?" if close else f"known: {', '.join(CLOUDS)}; or give the URL"
    return f"no known cloud is named `{name}`; {guess}"


_HOSTED_ONLY = re.compile(
    r"(?:[\w-]+/)?(?:(?:chat)?gpt-(?!oss)|o[134](?:-|$)|claude-|gemini-|grok-|deepseek-(?:chat|reasoner)"
    r"|mistral-(?:large|medium)|command-)\S*"
)


def is_cloud_model(name: str) -> bool:
    """Whether `name` is one of a model that only clouds have, so that it cannot be a local one."""
    return _HOSTED_ONLY.fullmatch(name) is not None
