"""The entry: version fast path, the early worker, signals and the one error boundary."""

from __future__ import annotations

import sys

_OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""A tenth of a start goes into looking through what was just imported, by default after each 700 objects."""


def main() -> int:
    """Run the command line of this process and return its exit code."""
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
    import signal

    from hybrid_cli.exit_status import ExitStatus, Interrupted

    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)

    def terminate(_number: int, _frame: object) -> None:
        raise Interrupted(ExitStatus.TERMINATED)

    try:
        signal.signal(signal.SIGTERM, terminate)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            signal.signal(signal.SIGHUP, terminate)
        _occupy_standard_streams()
        return _with_worker(arguments)
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except Interrupted as interrupted:
        return interrupted.status


def _occupy_standard_streams() -> None:
    """Put /dev/null in the place of closed standard streams, or the next opened file would take it."""
    import os

    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor < 3:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def _with_worker(arguments: list[str]) -> int:
    """Fork the worker before anything heavy is imported: it is small, and loads beside the parent."""
    from hybrid_cli.local.worker import Worker

    # A guess that costs nothing where it is wrong: a worker that is needed after all is forked later.
    forced = "--escalation force" in " ".join(arguments).replace("=", " ")
    # What may stand before the command's name: switches, and --color with one of three words.
    words = [word for word in arguments if word[:1] != "-" and word not in ("auto", "always", "never")]
    answers = words[:1] in (["run"], ["pipe"], ["eval"], ["calibrate"]) and not {"-h", "--help"} & set(
        arguments
    )
    needs_worker = answers and not forced
    worker = Worker.fork() if needs_worker else None
    try:
        return _bounded(arguments, worker)
    finally:
        if worker is not None:
            worker.stop()


def _bounded(arguments: list[str], worker: object) -> int:
    """Run the command; every exception becomes at most one line on stderr and an exit code."""
    from hybrid_cli.exit_status import ExitStatus, Failure, Interrupted
    from hybrid_cli.ui.environment import Environment
    from hybrid_cli.ui.stopwatch import Stopwatch

    stopwatch = Stopwatch()
    environment = Environment.of_process()
    try:
        from hybrid_cli.app import invoke

        invoke(arguments, environment, worker, stopwatch)
        if sys.stdout is not None:
            sys.stdout.flush()
    except Failure as failure:
        environment.error(str(failure))
        return failure.status
    except Interrupted as interrupted:
        if interrupted.status is ExitStatus.DEADLINE:
            environment.error("the deadline was reached; --timeout or limits.seconds sets it")
        return interrupted.status
    except BrokenPipeError:
        _discard_stdout()
        return ExitStatus.CLOSED_PIPE
    except OSError as error:
        _discard_stdout()
        subject = f"{error.filename}: " if error.filename else ""
        environment.error(f"{subject}{error.strerror or error}")
        return ExitStatus.FAILURE
    except Exception as error:  # a defect: told without its values
        if environment.variables.get("HYBRID_DEBUG"):
            raise
        environment.error(f"internal error: {type(error).__name__}; HYBRID_DEBUG=1 shows where")
        return ExitStatus.FAILURE
    return ExitStatus.ANSWERED


def _discard_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush cannot fail again."""
    import os

    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
