"""All checks of `hybrid doctor`, in order."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace

from hybrid_cli.doctor.cloud_findings import cloud_findings
from hybrid_cli.doctor.engine_findings import engine_findings
from hybrid_cli.doctor.finding import Finding, until_failure
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
    """Yield the findings. `scripts` are the current completion scripts by shell.

    Only with `online`, the checks connect to the cloud and run the key command; they never send a prompt.
    """
    silent = replace(environment, stderr=None)  # so nothing can ask a question
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")
    policy: Policy | Failure
    try:
        policy = merge_policy(Flags(profile=profile), silent)
    except Failure as failure:
        policy = failure
    known_policy = None if isinstance(policy, Failure) else policy
    yield from engine_findings(known_policy, silent)
    yield from machine_findings(known_policy, silent)
    if isinstance(policy, Failure):
        yield Finding("profile", "fail", str(policy))
    else:
        yield from until_failure("profile", _layers(policy, profile, silent))
        yield from cloud_findings(policy, silent, online=online)
    yield from until_failure("completions", completion_findings(silent, scripts))


def _layers(policy: Policy, profile: str | None, environment: Environment) -> Iterator[Finding]:
    """Report the effective mode and the profile files in force, weakest first."""
    _name, layers = file_layers(profile, environment)
    found = []
    for layer in layers:
        trust = ""
        if layer.is_project and layer.path is not None:
            is_trusted = Trust(environment).covers(layer)
            trust = ", trusted" if is_trusted else ", may only tighten"
        found.append(f"{layer.name} ({layer.path}{trust})")
    yield Finding(
        "profile",
        "ok",
        f"{policy.profile}, mode {policy.mode} (set by {policy.decided_by}); from {', '.join(found)}",
    )
