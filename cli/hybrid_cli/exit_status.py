"""The exit codes, and the exceptions that carry one to the error boundary."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """What a script can branch on. `meaning` is the text of help and documentation."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitStatus:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    ANSWERED = 0, "answered"
    FAILURE = 1, "other failure"
    USAGE = 2, "usage, or an invalid profile"
    DENIED = 3, "the local answer is not good enough and the policy forbids the cloud"
    KEY = 4, "the cloud refused the key, or none is set"
    CLOUD = 5, "the cloud is unreachable, rate-limited, failing, or its stream was cut"
    WEIGHTS = 6, "weights missing, or their checksum differs"
    CHECK = 7, "the answer fails its schema or verify command, or was truncated"
    LIMIT = 8, "a budget or call limit is reached"
    DEADLINE = 124, "deadline reached"
    INTERRUPTED = 130, "Ctrl-C"
    CLOSED_PIPE = 141, "closed pipe"
    TERMINATED = 143, "SIGTERM"


class Failure(Exception):  # noqa: N818  a failure is expected; it is no programming error
    """An expected failure: one line for the user and the code to exit with."""

    def __init__(self, status: ExitStatus, message: str) -> None:
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> tuple[type[Failure], tuple[ExitStatus, str]]:
        """As pickle makes it again in another process; of a subclass what the user is told."""
        return Failure, (self.status, str(self))


class Interrupted(BaseException):
    """A signal or the deadline ends the run.

    Not an `Exception`, so that no library's `except Exception` can swallow or retry it.
    """

    def __init__(self, status: ExitStatus) -> None:
        super().__init__(status.meaning)
        self.status = status
