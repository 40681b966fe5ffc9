"""Follow a text that may be JSON, to know whether its next character stands in a string."""

from __future__ import annotations

import re

_MAY_BE_JSON = re.compile(r"[\[{\s]*")
_IS_JSON = re.compile(r"[\[{\s]*[\[{]\s*\"")
_FENCE = "```"
_LONGEST_BEGINNING = 200
"""Characters. Only spaces and brackets can come before the first string of JSON."""


class JsonPlace:
    """The place that was read up to.

    JSON is recognised at the beginning of the text and after each line that begins or ends a code block.
    """

    def __init__(self, *, is_json: bool = False) -> None:
        """`is_json`: the text is known to be JSON."""
        self.in_string = False
        self._must_be = is_json
        self._is_json: bool | None = is_json or None
        """None until the beginning decides."""
        self._beginning = ""
        self._line = ""
        """The beginning of the current line."""
        self._escapes = False

    def read(self, text: str) -> None:
        """Go on by `text`."""
        for character in text:
            if self.in_string:
                self._read_in_string(character)
            else:
                self._read_outside(character)

    def _read_in_string(self, character: str) -> None:
        if self._escapes:
            self._escapes = False
        elif character == "\\":
            self._escapes = True
        elif character in '"\n':  # JSON has no line end in a string: something else was quoted
            self.in_string = False

    def _read_outside(self, character: str) -> None:
        if character == "\n":
            if self._line.lstrip().startswith(_FENCE):
                self._is_json, self._beginning = self._must_be or None, ""
            self._line = ""
        elif len(self._line) < _LONGEST_BEGINNING:
            self._line += character
        if self._is_json is None and not self._line.lstrip().startswith("`"):
            self._beginning += character
            self._decide()
        self.in_string = bool(self._is_json) and character == '"'

    def _decide(self) -> None:
        if _IS_JSON.fullmatch(self._beginning):
            self._is_json = True
        elif not _MAY_BE_JSON.fullmatch(self._beginning) or len(self._beginning) > _LONGEST_BEGINNING:
            self._is_json = False
