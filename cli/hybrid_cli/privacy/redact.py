"""Replace values with placeholders in a request, and restore them in the answer.

A placeholder looks like `[[EMAIL_1_x7k2mq]]`. Its suffix is random in each request, so that no prompt can
contain one in advance. Equal values share a placeholder. The values are kept in memory only.
"""

from __future__ import annotations

import json
import re
import secrets
import string
from collections import Counter
from collections.abc import Sequence

from hybrid_cli.privacy.json_place import JsonPlace
from hybrid_cli.privacy.sensitive_span import SensitiveSpan

NOTICE = (
    "Tokens of the form [[KIND_NUMBER_{suffix}]] stand for values that were taken out."
    " Where you need one, write its token exactly as it is."
)
"""System message that is sent with a redacted prompt."""

_LETTERS = string.ascii_lowercase + string.digits
_MAY_BEGIN = re.compile(r"\[(?:\[[A-Za-z0-9_]{0,40}\]?)?\Z")


class Vault:
    """The values redacted in one request, and their placeholders."""

    def __init__(self, texts: Sequence[str]) -> None:
        """`texts` are all texts of the request; the suffix occurs in none of them."""
        self.suffix = _random_suffix()
        while any(self.suffix in text for text in texts):
            self.suffix = _random_suffix()
        self.counts: Counter[str] = Counter()
        """Number of redacted places by kind."""
        self._placeholders: dict[tuple[str, str], str] = {}
        self._values: dict[str, str] = {}

    def redact(self, text: str, spans: Sequence[SensitiveSpan]) -> str:
        """`text` with placeholders in place of `spans`, which must be in order and not overlap."""
        pieces = []
        end = 0
        for span in spans:
            self.counts[span.kind] += 1
            pieces += [
                text[end : span.start],
                self._placeholder(span.kind, text[span.start : span.end]),
            ]
            end = span.end
        return "".join([*pieces, text[end:]])

    def _placeholder(self, kind: str, value: str) -> str:
        known = self._placeholders.get((kind, value))
        if known is not None:
            return known
        number = 1 + sum(other == kind for other, _ in self._placeholders)
        placeholder = f"[[{kind.upper()}_{number}_{self.suffix}]]"
        self._placeholders[kind, value] = placeholder
        self._values[placeholder] = value
        return placeholder

    def value_of(self, placeholder: str) -> str | None:
        """The value behind `placeholder`, or None if this vault did not make it."""
        return self._values.get(placeholder)

    def placeholders(self) -> frozenset[str]:
        """All placeholders that were used."""
        return frozenset(self._values)


def _random_suffix() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(6))


class Restorer:
    """Restores the values in an answer that arrives in pieces, which may split a placeholder."""

    def __init__(self, vault: Vault, *, is_json: bool = False) -> None:
        """`is_json`: the answer must be JSON, so that each value in it is escaped, whatever it begins with."""
        self._vault = vault
        self._place = JsonPlace(is_json=is_json)
        self._whole = re.compile(rf"\[\[[A-Z]+_\d+_{vault.suffix}\]\]")
        self._held = ""
        self._seen: set[str] = set()
        self.invented = 0
        """Placeholders in the answer that were never sent."""

    def feed(self, piece: str) -> str:
        """The text that can be shown after `piece`. A possible beginning of a placeholder is held back."""
        text = self._held + piece
        matches = list(self._whole.finditer(text))
        end = matches[-1].end() if matches else 0
        begun = _MAY_BEGIN.search(text, max(end, len(text) - 48))
        cut = begun.start() if begun else len(text)
        self._held = text[cut:]
        pieces = []
        end = 0
        for match in matches:
            pieces += [self._read(text[end : match.start()]), self._restore(match)]
            end = match.end()
        return "".join([*pieces, self._read(text[end:cut])])

    def _read(self, text: str) -> str:
        self._place.read(text)
        return text

    def finish(self) -> str:
        """The text that was held back, at the end of the answer."""
        held, self._held = self._held, ""
        return held

    @property
    def lost(self) -> int:
        """Number of placeholders that were sent and are not in the answer."""
        return len(self._vault.placeholders() - self._seen)

    def _restore(self, match: re.Match[str]) -> str:
        value = self._vault.value_of(match[0])
        if value is None:
            self.invented += 1
            return match[0]
        self._seen.add(match[0])
        return json.dumps(value, ensure_ascii=False)[1:-1] if self._place.in_string else value
