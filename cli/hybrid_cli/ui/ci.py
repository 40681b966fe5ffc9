"""CI runners: whether one reads what is written, and what it would take as its commands."""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLES = ("CI", "GITHUB_ACTIONS", "TF_BUILD")
# `::` counts where a line begins with it, the others (`##vso[`, `##[`, `##teamcity[`) anywhere in a line
_COMMAND = re.compile(r"(?:^|\r)\s*(?=::)|#(?=#\w*\[)", re.MULTILINE)


def runs_in_ci(variables: Mapping[str, str]) -> bool:
    """Whether nobody is there but a CI runner."""
    return any(variables.get(name) for name in _VARIABLES)


def without_runner_commands(text: str) -> str:
    """`text` whose lines no runner takes as commands (`::error::`, `##vso[...]`): a backslash breaks them."""
    return _COMMAND.sub(r"\g<0>\\", text)
