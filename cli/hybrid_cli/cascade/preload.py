"""Let the worker load the model while the command imports the rest of its modules, which takes about as long.

So this module imports few itself, and a command calls it before it imports the others.
"""

from __future__ import annotations

import contextlib

from hybrid_cli.cascade.model_settings import model_settings
from hybrid_cli.cascade.prefix_folder import prefix_folder
from hybrid_cli.cascade.run_options import RunOptions
from hybrid_cli.exit_status import Failure
from hybrid_cli.local.protocol import LocalRequest, Preload, Task
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.keep_alive import keep_seconds
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.ci import is_on
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store


def preload(policy: Policy, options: RunOptions, worker: Worker | None, environment: Environment) -> None:
    """Send the model's path to the `worker` if it will probably answer. Failures wait for the request, which reports them.

    Do nothing unless PROMPT is the whole prompt: its length decides on the layout of the weights. Do nothing with
    `local.draft` either: the engine would be confined before the second model's file is known.
    """
    if options.prompt is None or not _is_whole(options.prompt, options, environment):
        return
    local = policy.local
    if worker is None or policy.mode == "force" or keep_seconds(local.keep_alive) != 0:
        return  # the cloud or an engine that stays will answer
    if local.draft != "off":
        return
    with contextlib.suppress(Failure, OSError):
        weights = Store(environment).peek(local.model)  # hashing a file would not wait for the deadline
        if weights is None:
            return
        task = Task(
            [{"role": "user", "content": " " * len(options.prompt)}],
            local.sampling.max_tokens,
            choices=["any"] if options.choices is not None else [],
        )
        request = LocalRequest(
            **model_settings(policy, weights, environment),
            tasks=[task],
            cache_folder=prefix_folder(policy, environment),
            require_enforcement=policy.escalation.require_enforcement,
        )
        worker.send(Preload(request))


def _is_whole(prompt: str, options: RunOptions, environment: Environment) -> bool:
    """Return whether the run asks just this text: no file or stdin adds to it, and no editor changes it."""
    if prompt.startswith(("@", "-")) or options.dry_run or options.editor:
        return False
    if options.files or options.images or options.template or options.conversation is not None:
        return False
    may_read = options.may_read_stdin and not is_on(environment.variables, "HYBRID_NO_STDIN")
    return not may_read or environment.stdin_kind() == "nothing"
