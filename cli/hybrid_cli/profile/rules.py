"""Rules: features of a prompt that decide before any model runs."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hybrid_cli.profile.languages import codes_of
from hybrid_cli.profile.schema import Rule, When

_STRICTEST_FIRST = ("forbid", "local", "ask", "force")


class Facts(Protocol):
    """The features of a prompt. Slow ones are methods, so that only rules that need them pay for them."""

    @property
    def tags(self) -> frozenset[str]: ...
    @property
    def tools(self) -> frozenset[str]: ...
    def tokens(self) -> int: ...
    def matches(self, pattern: str) -> bool: ...
    def language(self) -> str: ...
    def has_secret(self) -> bool: ...


@dataclass(frozen=True)
class Ruling:
    """The decision of the rules for one prompt."""

    then: str
    rule: str
    """The rule that decided, such as: rule 2 of profile `work`."""


def rule_on(rules: Sequence[tuple[str, Rule]], facts: Facts) -> Ruling | None:
    """The ruling of `rules` (each with its layer's name, in file order), or None if no rule matches.

    In each layer the first matching rule counts; among the layers, the strictest.
    """
    matched: dict[str, Ruling] = {}
    numbers: dict[str, int] = {}
    for layer, rule in rules:
        numbers[layer] = numbers.get(layer, 0) + 1
        if layer not in matched and _holds(rule.when, facts):
            matched[layer] = Ruling(rule.then, f"rule {numbers[layer]} of {layer}")
    return min(matched.values(), key=lambda ruling: _STRICTEST_FIRST.index(ruling.then), default=None)


def folded_tag(tag: str) -> str:
    """`tag` as it is compared: without spaces around it and invisible characters, in lower case and compatible letters."""
    seen = "".join(one for one in tag if unicodedata.category(one) != "Cf")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold()).strip()


def _codes(languages: Sequence[str]) -> frozenset[str]:
    return frozenset[str]().union(*map(codes_of, languages))


def _holds(when: When, facts: Facts) -> bool:
    """Whether all conditions of `when` hold. Cheap conditions are checked first."""
    return (
        (when.tags is None or not facts.tags.isdisjoint(map(folded_tag, when.tags)))
        and (when.tools is None or not facts.tools.isdisjoint(when.tools))
        and (when.tokens_over is None or facts.tokens() > when.tokens_over)
        and (when.matches is None or facts.matches(when.matches))
        and (when.secret is None or facts.has_secret() == when.secret)
        and (when.language is None or facts.language() in _codes(when.language))
    )
