"""The second model that drafts for the local one (`local.draft`)."""

from __future__ import annotations

from hybrid_cli.cascade.measured_layouts import read_layouts
from hybrid_cli.exit_status import Failure
from hybrid_cli.local.protocol import SecondModel
from hybrid_cli.profile.default_model import DEFAULT, default_model
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import catalog_entry
from hybrid_cli.weights.store import Store


def draft_choice(policy: Policy, environment: Environment) -> SecondModel | None:
    """Return the model that may draft; the engine finds whether it pays. None if there is none.

    Raises Failure for a model that the profile names: USAGE if it is unknown, WEIGHTS if it is missing or changed.
    """
    setting = policy.local.draft
    if setting == "off":
        return None
    if setting != "auto":
        name = default_model(environment) or setting if setting == DEFAULT else setting
        return _second_model(name, environment, is_named=True)
    entry = catalog_entry(policy.local.model, environment)
    if entry is None or entry.draft is None or not Store(environment).is_recorded(entry.draft):
        return None
    try:
        return _second_model(entry.draft, environment, is_named=False)
    except Failure:
        return None


def _second_model(name: str, environment: Environment, *, is_named: bool) -> SecondModel:
    weights = Store(environment).locate(name)
    path = str(weights.path.absolute())
    return SecondModel(name, path, is_named, read_layouts(weights.sha256, environment))
