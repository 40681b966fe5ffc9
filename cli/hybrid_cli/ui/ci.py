"""CI runners: detect one, and keep output from containing its workflow commands."""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLES = ("CI", "GITHUB_ACTIONS", "TF_BUILD")
_UNSEEN = "\u00ad\u034f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
"""Characters that a comparison by the rules of a language ignores, as .NET's runners make it."""
# `::` is a command only at the start of a line; `##vso[`, `##[` and `##teamcity[` are commands anywhere.
_COMMAND = re.compile(
    rf"(?:^|\r)(?:(?![\r\n])[\s{_UNSEEN}])*(?=:[{_UNSEEN}]*:)|#(?=[{_UNSEEN}]*#[\w{_UNSEEN}]*\[)",
    re.MULTILINE,
)


def runs_in_ci(variables: Mapping[str, str]) -> bool:
    """Return whether the environment variables are those of a CI job."""
    return any(is_on(variables, name) for name in _VARIABLES)


def is_on(variables: Mapping[str, str], name: str) -> bool:
    """Return whether a variable that switches something on is set; `0`, `false`, `no` and `off` switch it off."""
    return variables.get(name, "").strip().casefold() not in ("", "0", "false", "no", "off")


def json_without_runner_commands(text: str) -> str:
    """Return JSON with the same value, in which no runner finds a command."""
    return re.sub(rf"#(?=[{_UNSEEN}]*#[\w{_UNSEEN}]*\[)", r"\\u0023", text)


def without_runner_commands(text: str) -> str:
    """Return `text` with a backslash inserted into each workflow command (`::error::`, `##vso[...]`)."""
    return _COMMAND.sub(r"\g<0>\\", text)
