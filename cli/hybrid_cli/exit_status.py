"""Exit codes, and the exceptions that carry one to the error boundary."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit codes that scripts can branch on; `meaning` is their text in help and documents."""

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


SECOND_CHOICE, LAST_CHOICE = 10, 99
"""Exit codes with --exit-code: 0 is the first choice, 10 the second, 11 the third, and so on."""
MAX_CHOICES_WITH_CODES = LAST_CHOICE - SECOND_CHOICE + 2
EXIT_CODES = {str(status.value): status.meaning for status in ExitStatus if status < SECOND_CHOICE}
EXIT_CODES[f"{SECOND_CHOICE} to {LAST_CHOICE}"] = "the second choice, the third, ... with --exit-code"
EXIT_CODES |= {str(status.value): status.meaning for status in ExitStatus if status > LAST_CHOICE}
"""Every exit code with its meaning, for help and documents."""


class Failure(Exception):  # noqa: N818  an expected failure is not a bug
    """An expected failure: a one-line message and the exit code."""

    def __init__(self, status: ExitStatus, message: str) -> None:
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> tuple[type[Failure], tuple[ExitStatus, str]]:
        """Let pickle rebuild the failure in another process; a subclass becomes a plain Failure."""
        return Failure, (self.status, str(self))


class Interrupted(BaseException):
    """The run ends because of a signal or the deadline.

    It is not an `Exception`, so that `except Exception` in a library cannot swallow or retry it.
    """

    def __init__(self, status: ExitStatus) -> None:
        super().__init__(status.meaning)
        self.status = status
