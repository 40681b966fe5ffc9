"""The folder of the prefix cache, for the engine: it gets access to it with the first model that it loads."""

from __future__ import annotations

from hybrid_cli.exit_status import Failure
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment


def prefix_folder(policy: Policy, environment: Environment) -> str | None:
    """Return the path; None if the profile wants no cache, or the folder is inside a repository."""
    if not policy.keeps_prefixes:
        return None
    try:
        return str(environment.cache_folder / "prefixes")
    except Failure:
        return None
