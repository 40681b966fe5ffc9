"""Who may use the endpoint: a bearer token, the Host header, and browsers only if their origin was allowed."""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import socket
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.serve.faults import HttpFault
from hybrid_cli.system.files import PRIVATE_MODE, read_regular
from hybrid_cli.ui.environment import Environment

OPEN_PATHS = ("/health",)
"""Without a token: they tell nothing but that the server runs."""
_TOKEN_BYTES = 32


def read_token(environment: Environment) -> str:
    """Return the server's token, which is made on first use. Raises Failure if hybrid cannot read it, or if others can."""
    path = environment.config_folder / "serve-token"
    try:
        token = read_regular(path).decode("ascii").strip()
    except FileNotFoundError:
        if path.is_symlink():
            raise Failure(
                ExitStatus.FAILURE, f"{path} is a link to a file that does not exist; delete the link"
            ) from None
        return _new_token(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not ASCII"
        raise Failure(ExitStatus.FAILURE, f"the token in {path} cannot be read: {why}") from None
    if path.stat().st_mode & 0o077:
        raise Failure(ExitStatus.FAILURE, f"others can read {path}; run: chmod 600 {path}")
    if len(token) < _TOKEN_BYTES:
        raise Failure(
            ExitStatus.FAILURE, f"the token in {path} is too short; delete the file to get a new one"
        )
    return token


def _new_token(path: Path) -> str:
    token = f"hybrid-{secrets.token_urlsafe(_TOKEN_BYTES)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_MODE)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{token}\n")
    try:
        os.link(temporary, path)  # unlike a replacement, only the first of two servers succeeds
    except FileExistsError:
        return read_regular(path).decode("ascii").strip()
    finally:
        temporary.unlink()
    return token


class Access:
    """Refuses requests before anything else reads them."""

    def __init__(self, app: ASGIApp, token: str, host: str) -> None:
        """`host` is the name that the server listens on."""
        self._app = app
        self._token = token.encode()
        self._hosts = {"localhost", host.lower(), socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        fault = self._fault(request)
        if fault is None:
            await self._app(scope, receive, send)
            return
        refusal: Response = JSONResponse(fault.body, fault.status, {**fault.headers, "connection": "close"})
        await refusal(scope, receive, send)

    def _fault(self, request: Request) -> HttpFault | None:
        if not self._is_own_name(request.headers.get("host", "")):
            # A page of another site reaches this port by a name that it made point here (DNS rebinding).
            message = "this Host is not served; use an IP address, localhost or the name given to --listen"
            return HttpFault(403, "permission_error", "wrong_host", message)
        if request.url.path in OPEN_PATHS:
            return None
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token):
            return None
        message = "the API key is not this server's token; run: hybrid serve --show-token"
        headers = {"www-authenticate": "Bearer"}
        return HttpFault(401, "invalid_request_error", "invalid_api_key", message, headers=headers)

    def _is_own_name(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        name = name.removeprefix("[").removesuffix("]").lower()
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
