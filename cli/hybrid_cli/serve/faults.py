"""Failures as HTTP statuses and OpenAI's error objects. docs/exit-codes.md has the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure

HTTP: dict[ExitStatus, tuple[int, str]] = {
    ExitStatus.USAGE: (400, "invalid_request_error"),
    ExitStatus.DENIED: (403, "permission_error"),
    ExitStatus.KEY: (502, "upstream_error"),
    ExitStatus.CLOUD: (502, "upstream_error"),
    ExitStatus.WEIGHTS: (503, "service_unavailable"),
    ExitStatus.CHECK: (422, "check_failed"),
    ExitStatus.LIMIT: (429, "insufficient_quota"),
    ExitStatus.DEADLINE: (504, "timeout"),
    ExitStatus.TERMINATED: (503, "service_unavailable"),
}
"""The HTTP status and the error's type for an exit code; every other one is 500, `server_error`."""


@dataclass
class HttpFault(Exception):  # noqa: N818  an answer, too
    """A refusal, as the client gets it."""

    status: int
    kind: str
    """OpenAI's `type`."""
    code: str
    message: str
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """The error object."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}


def invalid(message: str, param: str | None = None) -> HttpFault:
    """Return the fault of a request that is not understood."""
    return HttpFault(400, "invalid_request_error", "usage", message, param, dict(_FINAL))


def busy(message: str) -> HttpFault:
    """Return the fault of a request that finds the queue full. It may be sent again."""
    return HttpFault(429, "rate_limit_error", "busy", message, headers={"retry-after": "1"})


def too_large(limit: int) -> HttpFault:
    """Return the fault of a body over `limit` bytes. The connection closes, because the rest is not read."""
    message = f"the body is over {limit // 1_000_000} MB"
    return HttpFault(
        413, "invalid_request_error", "too_large", message, headers={**_FINAL, "connection": "close"}
    )


def client_left() -> HttpFault:
    """Return the fault of a client that left before its answer. Only the log and the metrics get it."""
    return HttpFault(499, "client_left", "client_left", "the client has left")


def fault_of(failure: Failure) -> HttpFault:
    """Return `failure` as an HTTP fault."""
    status, kind = HTTP.get(failure.status, (500, "server_error"))
    headers = dict(_FINAL)
    if failure.status is ExitStatus.LIMIT:
        headers["retry-after"] = str(_seconds_left_of_day(datetime.now(timezone.utc)))
    return HttpFault(status, kind, failure.status.name.lower(), str(failure), headers=headers)


_FINAL = {"x-should-retry": "false"}
"""OpenAI's SDK else sends the request again, which would pay again or be refused again."""


def _seconds_left_of_day(now: datetime) -> int:
    """Return the seconds until the ledger's next day, which begins at midnight UTC."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return int((midnight - now).total_seconds()) + 1
