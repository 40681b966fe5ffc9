"""The whole examination, subject by subject."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace

from hybrid_cli.doctor.cloud_findings import cloud_findings
from hybrid_cli.doctor.engine_findings import engine_findings
from hybrid_cli.doctor.finding import Finding, told
from hybrid_cli.doctor.machine_findings import machine_findings
from hybrid_cli.doctor.shell_findings import completion_findings
from hybrid_cli.exit_status import Failure
from hybrid_cli.profile.layers import file_layers
from hybrid_cli.profile.policy import Flags, Policy, merge_policy
from hybrid_cli.profile.trust import Trust
from hybrid_cli.ui.environment import Environment


def examine(
    profile: str | None, environment: Environment, scripts: Mapping[str, str], *, online: bool
) -> Iterator[Finding]:
    """Every finding, as it is made. `scripts` are today's completions by shell.

    Only `online` opens connections and starts key commands, and then sends nothing.
    """
    looking = replace(environment, stderr=None)  # nobody is asked
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")
    policy: Policy | Failure
    try:
        policy = merge_policy(Flags(profile=profile), looking)
    except Failure as failure:
        policy = failure
    known = None if isinstance(policy, Failure) else policy
    yield from engine_findings(known, looking)
    yield from machine_findings(known, looking)
    if isinstance(policy, Failure):
        yield Finding("profile", "fail", str(policy))
    else:
        yield from told("profile", _layers(policy, profile, looking))
        yield from cloud_findings(policy, looking, online=online)
    yield from told("completions", completion_findings(looking, scripts))


def _layers(policy: Policy, profile: str | None, environment: Environment) -> Iterator[Finding]:
    """The files that speak, weakest first, and what came of it."""
    _name, layers = file_layers(profile, environment)
    found = []
    for layer in layers:
        vouched = ""
        if layer.is_project and layer.path is not None:
            trusted = Trust(environment).covers(layer.path, layer.text)
            vouched = ", trusted" if trusted else ", may only tighten"
        found.append(f"{layer.name} ({layer.path}{vouched})")
    yield Finding(
        "profile",
        "ok",
        f"{policy.profile}, mode {policy.mode} set by {policy.decided_by}; found: {', '.join(found)}",
    )
