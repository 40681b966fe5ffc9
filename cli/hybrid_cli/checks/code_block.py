"""Code in an answer without the Markdown round it."""

from __future__ import annotations

import re
import textwrap

_MARK = r"(?P<fence>`{3,}(?!`)|~{3,}(?!~))"
_FENCE = re.compile(rf"^[ \t]*{_MARK}[^\n`]*\n(?P<code>.*?)(?:^[ \t]*(?P=fence)[`~]*[ \t]*$|\Z)", re.M | re.S)
_ONLY_FENCE = re.compile(
    rf"\s*{_MARK}[^\n`]*\n(?P<code>(?:(?!^[ \t]*(?P=fence)).*\n)*?)[ \t]*(?P=fence)\s*", re.M
)
_INLINE = re.compile(r"\s*`([^`\n]+)`\s*")
_BARE = re.compile(
    r"\b(?:only|just|nothing (?:else|but)|no (?:explanations?|prose|markdown|fences?|backticks|comments?)"
    r"|without (?:any )?(?:explanations?|prose|markdown|fences?|backticks))\b",
    re.IGNORECASE,
)


def first_code_block(answer: str) -> str:
    """Return the first fenced block of `answer`, without its fence; the whole answer if it has none."""
    answer = answer.replace("\r\n", "\n")
    found = _FENCE.search(answer)
    return textwrap.dedent(found["code"]).rstrip("\n") if found is not None else _without_backticks(answer)


def unfenced(answer: str, prompt: str) -> str:
    """Return `answer` without the one fence round all of it, if `prompt` asks for nothing but the answer."""
    if _BARE.search(prompt) is None:
        return answer
    found = _ONLY_FENCE.fullmatch(answer)
    return found["code"].rstrip("\n") if found is not None else _without_backticks(answer)


def _without_backticks(answer: str) -> str:
    found = _INLINE.fullmatch(answer)
    return answer if found is None else found[1]
