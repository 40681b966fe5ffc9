"""Merge layers: one value for each key, and the layer that it came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.layers import Layer
from hybrid_cli.profile.loader import REPLACED_WHOLE, names_server
from hybrid_cli.profile.schema import Profile

Setting = tuple[str, Any]
"""A layer's name and its value for one key."""
MergeRule = Callable[[Sequence[Setting]], Setting]
"""Takes the settings of one key, weakest layer first; returns the effective one."""


def _last(settings: Sequence[Setting]) -> Setting:
    return settings[-1]


def _least(settings: Sequence[Setting]) -> Setting:
    return min(settings, key=lambda setting: (setting[1], setting[0] == BUILT_IN))


def _greatest(settings: Sequence[Setting]) -> Setting:
    return max(settings, key=lambda setting: setting[1])


def _prefer(strict: str) -> MergeRule:
    """The first layer with the value `strict`, or else the last layer."""
    return lambda settings: next((setting for setting in settings if setting[1] == strict), settings[-1])


def _strictest_of(*values: str | bool) -> MergeRule:
    """The first layer with the value that comes first in `values`."""
    return lambda settings: min(settings, key=lambda setting: values.index(setting[1]))


def _union(settings: Sequence[Setting]) -> Setting:
    return _names(settings), list(dict.fromkeys(item for _, items in settings for item in items))


def _intersection(settings: Sequence[Setting]) -> Setting:
    first, *others = [items for _, items in settings]
    return _names(settings), [item for item in first if all(item in other for other in others)]


def _all_rules(settings: Sequence[Setting]) -> Setting:
    """The rules of all layers, each with its layer's name: `rule_on` needs the first match of each layer."""
    return _names(settings), [{"layer": layer, **rule} for layer, rules in settings for rule in rules]


def _names(settings: Sequence[Setting]) -> str:
    return ", ".join(layer for layer, _ in settings)


def strictest(settings: Sequence[Setting]) -> Setting:
    """The effective mode and its layer.

    Forbid beats ask; ask beats auto and force; between auto and force the later layer wins. Raises Failure
    (DENIED) if one layer forces the cloud and another forbids it: never a quiet local answer.
    """
    forbidding = [layer for layer, mode in settings if mode == "forbid"]
    forcing = [layer for layer, mode in settings if mode == "force"]
    if forbidding and forcing:
        raise Failure(
            ExitStatus.DENIED, f"{forcing[-1]} forces the cloud, but {forbidding[0]} forbids escalation"
        )
    if forbidding:
        return forbidding[0], "forbid"
    return next((setting for setting in settings if setting[1] == "ask"), settings[-1])


RULES: dict[str, MergeRule] = {
    "local.model": _last,
    "local.projector": _last,
    "local.context": _last,
    "local.threads": _last,
    "local.gpu_layers": _last,
    "local.prefix_cache": _strictest_of(False, "templates", True),
    "local.mmap_over_memory": _last,
    "local.lookup": _last,
    "local.draft": _last,
    "local.keep_alive": _last,
    "local.thinking": _last,
    "local.template.variables": _last,
    "local.sampling.temperature": _last,
    "local.sampling.max_tokens": _last,
    "local.sampling.seed": _last,
    "local.sampling.repeat_penalty": _last,
    "cloud": _last,  # whole: a key is never sent to the server of another layer
    "escalation.mode": strictest,
    "escalation.target": _last,
    "escalation.rules": _all_rules,
    "escalation.on_denied": _prefer("fail"),
    "escalation.on_cloud_failure": _prefer("fail"),
    "escalation.handoff_tool": _last,
    "escalation.samples": _last,
    "escalation.sticky": _least,
    "escalation.shadow": _least,
    "escalation.require_enforcement": _greatest,
    "privacy.redact": _union,
    "privacy.on_secret": _prefer("forbid"),
    "privacy.images": _strictest_of("forbid", "ask", "allow"),
    "privacy.country": _last,
    "privacy.scanner": _last,  # a command: never taken from an untrusted project
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
    "limits.tools": _intersection,
    "checks.schema": _last,
    "checks.verify": _last,
    "log.prompts": _least,
    "log.conversations": _last,
}
"""How each key merges. Keys with `_last` can loosen a policy, so an untrusted project cannot set them."""

_LOOSENING: dict[str, Callable[[Any], Any]] = {
    "escalation.mode": lambda mode: mode if mode == "force" else None,
    "escalation.rules": lambda rules: [rule for rule in rules if rule["then"] == "force"],
}
"""For keys that otherwise tighten: the part of a value that would loosen the policy."""

BUILT_IN = "the built-in default"


@dataclass
class EffectiveValue:
    """The effective value of one key."""

    value: Any
    layer: str = BUILT_IN
    """The layer that set it."""
    refused: list[str] = field(default_factory=list)
    """Values of other layers that have no effect, each as `LAYER: VALUE`."""


def merge(layers: Sequence[Layer]) -> dict[str, EffectiveValue]:
    """The effective value of each key under `layers`, weakest first.

    Raises Failure (DENIED) if one layer forces the cloud and another forbids it.
    """
    defaults = msgspec.to_builtins(Profile(version=1))
    values = {}
    for key, rule in RULES.items():
        default = lookup(defaults, key)
        settings, refused = _settings(key, default, layers)
        values[key] = EffectiveValue(default, refused=refused)
        if settings:
            names, effective = rule(settings)
            overruled = [
                f"{layer}: {_as_text(value)}"
                for layer, value in settings
                if layer not in (BUILT_IN, *names.split(", ")) and value != effective
            ]
            values[key] = EffectiveValue(effective, names, refused + overruled)
    return values


def as_profile(values: dict[str, EffectiveValue]) -> Profile:
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
    except msgspec.ValidationError as error:  # from a flag: files were checked when they were read
        raise Failure(ExitStatus.USAGE, _in_plain_words(str(error))) from None


def _in_plain_words(error: str) -> str:
    """A message of msgspec's with the key in front, as in a profile, not with its path behind."""
    problem, _, place = error.partition(" - at `$.")
    key = place.rstrip("`")
    return f"{key}: {problem}" if key else problem


def needing_trust(layer: Layer) -> list[str]:
    """The keys in `layer` that only a trusted file may set."""
    return [key for key in RULES if _loosening(key, lookup(layer.data, key))]


def _settings(key: str, default: Any, layers: Sequence[Layer]) -> tuple[list[Setting], list[str]]:
    """The settings of `key` that take part, and the refused ones of a project's untrusted files.

    If only such files set the key, the default takes part, too: they may tighten it, not replace it.
    """
    settings: list[Setting] = []
    refused: list[str] = []
    set_by_user = False
    for layer in layers:
        value = lookup(layer.data, key)
        if layer.may_only_tighten and (loosening := _loosening(key, value)):
            refused.append(f"{layer.name} is not trusted: {_as_text(loosening)}")
            partly = key in _LOOSENING and isinstance(value, list)
            value = [item for item in value if item not in loosening] if partly else None
        if value is not None:
            settings.append((set_by(layer, key), value))
            set_by_user |= not layer.may_only_tighten
    if settings and not set_by_user and default is not None:
        settings.insert(0, (BUILT_IN, default))
    return settings, refused


def set_by(layer: Layer, key: str) -> str:
    """The name of the file that sets `key` in `layer`: its own, or a profile that it extends.

    A mapping may come from several. A cloud that changes another one's model names both.
    """
    found = [(name, value) for name, data in layer.sources if (value := lookup(data, key)) is not None]
    if not found:
        return layer.name
    name, value = found[0]
    if key == "cloud" and not names_server(value):
        server = next((other for other, cloud in found if names_server(cloud)), name)
        return f"{name}; server and key: {server}"
    if isinstance(value, dict) and key.rpartition(".")[2] not in REPLACED_WHOLE:
        return ", ".join(other for other, _ in reversed(found))
    return name


def _loosening(key: str, value: Any) -> Any:
    """The part of `value` that could loosen a policy; None or empty if it only tightens."""
    if value is None or RULES[key] is _last:
        return value
    return _LOOSENING[key](value) if key in _LOOSENING else None


def lookup(data: Any, key: str) -> Any:
    """The value at the dotted `key`, or None."""
    for part in key.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _as_text(value: Any) -> str:
    return value["base_url"] if isinstance(value, dict) and "base_url" in value else str(value)
