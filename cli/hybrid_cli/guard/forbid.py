"""What `forbid` does to the process that holds it: no secrets in reach, no socket to be had."""

from __future__ import annotations

import re
from collections.abc import MutableMapping

from hybrid_cli.guard.seccomp import Enforcement, forbid_sockets

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


def forbid_network(variables: MutableMapping[str, str]) -> Enforcement:
    """Drop secrets from `variables`, then sockets from the process, for good; the level reached."""
    for name in [name for name in variables if _SECRET_NAME.search(name)]:
        del variables[name]
    return forbid_sockets()
