"""The policy of one run: all layers merged, once, before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.cloud_section import Cloud
from hybrid_cli.profile.clouds import CLOUDS, unknown_cloud
from hybrid_cli.profile.default_model import DEFAULT, default_model
from hybrid_cli.profile.layers import Layer, file_layers, variable_layer
from hybrid_cli.profile.loader import same_cloud
from hybrid_cli.profile.merge import BUILT_IN, EffectiveValue, as_profile, lookup, merge, set_by
from hybrid_cli.profile.modes import Mode
from hybrid_cli.profile.schema import Checks, Escalation, Limits, Local, Log, Privacy, Rule
from hybrid_cli.profile.trust_question import with_trust
from hybrid_cli.ui.environment import Environment


@dataclass(frozen=True)
class Flags:
    """Policy options on the command line; None if not given."""

    profile: str | None = None
    escalation: Mode | None = None
    model: str | None = None
    cloud: str | None = None
    """The name of a known cloud, or a base URL."""
    cloud_model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    seconds: float | None = None
    keep_alive: str | None = None
    think: bool | None = None

    @property
    def may_only_tighten(self) -> bool:
        """Whether these options are another program's, not the user's."""
        return False

    def layers(self) -> list[Layer]:
        """One layer for each flag, named as the user wrote it."""
        flags: list[tuple[str, Any, Any]] = [
            ("--escalation", self.escalation, lambda value: {"escalation": {"mode": value}}),
            ("--model", self.model, lambda value: {"local": {"model": value}}),
            ("--max-tokens", self.max_tokens, lambda value: _sampling("max_tokens", value)),
            ("--temperature", self.temperature, lambda value: _sampling("temperature", value)),
            ("--seed", self.seed, lambda value: _sampling("seed", value)),
            ("--keep-alive", self.keep_alive, lambda value: {"local": {"keep_alive": value}}),
            ("--think", self.think or None, lambda _: {"local": {"thinking": "on"}}),
            ("--no-think", self.think is False or None, lambda _: {"local": {"thinking": "off"}}),
            ("--timeout", self.seconds, lambda value: {"limits": {"seconds": value}}),
        ]
        return [Layer(name, data(value)) for name, value, data in flags if value is not None]


def _sampling(key: str, value: float) -> dict[str, Any]:
    return {"local": {"sampling": {key: value}}}


@dataclass(frozen=True)
class Policy:
    """The permissions, limits and settings of one run."""

    profile: str
    mode: Mode
    decided_by: str
    """The name of the layer that set the mode."""
    forced_by: str | None
    """The name of the layer that forces the cloud. Another layer may still ask first."""
    local: Local
    cloud: Cloud | None
    escalation: Escalation
    rules: list[tuple[str, Rule]]
    """The rules of `escalation`, each with the name of its layer."""
    privacy: Privacy
    limits: Limits
    checks: Checks
    log: Log
    answer_tokens: int | None
    """From --max-tokens only: a profile has a limit of its own for each side."""
    answer_tokens_tighten: bool
    """Whether `answer_tokens` are another program's, and cannot exceed the limit of the profile's cloud."""
    cloud_temperature: float | None
    """From --temperature only: many cloud models refuse any value but their own."""
    values: dict[str, EffectiveValue]
    """The effective value of each key, with its layer and the values refused."""

    @property
    def keeps_prefixes(self) -> Literal["templates"] | bool:
        """Whether the prefix cache may store prompts on disk, or only the beginnings that templates write.

        A layer with `log.prompts: false` forbids both.
        """
        log = self.values["log.prompts"]
        return self.local.prefix_cache if log.value or log.layer == BUILT_IN else False


def merge_policy(flags: Flags, environment: Environment) -> Policy:
    """The policy for `flags`. The strictest layer sets the escalation mode.

    Raises Failure: USAGE for an invalid profile or variable; DENIED if one layer forces the cloud and another
    forbids it, or if an untrusted project's file sets a key that only a trusted one may set.
    """
    name, layers = file_layers(flags.profile, environment)
    layers = with_trust(layers, environment)
    from_variable = variable_layer(environment)
    layers += [*([from_variable] if from_variable else []), *flags.layers()]
    values = merge(layers)
    _name_default_model(values["local.model"], environment)
    _choose_cloud(values["cloud"], flags)
    forcing = [
        set_by(layer, "escalation.mode")
        for layer in layers
        if lookup(layer.data, "escalation.mode") == "force" and not layer.may_only_tighten
    ]
    profile = as_profile(values)
    rule_layers = [rule["layer"] for rule in values["escalation.rules"].value]
    return Policy(
        profile=name,
        mode=profile.escalation.mode,
        decided_by=values["escalation.mode"].layer,
        forced_by=forcing[-1] if forcing and profile.escalation.mode in ("force", "ask") else None,
        local=profile.local,
        cloud=profile.cloud,
        escalation=profile.escalation,
        rules=list(zip(rule_layers, profile.escalation.rules, strict=True)),
        privacy=profile.privacy,
        limits=profile.limits,
        checks=profile.checks,
        log=profile.log,
        answer_tokens=flags.max_tokens,
        answer_tokens_tighten=flags.may_only_tighten,
        cloud_temperature=flags.temperature,
        values=values,
    )


def _choose_cloud(cloud: EffectiveValue, flags: Flags) -> None:
    """Change the effective cloud as --cloud and --cloud-model say. Raises Failure (USAGE) if a model is missing.

    Another server gets no key of the profile's; another model gets no prices of the profile's.
    """
    if flags.cloud is None and flags.cloud_model is None:
        return
    chosen = {} if flags.cloud_model is None else {"model": flags.cloud_model}
    if flags.cloud is not None:
        if flags.cloud_model is None:
            raise Failure(
                ExitStatus.USAGE, "--cloud needs the model's name at that server: --cloud-model NAME"
            )
        unknown = unknown_cloud(flags.cloud)
        if unknown is not None:
            raise Failure(ExitStatus.USAGE, f"--cloud: {unknown}")
        cloud.value = {"use" if flags.cloud in CLOUDS else "base_url": flags.cloud, **chosen}
        cloud.layer = "--cloud, --cloud-model"
    elif cloud.value is None:
        raise Failure(
            ExitStatus.USAGE, "--cloud-model needs a cloud, and the profile sets none: --cloud NAME|URL"
        )
    else:
        cloud.value = same_cloud(cloud.value, chosen)
        cloud.layer = f"--cloud-model; server and key: {cloud.layer}"


def _name_default_model(model: EffectiveValue, environment: Environment) -> None:
    """Put the default model's name in the place of `default`, unless no model is stored."""
    name = default_model(environment) if model.value == DEFAULT else None
    if name is not None:
        model.value = name
        model.layer += ", as the default model"
