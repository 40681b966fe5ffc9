"""Let the worker load the model while the command imports the rest of its modules, which takes about as long.

So this module imports few itself, and a command calls it before it imports the others.
"""

from __future__ import annotations

import contextlib

from hybrid_cli.cascade.model_settings import model_settings
from hybrid_cli.cascade.prefix_folder import prefix_folder
from hybrid_cli.exit_status import Failure
from hybrid_cli.local.protocol import LocalRequest, Preload, Task
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.keep_alive import keep_seconds
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store


def preload(
    policy: Policy, length: int, worker: Worker | None, environment: Environment, *, has_choices: bool
) -> None:
    """Send the model's path to the `worker`, if it will probably answer. What fails is reported by the request itself.

    `length` is that of the prompt in characters, which decides on the layout of the weights.
    """
    local = policy.local
    if worker is None or policy.mode == "force" or keep_seconds(local.keep_alive) != 0:
        return  # the cloud or an engine that stays will answer
    with contextlib.suppress(Failure, OSError):
        weights = Store(environment).peek(local.model)  # hashing a file would not wait for the deadline
        if weights is None:
            return
        task = Task(
            [{"role": "user", "content": " " * length}],
            local.sampling.max_tokens,
            choices=["any"] if has_choices else [],
        )
        request = LocalRequest(
            **model_settings(policy, weights, environment),
            tasks=[task],
            cache_folder=prefix_folder(policy, environment),
            require_enforcement=policy.escalation.require_enforcement,
        )
        worker.send(Preload(request))
