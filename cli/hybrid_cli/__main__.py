"""Entry point: fast path of --version, early fork of the worker, signals, and the one error boundary."""

from __future__ import annotations

import sys

_COLLECTION_THRESHOLD = 100_000
"""Objects between two garbage collections. With the default of 700, collections take a tenth of the start."""


def main() -> int:
    """Run the command line of this process and return the exit code."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        from hybrid_cli import __version__

        try:
            print(f"hybrid {__version__}", flush=True)  # noqa: T201
        except OSError:
            _discard_stdout()
            return 1
        return 0
    import gc
    import os
    import resource
    import signal

    from hybrid_cli.exit_status import ExitStatus, Interrupted

    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))  # the file of a crash would hold prompts and keys
    os.environ.pop("SSLKEYLOGFILE", None)  # with the secrets in that file anybody can read the traffic
    gc.set_threshold(_COLLECTION_THRESHOLD)
    sys.unraisablehook = redeliver

    def terminate(_number: int, _frame: object) -> None:
        raise Interrupted(ExitStatus.TERMINATED)

    try:
        signal.signal(signal.SIGTERM, terminate)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored under nohup
            signal.signal(signal.SIGHUP, terminate)
        _occupy_standard_streams()
        return _with_worker(arguments)
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except Interrupted as interrupted:
        return interrupted.status
    finally:
        gc.freeze()  # else Python looks for garbage as it ends, which takes as long as a fifth of the start


def redeliver(lost: sys.UnraisableHookArgs) -> None:
    """Send a signal again whose exception was lost.

    Python ignores what is raised in a finalizer or in the callback of a weak reference.
    """
    import signal
    import threading

    from hybrid_cli.exit_status import ExitStatus, Interrupted

    number = signal.SIGINT if isinstance(lost.exc_value, KeyboardInterrupt) else None
    if isinstance(lost.exc_value, Interrupted):
        is_deadline = lost.exc_value.status is ExitStatus.DEADLINE
        number = signal.SIGALRM if is_deadline else signal.SIGTERM
    if number is None:
        sys.__unraisablehook__(lost)
        return
    threading.Thread(target=_send_until_caught, args=(number,), daemon=True).start()


_RESENT_AFTER = (0.01, 0.6, 0.6)
"""Seconds. On a busy machine the finalizer may still run when the first one arrives, and swallow it, too. Ending takes
less than the second pause."""
_caught = False


def _send_until_caught(number: int) -> None:
    import os
    import time

    for pause in _RESENT_AFTER:
        time.sleep(pause)
        if _caught:
            return
        os.kill(os.getpid(), number)


def _occupy_standard_streams() -> None:
    """Open /dev/null for each closed standard stream; else the next file opened would become that stream."""
    import os

    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor < 3:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def _with_worker(arguments: list[str]) -> int:
    """Fork the worker before heavy imports, if the command may need it, and run the command.

    Early, the worker is small and loads the engine while the parent imports its own modules.
    """
    from hybrid_cli.local.worker import Worker

    worker = Worker.start() if _may_need_worker(arguments) and not _is_warm() else None
    try:
        return _run_command(arguments, worker)
    finally:
        if worker is not None:
            worker.stop()


def _may_need_worker(arguments: list[str]) -> bool:
    """Guess whether the command runs the local model. A wrong guess is harmless: the worker is forked later."""
    if {"-h", "--help"} & set(arguments) or "--escalation force" in " ".join(arguments).replace("=", " "):
        return False
    # Before the command, only flags and --color with its value may appear.
    names = [one for one in arguments if one[:1] != "-" and one not in ("auto", "always", "never")]
    return names[:1] in (["run"], ["pipe"], ["eval"], ["calibrate"])


def _is_warm() -> bool:
    """Guess whether an engine is loaded already. A wrong guess is harmless here, too."""
    import os

    from hybrid_cli.system.runtime_folder import may_be_warm, runtime_folder

    return may_be_warm(runtime_folder(os.environ))


def _run_command(arguments: list[str], worker: object) -> int:
    """Run the command; turn every exception into at most one line on stderr and an exit code."""
    from hybrid_cli.exit_status import ExitStatus, Failure, Interrupted
    from hybrid_cli.ui.environment import Environment
    from hybrid_cli.ui.stopwatch import Stopwatch

    stopwatch = Stopwatch()
    environment = Environment.of_process()
    try:
        from hybrid_cli.app import invoke

        code = invoke(arguments, environment, worker, stopwatch)
        if sys.stdout is not None:
            sys.stdout.flush()
    except Failure as failure:
        environment.error(str(failure))
        return failure.status
    except Interrupted as interrupted:
        global _caught  # noqa: PLW0603  one process has one main thread that signals end
        _caught = True
        if interrupted.status is ExitStatus.DEADLINE:
            environment.error("deadline reached; to allow more time, change --timeout or limits.seconds")
        return interrupted.status
    except BrokenPipeError:
        _discard_stdout()
        return ExitStatus.CLOSED_PIPE
    except OSError as error:
        _discard_stdout()
        subject = f"{error.filename}: " if error.filename else ""
        environment.error(f"{subject}{error.strerror or error}")
        return ExitStatus.FAILURE
    except Exception as error:  # a bug: its message may contain private values
        if environment.variables.get("HYBRID_DEBUG"):
            raise
        environment.error(f"internal error: {type(error).__name__}; to see where, set HYBRID_DEBUG=1")
        return ExitStatus.FAILURE
    return code


def _discard_stdout() -> None:
    """Redirect stdout to /dev/null, so that the flush at exit cannot fail again."""
    import os

    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
