"""Switch a model's thinking on and off: by its chat template's variables, and by a budget of tokens.

To add a family with another variable, add a row to `SWITCHES`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Union

from hybrid_cli.local.stream import AnswerStream

Thinking = Union[int, Literal["auto", "on", "off"], None]  # noqa: UP007  msgspec evaluates it, also on Python 3.10
"""`auto`: what the template does by itself; a number: think for so many tokens at most; `off`: for none.

None: `off` where the template has a switch for it, since such a model is trained to answer without; else `auto`.
"""


@dataclass(frozen=True)
class Switch:
    """A variable of chat templates."""

    variable: str
    off: tuple[Any, ...]
    """The values for no thinking, the best first. Among texts, the first that the template names, else the last."""
    on: Any = None
    """The value for thinking; None leaves it to the template."""
    is_budget: bool = False
    """Whether the value may be the budget itself."""


SWITCHES = (
    Switch("enable_thinking", (False,), True),  # Qwen3, GLM, Gemma 4, SmolLM3, Nemotron, EXAONE, Apertus
    Switch("thinking", (False,), True),  # Granite, DeepSeek V3.1, Kimi K2.5
    Switch("reasoning", (False,), True),  # Command A Reasoning
    Switch("thinking_budget", (0,), is_budget=True),  # Seed-OSS
    Switch("reasoning_effort", ("none", "minimal", "low"), "high"),  # gpt-oss, Mistral, Solar
)


def switch_variables(template: str, thinking: Thinking) -> dict[str, Any]:
    """Return the variables that switch thinking in the chat `template`, with their values."""
    if thinking == "auto":
        return {}
    found: dict[str, Any] = {}
    for switch in SWITCHES:
        # Not the field of a message, and not a text: `message.thinking`, "thinking".
        if re.search(rf"(?<![.\w'\"]){switch.variable}\b(?!['\"])", template):
            value = _value(switch, template, thinking)
            if value is not None:
                found[switch.variable] = value
    return found


def _value(switch: Switch, template: str, thinking: Thinking) -> Any:
    named = [
        one for one in switch.off if not isinstance(one, str) or re.search(rf"['\"]{one}['\"]", template)
    ]
    if thinking is None:
        return named[0] if named and (named[0] == "none" or not isinstance(named[0], str)) else None
    if budget_of(thinking) == 0:
        return named[0] if named else switch.off[-1]
    if switch.is_budget:
        return thinking if isinstance(thinking, int) else None
    return switch.on if named else None  # a template without a value for none always thinks


def budget_of(thinking: Thinking) -> int | None:
    """Return the most tokens of thinking; None for any number. `off` holds for a template without a switch, too."""
    return 0 if thinking == "off" else thinking if isinstance(thinking, int) else None


class ThinkingBudget:
    """Ends the thinking of one sequence after `limit` tokens: the tokens that close it are forced."""

    def __init__(self, limit: int | None, encode: Callable[[str], list[int]]) -> None:
        self._limit = limit
        self._encode = encode
        self._spent = 0
        self._forced: deque[int] = deque()

    def forced_token(self, stream: AnswerStream) -> int | None:
        """Return the next token if it is not the model's choice. Call it once for each token."""
        if not self._forced and self._limit is not None and not stream.answering:
            if self._spent >= self._limit:
                self._close(stream)
            self._spent += 1
        return self._forced.popleft() if self._forced else None

    def token_for_end(self, stream: AnswerStream) -> int | None:
        """Return the token in place of one that ends the answer; None unless the model thinks under a limit.

        It has thought, and answered nothing.
        """
        if self._limit is not None and not stream.answering:
            self._close(stream)
        return self._forced.popleft() if self._forced else None

    def _close(self, stream: AnswerStream) -> None:
        closing = stream.closing()
        self._forced.extend(self._encode(closing) if closing is not None else ())
