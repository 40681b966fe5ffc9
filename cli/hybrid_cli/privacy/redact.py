"""Placeholders instead of values on the way out, and the values again on the way back.

A placeholder looks like `[[EMAIL_1_x7k2]]`. Its suffix is drawn for each run, so that no prompt can hold
one beforehand; the same value has the same placeholder. The map lives in memory only.
"""

from __future__ import annotations

import re
import secrets
import string
from collections import Counter
from collections.abc import Sequence

from hybrid_cli.privacy.scan import Finding

NOTICE = (
    "Tokens of the form [[KIND_NUMBER_{suffix}]] stand for values that were taken out."
    " Where you need one, write its token exactly as it is."
)
"""Told to the cloud's model beside a redacted prompt."""

_LETTERS = string.ascii_lowercase + string.digits
_MAY_BEGIN = re.compile(r"\[(?:\[[A-Za-z0-9_]{0,40}\]?)?\Z")


class Vault:
    """The values taken out of one request."""

    def __init__(self, texts: Sequence[str]) -> None:
        """`texts` are all that will be redacted: the suffix is one that none of them holds."""
        self.suffix = _draw()
        while any(self.suffix in text for text in texts):
            self.suffix = _draw()
        self.counts: Counter[str] = Counter()
        """How many places were redacted, by kind."""
        self._placeholders: dict[tuple[str, str], str] = {}
        self._values: dict[str, str] = {}

    def redact(self, text: str, findings: Sequence[Finding]) -> str:
        """`text` with each of `findings`, which are in order and do not overlap, replaced."""
        pieces = []
        end = 0
        for finding in findings:
            self.counts[finding.kind] += 1
            pieces += [
                text[end : finding.start],
                self._placeholder(finding.kind, text[finding.start : finding.end]),
            ]
            end = finding.end
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
        return self._values.get(placeholder)

    def placeholders(self) -> frozenset[str]:
        return frozenset(self._values)


def _draw() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(6))


class Restorer:
    """Puts the values back into an answer that comes in pieces, wherever those are cut."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._whole = re.compile(rf"\[\[[A-Z]+_\d+_{vault.suffix}\]\]")
        self._held = ""
        self._seen: set[str] = set()
        self.invented = 0
        """Placeholders in the answer that stand for nothing."""

    def feed(self, piece: str) -> str:
        """What may be shown now. The beginning of what could be a placeholder is held back."""
        text = self._held + piece
        matches = list(self._whole.finditer(text))
        end = matches[-1].end() if matches else 0
        begun = _MAY_BEGIN.search(text, max(end, len(text) - 48))
        cut = begun.start() if begun else len(text)
        self._held = text[cut:]
        return self._whole.sub(self._restore, text[:cut])

    def finish(self) -> str:
        """What was held back until the end."""
        held, self._held = self._held, ""
        return held

    @property
    def lost(self) -> int:
        """Placeholders that were sent and did not come back."""
        return len(self._vault.placeholders() - self._seen)

    def _restore(self, match: re.Match[str]) -> str:
        value = self._vault.value_of(match[0])
        if value is None:
            self.invented += 1
            return match[0]
        self._seen.add(match[0])
        return value
