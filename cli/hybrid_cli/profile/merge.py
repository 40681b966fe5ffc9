"""Merging layers: how each key's values become one, and which layer's word it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.layers import Layer
from hybrid_cli.profile.schema import Mode, Profile

Rule = Literal["strictest mode", "least", "fail wins", "last"]

RULES: dict[str, Rule] = {
    "local.model": "last",
    "local.context": "last",
    "local.threads": "last",
    "local.sampling.temperature": "last",
    "local.sampling.max_tokens": "last",
    "local.sampling.seed": "last",
    "local.sampling.repeat_penalty": "last",
    "cloud": "last",  # whole, so that a key never meets the origin of another layer
    "escalation.mode": "strictest mode",
    "escalation.target.threshold": "last",
    "escalation.on_denied": "fail wins",
    "escalation.on_cloud_failure": "last",
    "limits.seconds": "least",
}
"""How each key merges. "last" keys can loosen: a project's file may set them only if it is trusted."""

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
    return {
        key: _merge_key(key, rule, _lookup(defaults, key), layers, project_is_trusted)
        for key, rule in RULES.items()
    }


def as_profile(values: dict[str, Value]) -> Profile:
    """The effective values as one typed profile."""
    data: dict[str, Any] = {"version": 1}
    for key, value in values.items():
        *parents, last = key.split(".")
        section = data
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value.value
    return msgspec.convert(data, Profile)


def needing_trust(layer: Layer) -> list[str]:
    """The keys of `layer` that a file nobody vouched for may not set."""
    return [key for key, rule in RULES.items() if rule == "last" and _lookup(layer.data, key) is not None]


def _lookup(data: Any, key: str) -> Any:
    for part in key.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _merge_key(key: str, rule: Rule, default: Any, layers: Sequence[Layer], trusted: bool) -> Value:
    words: list[tuple[str, Any]] = []
    refused: list[str] = []
    for layer in layers:
        word = _lookup(layer.data, key)
        if word is None:
            continue
        if rule == "last" and layer.is_project and not trusted:
            refused.append(f"{layer.name} is not trusted: {_shown(word)}")
        else:
            words.append((layer.name, word))
    if not words:
        return Value(default, refused=refused)
    winner, value = _winner(rule, words)
    refused += [f"{layer}: {_shown(word)}" for layer, word in words if layer != winner and word != value]
    return Value(value, winner, refused)


def _shown(word: Any) -> str:
    return word["base_url"] if isinstance(word, dict) else str(word)


def _winner(rule: Rule, words: list[tuple[str, Any]]) -> tuple[str, Any]:
    if rule == "strictest mode":
        mode, layer = strictest(words)
        return layer, mode
    if rule == "least":
        return min(words, key=lambda word: word[1])
    if rule == "fail wins":
        return next((word for word in words if word[1] == "fail"), words[-1])
    return words[-1]


def strictest(words: Sequence[tuple[str, Mode]]) -> tuple[Mode, str]:
    """Of `words` (layer and mode, weakest layer first), the mode that holds and the layer that set it.

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
        return "forbid", forbidding[0]
    for layer, mode in words:
        if mode == "ask":
            return mode, layer
    layer, mode = words[-1]
    return mode, layer
