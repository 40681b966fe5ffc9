"""Recognise refusals: answers in which the model declines the request."""

from __future__ import annotations

import re

_MAX_LENGTH = 400
"""Characters. A longer answer says more than a refusal."""

_REFUSAL = re.compile(
    r"""
    \s*(?:i['’]?m|i\ am|we\ are|my)?\s*(?:very\ |so\ |truly\ )?(?:sorry|apologies|apologi[sz]e|afraid)\b
        .{0,60}\b(?:can(?:no|['’])t|not\ able|unable|don['’]t\ have|do\ not\ have|not\ possible)\b
    |\s*(?:i['’]?m|i\ am|we\ are)\ (?:very\ |so\ |truly\ )?sorry\b
        .{0,250}\b(?:i|we)(?:['’]m|\ am|['’]re|\ are)?\ (?:can(?:no|['’])t|not\ able|unable)\b
    |\s*(?:unfortunately,?\ )?(?:i|we)\ (?:can(?:no|['’])t|can\ not|am\ not\ able|['’]?m\ not\ able|am\ unable|do\ not\ know|don['’]t\ know
        |won['’]t|will\ not)\b
    |\s*i['’]m\ (?:not\ able|unable)\b
    |\s*as\ an?\ (?:ai|artificial|language|large\ language|digital)\b
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def is_refusal(answer: str) -> bool:
    """Whether `answer` begins with a refusal and says little else."""
    return len(answer) <= _MAX_LENGTH and _REFUSAL.match(answer) is not None
