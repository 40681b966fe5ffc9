"""Whether a handoff would be sent, as far as that is known before it."""

from __future__ import annotations

from hybrid_cli.cloud.keys import why_missing
from hybrid_cli.egress.permission import Permission
from hybrid_cli.exit_status import Failure
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment


def may_be_sent(request: Request, policy: Policy, permission: Permission, environment: Environment) -> bool:
    """Return whether nothing speaks against the handoff: neither policy, nor key, nor scan, nor limits.

    A missing terminal does, if a question must be asked. Nothing is asked, sent or reserved.
    """
    cloud = policy.cloud
    if permission.denied is not None or cloud is None:
        return False
    if permission.must_ask and not environment.can_ask():
        return False
    if why_missing(cloud.key, environment) is not None and not permission.fallbacks:
        return False
    from hybrid_cli.egress.budget import Account
    from hybrid_cli.egress.request import scanned_call

    try:
        call, vault = scanned_call(cloud, request, policy, environment, None)
        return Account(policy, "", vault.counts, environment).refusal(call) is None
    except Failure:
        return False
