"""What a request to the engine takes from the profile and the weights, whoever makes it."""

from __future__ import annotations

from typing import TypedDict

from hybrid_cli.cascade.measured_layouts import read_layouts
from hybrid_cli.local.layouts import Layouts
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.projector import projector_of
from hybrid_cli.weights.store import Weights


class ModelSettings(TypedDict):
    """Fields of `LocalRequest` and `SchedulerRequest`."""

    path: str
    context: int | None
    threads: int | None
    mmap_over_memory: bool
    gpu_layers: int | None
    projector: str | None
    layouts: Layouts | None


def model_settings(policy: Policy, weights: Weights, environment: Environment) -> ModelSettings:
    """Return the settings; what is `auto` in the profile is None."""
    local = policy.local
    return ModelSettings(
        path=str(weights.path.absolute()),
        context=None if local.context == "auto" else local.context,
        threads=None if local.threads == "auto" else local.threads,
        mmap_over_memory=local.mmap_over_memory,
        gpu_layers=None if local.gpu_layers == "auto" else local.gpu_layers,
        projector=projector_of(policy, weights),
        layouts=read_layouts(weights.sha256, environment),
    )
