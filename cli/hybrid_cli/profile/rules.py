"""Rules: what a prompt's own features decide before any model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from hybrid_cli.profile.schema import Rule, When, quiet_options

_STRICTEST_FIRST = ("forbid", "local", "ask", "force")


class Facts(Protocol):
    """What rules may look at. What costs time is a method, called only by a rule that needs it."""

    @property
    def text(self) -> str: ...
    @property
    def tags(self) -> frozenset[str]: ...
    @property
    def tools(self) -> frozenset[str]: ...
    def tokens(self) -> int: ...
    def language(self) -> str: ...
    def has_secret(self) -> bool: ...


@dataclass(frozen=True)
class Ruling:
    """What the rules say of one prompt."""

    then: str
    words: str
    """The rule, as the user would find it: its place in its layer's list, and that layer."""


def rule_on(rules: Sequence[tuple[str, Rule]], facts: Facts) -> Ruling | None:
    """The ruling of `rules` (layer and rule, in the order of the files), or None where none matches.

    Of each layer the first rule that matches counts; of the layers, the strictest.
    """
    matched: dict[str, Ruling] = {}
    numbers: dict[str, int] = {}
    for layer, rule in rules:
        numbers[layer] = numbers.get(layer, 0) + 1
        if layer not in matched and _holds(rule.when, facts):
            matched[layer] = Ruling(rule.then, f"rule {numbers[layer]} of {layer}")
    return min(matched.values(), key=lambda ruling: _STRICTEST_FIRST.index(ruling.then), default=None)


def _holds(when: When, facts: Facts) -> bool:
    """Whether all that `when` asks for is so; the cheap questions come first."""
    return (
        (when.tags is None or not facts.tags.isdisjoint(tag.casefold() for tag in when.tags))
        and (when.tools is None or not facts.tools.isdisjoint(when.tools))
        and (when.tokens_over is None or facts.tokens() > when.tokens_over)
        and (when.matches is None or _compiled(when.matches).search(facts.text) is not None)
        and (when.secret is None or facts.has_secret() == when.secret)
        and (when.language is None or facts.language() in when.language)
    )


@cache
def _compiled(pattern: str) -> Any:
    """RE2 takes time linear in the text, whatever the pattern: no prompt can make a rule hang."""
    import re2

    return re2.compile(pattern, quiet_options())
