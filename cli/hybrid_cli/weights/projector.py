"""The projector (mmproj) of a local model, which turns images into the model's input."""

from __future__ import annotations

from pathlib import Path

from hybrid_cli.exit_status import Failure
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import catalog_entry
from hybrid_cli.weights.store import Store, Weights


def projector_of(policy: Policy, weights: Weights) -> str | None:
    """Return the absolute path of the projector to use; None if the model has none, or `local.projector` is off."""
    setting = policy.local.projector
    if setting == "off":
        return None
    path = weights.projector if setting == "auto" else Path(setting).expanduser()
    return None if path is None else str(path.absolute())


def reads_images(policy: Policy, environment: Environment) -> bool:
    """Whether the policy's local model has a projector, as far as that is known without reading it."""
    try:
        weights = Store(environment).verified(policy.local.model)
    except Failure:  # reported by whoever needs the model
        entry = catalog_entry(policy.local.model, environment)
        return entry is not None and entry.projector is not None and policy.local.projector != "off"
    return projector_of(policy, weights) is not None


def verify_projector(path: str, environment: Environment) -> None:
    """Raise Failure (WEIGHTS) unless the projector at `path` is intact, and unchanged since its first use."""
    Store(environment).path_records.verify(Path(path), "projector")
