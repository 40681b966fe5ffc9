"""Put an answer's text together from its pieces: halves of characters, and the messages of one response."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_NOT_THE_ANSWER = ("commentary", "analysis")
"""Phases and channels of messages in which a model talks to itself or says what it will do."""
_HALF_CHARACTER = re.compile("[\ud800-\udbff]\\Z")
"""The first half of a character that JSON writes as a surrogate pair."""
_BETWEEN_MESSAGES = "\n\n"


class AnswerText:
    """Passes on the answer's text as soon as it is known to belong to the answer."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self.value = ""
        """The text that was passed on."""
        self._on_text = on_text
        self._half = ""
        self._is_of_messages = False
        """Whether the text began with a message: `add_message`."""
        self._parts: dict[int, dict[int, str]] = {}
        """The texts of the messages that are not passed on yet, or only in part, by index and part."""
        self._passed: dict[int, int] = {}
        """Characters of each message that were passed on."""
        self._is_answer: dict[int, bool] = {}
        """Whether a message belongs to the answer, where the server said so."""

    def add(self, text: str) -> None:
        """Pass on `text`, which belongs to the answer. Half a character waits for its other half."""
        text = self._half + text
        half = _HALF_CHARACTER.search(text)
        self._half = half[0] if half else ""
        self._emit(text.removesuffix(self._half))

    def add_message(self, text: str) -> None:
        """Add the rest of a whole message after its pieces, or all of a message that is itself a piece."""
        if text and not self.value:
            self._is_of_messages = True
        self.add(text if self._is_of_messages else _rest(text, self.value))

    def _emit(self, text: str) -> None:
        if text:
            text = valid(text)
            self.value += text
            self._on_text(text)

    def announce(self, message: int, item: Mapping[str, Any]) -> None:
        """Note whether the item with the index `message` belongs to the answer."""
        if item.get("type", "message") == "message":
            self._is_answer[message] = is_answer(item)
            self._pass_on(message)

    def add_to(self, message: int, part: int, text: str) -> None:
        """Add a piece to a part of a message."""
        parts = self._parts.setdefault(message, {})
        parts[part] = parts.get(part, "") + text
        self._pass_on(message)

    def complete(self, message: int, part: int, text: str) -> None:
        """Add what is missing of a part whose whole text is `text`."""
        self.add_to(message, part, _rest(text, self._parts.get(message, {}).get(part, "")))

    def complete_message(self, message: int, text: str) -> None:
        """Add what is missing of a message whose whole text is `text`."""
        part = max(self._parts.get(message, {0: ""}))
        self.add_to(message, part, _rest(text, self._text_of(message)))

    def _text_of(self, message: int) -> str:
        return "".join(text for _, text in sorted(self._parts.get(message, {}).items()))

    def _pass_on(self, message: int) -> None:
        """Pass on what is new of a message that belongs to the answer; the others wait for the end."""
        text = self._text_of(message)
        passed = self._passed.get(message, 0)
        if not self._is_answer.get(message) or len(text) == passed:
            return
        is_next = not passed and self.value
        self._passed[message] = len(text)
        self.add((_BETWEEN_MESSAGES if is_next else "") + text[passed:])

    def end(self, whole: str = "") -> None:
        """Pass on the rest of the answer: that of `whole`, which the server sent last, or else what waited."""
        if whole:
            self.add(_rest(valid(whole), self.value))
        if not self.value:
            for message in sorted(self._parts):
                self._is_answer.setdefault(message, True)
                self._pass_on(message)
        self._emit(self._half)
        self._half = ""


def is_answer(item: Mapping[str, Any]) -> bool:
    """Whether a message belongs to the answer, by its phase or channel."""
    return not {item.get("phase"), item.get("channel")} & set(_NOT_THE_ANSWER)


def joined(messages: list[str]) -> str:
    """The answer of several messages: a blank line between two of them."""
    return _BETWEEN_MESSAGES.join(message for message in messages if message)


def _rest(whole: str, begun: str) -> str:
    return whole.removeprefix(begun) if whole.startswith(begun) else ""


def valid(text: str) -> str:
    """`text` with surrogate pairs joined, and without lone surrogates, which UTF-8 cannot hold."""
    pairs_joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return pairs_joined.encode(errors="replace").decode()
