"""The profile's rules applied to one prompt: its facts, and the policy under the ruling."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from hybrid_cli.cloud.payload import sent_forms
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.privacy.readable_text import readable_forms, readable_patterns, with_plain_letters
from hybrid_cli.privacy.visible_text import visible
from hybrid_cli.profile.patterns import compiled
from hybrid_cli.profile.policy import Policy
from hybrid_cli.profile.rules import Ruling, folded_tag, rule_on
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import shorten
from hybrid_cli.ui.suggest import nearest

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

    def matches(self, pattern: str) -> bool:
        """Return whether any text that could leave matches, as written or as a reader sees it.

        Each is searched alone and the messages together, so that `^` and `$` hold for each.
        """
        if any(map(compiled(pattern).search, self._texts)):
            return True
        return any(any(map(readable.search, self._readable_texts)) for readable in readable_patterns(pattern))

    @cached_property
    def _texts(self) -> list[str]:
        request, question = self.request, self.request.question
        messages = (self.text, question.prompt, question.context, request.system, request.tool_argument)
        schema = [] if request.schema is None else sent_forms(request.schema.data)
        files = [file.name for file in question.files]
        earlier = [turn.content for turn in request.history]
        parts = [text for parts in request.message_parts() for _name, text in parts]
        texts = (*messages, *parts, *files, *earlier, *schema, *request.stop, *request.choices)
        return list(dict.fromkeys(text for text in texts if text))

    @cached_property
    def _readable_texts(self) -> list[str]:
        return list(dict.fromkeys(form for text in self._texts for form in readable_forms(text)))

    def language(self) -> str:
        """Return the code of the likeliest language; a guess for texts of a few words."""
        import py3langid

        code: str = py3langid.classify(unicodedata.normalize("NFC", visible(self.text)[0]))[0]
        return code

    def has_secret(self) -> bool:
        from hybrid_cli.privacy.scan import find

        return any(find(text, ["secret"]) for text in (*self._texts, *self.request.unsent))


def known_tags(given: Iterable[str], policy: Policy, environment: Environment) -> frozenset[str]:
    """Return `given` as rules compare it, split at commas. A note names tags that no rule knows.

    Raises Failure (USAGE) for a tag that looks like a mistyped one: a rule that protects must not miss it.
    """
    words = [tag for word in given for tag in word.split(",") if tag.strip()]
    known = {folded_tag(tag) for _, rule in policy.rules for tag in rule.when.tags or ()}
    tags = frozenset(_as_known(tag, known) for tag in words)
    for tag in sorted(tags - known):
        close = nearest(tag, known)
        if close is not None:
            raise Failure(
                ExitStatus.USAGE, f"--tag: no rule uses `{shorten(tag)}`; did you mean `{shorten(close)}`?"
            )
        environment.note(f"no rule of the profile uses the tag `{shorten(tag)}`")
    return tags


def _as_known(tag: str, known: Collection[str]) -> str:
    """Return `tag` as rules compare it; a look-alike of a known tag counts as that tag."""
    folded = folded_tag(tag)
    looks = folded_tag(with_plain_letters(folded))
    return looks if looks in known and folded not in known else folded


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
