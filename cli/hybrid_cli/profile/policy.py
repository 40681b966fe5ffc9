"""The policy of one run: every layer merged, once, before anything runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.layers import Layer, file_layers, variable_layer
from hybrid_cli.profile.merge import BUILT_IN, Value, as_profile, lookup, merge, needing_trust
from hybrid_cli.profile.schema import (
    Checks,
    Cloud,
    Escalation,
    Limits,
    Local,
    Log,
    Mode,
    Privacy,
    Rule,
)
from hybrid_cli.profile.trust import Trust
from hybrid_cli.ui.environment import Environment, cut


@dataclass(frozen=True)
class Flags:
    """What the command line says of the policy; None where it says nothing."""

    profile: str | None = None
    escalation: Mode | None = None
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    seconds: float | None = None

    def layers(self) -> list[Layer]:
        """A layer each, named as the user wrote it."""
        words: list[tuple[str, Any, Any]] = [
            ("--escalation", self.escalation, lambda value: {"escalation": {"mode": value}}),
            ("--model", self.model, lambda value: {"local": {"model": value}}),
            ("--max-tokens", self.max_tokens, lambda value: _sampling("max_tokens", value)),
            ("--temperature", self.temperature, lambda value: _sampling("temperature", value)),
            ("--seed", self.seed, lambda value: _sampling("seed", value)),
            ("--timeout", self.seconds, lambda value: {"limits": {"seconds": value}}),
        ]
        return [Layer(name, data(value)) for name, value, data in words if value is not None]


def _sampling(key: str, value: float) -> dict[str, Any]:
    return {"local": {"sampling": {key: value}}}


@dataclass(frozen=True)
class Policy:
    """What this run may do."""

    profile: str
    mode: Mode
    decided_by: str
    """The layer that set the mode, as the user would name it."""
    forced_by: str | None
    """The layer that forces the cloud, also where another asks first."""
    local: Local
    cloud: Cloud | None
    escalation: Escalation
    rules: list[tuple[str, Rule]]
    """The escalation's rules, each with the layer that says it."""
    privacy: Privacy
    limits: Limits
    checks: Checks
    log: Log
    cloud_temperature: float | None
    """Sent only if the user asked for it by flag: many cloud models refuse any but their own."""
    values: dict[str, Value]
    """Every effective value with its layer and what was refused."""

    @property
    def keeps_prefixes(self) -> bool:
        """Whether prompts may be kept on disk in the prefix cache: a layer that forbids to log them forbids it."""
        log = self.values["log.prompts"]
        return self.local.prefix_cache and (log.value or log.layer == BUILT_IN)


def merge_policy(flags: Flags, environment: Environment) -> Policy:
    """The policy for `flags`; the strictest layer decides about escalation.

    Raises Failure: USAGE for a bad profile or variable; DENIED when force meets forbid, and for a
    project's file that asks for what only a trusted one may.
    """
    name, layers = file_layers(flags.profile, environment)
    project = next((layer for layer in layers if layer.is_project), None)
    trusted = project is not None and _is_trusted(project, environment)
    spoken = variable_layer(environment)
    voices = [*layers, *([spoken] if spoken else []), *flags.layers()]
    values = merge(voices, project_is_trusted=trusted)
    forcing = [
        voice.name
        for voice in voices
        if lookup(voice.data, "escalation.mode") == "force" and (trusted or not voice.is_project)
    ]
    profile = as_profile(values)
    layers_of_rules = [rule["layer"] for rule in values["escalation.rules"].value]
    return Policy(
        profile=name,
        mode=profile.escalation.mode,
        decided_by=values["escalation.mode"].layer,
        forced_by=forcing[-1] if forcing and profile.escalation.mode in ("force", "ask") else None,
        local=profile.local,
        cloud=profile.cloud,
        escalation=profile.escalation,
        rules=list(zip(layers_of_rules, profile.escalation.rules, strict=True)),
        privacy=profile.privacy,
        limits=profile.limits,
        checks=profile.checks,
        log=profile.log,
        cloud_temperature=flags.temperature,
        values=values,
    )


def what_needs_trust(project: Layer) -> list[str]:
    """What a project's file would do once it is trusted, a key a line: its clouds, commands and models."""
    return [
        f"{project.path}: {key}: {cut(json.dumps(lookup(project.data, key)), 400)}"
        for key in needing_trust(project)
    ]


def _is_trusted(project: Layer, environment: Environment) -> bool:
    """Whether the project's file may set what can loosen. Raises Failure (DENIED) where nobody can be asked.

    A file that only tightens needs no trust, and gets none.
    """
    if project.path is None or Trust(environment).covers(project.path, project.text):
        return True
    keys = needing_trust(project)
    if not keys:
        return False
    for line in what_needs_trust(project):
        environment.error(line)
    named = f"{project.path} sets {', '.join(keys)}, which only a trusted file may"
    if not environment.can_ask():
        raise Failure(ExitStatus.DENIED, f"{named}; read it, then run: hybrid profile trust")
    if environment.confirm(f"{named}. Trust exactly this content?"):
        Trust(environment).record(project.path, project.text)
        return True
    environment.note(f"{named}; they are ignored")
    return False
