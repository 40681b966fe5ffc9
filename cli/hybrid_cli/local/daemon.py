"""A warm engine: the guarded engine process with a listening Unix socket that was opened before the guard.

It can be called and cannot call. Whoever starts it (`local.warm`) hands over the socket; nothing of the starter's
environment or memory comes along.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.guard.forbid import forbid_sockets
from hybrid_cli.local.child import new_loader, prepare_environment


def main() -> None:
    """Serve callers. Arguments: the socket's descriptor and path, the weights' id, a `SchedulerRequest` as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, name, weights_id, settings = sys.argv[1:5]
    listener = socket.socket(fileno=int(descriptor))
    enforcement = forbid_sockets()
    if enforcement == "audit-hook":  # it refuses accepted connections, too; callers load their own model
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        return
    prepare_environment()
    loader, problem = new_loader()

    import msgspec

    from hybrid_cli.local.callers import Callers
    from hybrid_cli.local.confinement import confine_engine
    from hybrid_cli.local.protocol import SchedulerRequest, Status
    from hybrid_cli.local.warm_inbox import WarmInbox
    from hybrid_cli.local.warm_scheduler import WarmScheduler

    request = msgspec.json.decode(settings, type=SchedulerRequest)
    folder = os.path.dirname(name)  # noqa: PTH120  where the socket will be removed
    confine_engine(request.path, folder, request.projector)
    status = Status(request.path, weights_id, os.getpid(), 0, 0, 0.0, 0.0)
    place = os.lstat(name)
    callers = Callers(listener, enforcement)
    inbox = WarmInbox(callers, status, enforcement, lambda: _is_same(name, place))

    def end(_number: int, _frame: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    try:
        if loader is None:
            reason = f"llama-cpp-python cannot be imported: {problem}"
            inbox.break_down(Failure(ExitStatus.FAILURE, reason))
            return
        try:
            loader.load_for(request)
        except Failure as failure:
            inbox.break_down(failure)
        while not inbox.ended:
            try:
                WarmScheduler(loader, request, inbox, inbox.emit).run()
            except Failure as failure:
                inbox.fail(failure)
    finally:
        if _is_same(name, place):
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108
        os._exit(0)


def _is_same(name: str, place: os.stat_result) -> bool:
    """Whether the socket at `name` is still this process's."""
    try:
        return os.path.samestat(os.lstat(name), place)
    except OSError:
        return False


if __name__ == "__main__":
    main()
