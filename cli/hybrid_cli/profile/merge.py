"""Merging layers: how each key's values become one, and which layer's word it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.layers import Layer
from hybrid_cli.profile.schema import Profile

Word = tuple[str, Any]
"""A layer's name and what it says of one key."""
Rule = Callable[[Sequence[Word]], Word]
"""From the words of the layers that speak, weakest first, the value that holds and whose word it is."""


def _last(words: Sequence[Word]) -> Word:
    return words[-1]


def _least(words: Sequence[Word]) -> Word:
    return min(words, key=lambda word: (word[1], word[0] == BUILT_IN))


def _greatest(words: Sequence[Word]) -> Word:
    return max(words, key=lambda word: word[1])


def _first_that_says(strict: str) -> Rule:
    return lambda words: next((word for word in words if word[1] == strict), words[-1])


def _together(words: Sequence[Word]) -> Word:
    """All that any layer names, in the order of the first to name it."""
    return _names(words), list(dict.fromkeys(item for _, word in words for item in word))


def _common(words: Sequence[Word]) -> Word:
    """What every layer that speaks allows."""
    first, *others = [word for _, word in words]
    return _names(words), [item for item in first if all(item in other for other in others)]


def _each_layers(words: Sequence[Word]) -> Word:
    """The rules of every layer, each with its layer: the first match of each layer counts."""
    return _names(words), [{"layer": layer, **rule} for layer, rules in words for rule in rules]


def _names(words: Sequence[Word]) -> str:
    return ", ".join(layer for layer, _ in words)


def strictest(words: Sequence[Word]) -> Word:
    """The layer and the mode that hold.

    Forbid beats ask, ask beats auto and force; between auto and force the later layer's word holds.
    Raises Failure (DENIED) where one layer forces and another forbids: never a quiet local answer.
    """
    forbidding = [layer for layer, mode in words if mode == "forbid"]
    forcing = [layer for layer, mode in words if mode == "force"]
    if forbidding and forcing:
        raise Failure(
            ExitStatus.DENIED, f"{forcing[-1]} forces the cloud, but {forbidding[0]} forbids escalation"
        )
    if forbidding:
        return forbidding[0], "forbid"
    return next((word for word in words if word[1] == "ask"), words[-1])


RULES: dict[str, Rule] = {
    "local.model": _last,
    "local.context": _last,
    "local.threads": _last,
    "local.prefix_cache": _least,
    "local.sampling.temperature": _last,
    "local.sampling.max_tokens": _last,
    "local.sampling.seed": _last,
    "local.sampling.repeat_penalty": _last,
    "cloud": _last,  # whole, so that a key never meets the origin of another layer
    "escalation.mode": strictest,
    "escalation.target": _last,
    "escalation.rules": _each_layers,
    "escalation.on_denied": _first_that_says("fail"),
    "escalation.on_cloud_failure": _first_that_says("fail"),
    "escalation.handoff_tool": _last,
    "escalation.shadow": _least,
    "escalation.require_enforcement": _greatest,
    "privacy.redact": _together,
    "privacy.on_secret": _first_that_says("forbid"),
    "privacy.country": _last,
    "privacy.scanner": _last,  # a command, so it is never an untrusted project's word
    "limits.seconds": _least,
    "limits.usd_per_run": _least,
    "limits.usd_per_day": _least,
    "limits.usd_per_month": _least,
    "limits.calls_per_run": _least,
    "limits.calls_per_day": _least,
    "limits.calls_per_month": _least,
    "limits.of_profile.usd_per_day": _least,
    "limits.of_profile.usd_per_month": _least,
    "limits.of_profile.calls_per_day": _least,
    "limits.of_profile.calls_per_month": _least,
    "limits.tools": _common,
    "checks.schema": _last,
    "checks.verify": _last,
    "log.prompts": _least,
}
"""How each key merges. A key that the last layer sets can loosen: an untrusted project may not set it."""

_LOOSENING: dict[str, Callable[[Any], Any]] = {
    "escalation.mode": lambda mode: mode if mode == "force" else None,
    "escalation.rules": lambda rules: [rule for rule in rules if rule["then"] == "force"],
}
"""Of the keys that tighten, the part of a word that loosens all the same."""

BUILT_IN = "the built-in default"


@dataclass
class Value:
    """One effective value, the layer it came from, and what other layers said in vain."""

    value: Any
    layer: str = BUILT_IN
    refused: list[str] = field(default_factory=list)


def merge(layers: Sequence[Layer], *, project_is_trusted: bool) -> dict[str, Value]:
    """Every key's effective value under `layers`, weakest first.

    Raises Failure (DENIED) where one layer forces the cloud and another forbids it.
    """
    defaults = msgspec.to_builtins(Profile(version=1))
    values = {}
    for key, rule in RULES.items():
        default = lookup(defaults, key)
        words, refused = _words(key, default, layers, trusted=project_is_trusted)
        values[key] = Value(default, refused=refused)
        if words:
            names, value = rule(words)
            lost = [
                f"{layer}: {_shown(word)}"
                for layer, word in words
                if layer not in (BUILT_IN, *names.split(", ")) and word != value
            ]
            values[key] = Value(value, names, refused + lost)
    return values


def as_profile(values: dict[str, Value]) -> Profile:
    """The effective values as one typed profile."""
    data: dict[str, Any] = {"version": 1}
    for key, value in values.items():
        *parents, last = key.split(".")
        section = data
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value.value
    rules = data["escalation"]["rules"]
    data["escalation"]["rules"] = [{"when": rule["when"], "then": rule["then"]} for rule in rules]
    try:
        return msgspec.convert(data, Profile)
    except msgspec.ValidationError as error:  # of a flag: files were checked when they were read
        raise Failure(ExitStatus.USAGE, f"{error}") from None


def needing_trust(layer: Layer) -> list[str]:
    """The keys of `layer` that a file nobody vouched for may not set."""
    return [key for key in RULES if _loosening(key, lookup(layer.data, key))]


def _words(key: str, default: Any, layers: Sequence[Layer], *, trusted: bool) -> tuple[list[Word], list[str]]:
    """What the layers say of `key`, and what of it an untrusted project's file may not say.

    Where that file alone speaks it still meets the default: it may tighten that, too, but not replace it.
    """
    words: list[Word] = []
    refused: list[str] = []
    vouched_for = False
    for layer in layers:
        word = lookup(layer.data, key)
        if layer.is_project and not trusted and (loosening := _loosening(key, word)):
            refused.append(f"{layer.name} is not trusted: {_shown(loosening)}")
            tightening = key in _LOOSENING and isinstance(word, list)
            word = [item for item in word if item not in loosening] if tightening else None
        if word is not None:
            words.append((layer.name, word))
            vouched_for |= trusted or not layer.is_project
    if words and not vouched_for and default is not None:
        words.insert(0, (BUILT_IN, default))
    return words, refused


def _loosening(key: str, word: Any) -> Any:
    """The part of `word` that could loosen a policy; None or empty where it only tightens."""
    if word is None or RULES[key] is _last:
        return word
    return _LOOSENING[key](word) if key in _LOOSENING else None


def lookup(data: Any, key: str) -> Any:
    """What is at the dotted `key`; None where nothing is."""
    for part in key.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _shown(word: Any) -> str:
    return word["base_url"] if isinstance(word, dict) and "base_url" in word else str(word)
