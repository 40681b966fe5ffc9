"""The parts of a request that leave: its messages, scanned and redacted, and the call to one cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybrid_cli.cloud.image import Image
from hybrid_cli.cloud.keys import known_keys
from hybrid_cli.cloud.payload import Call, sent_forms
from hybrid_cli.egress.answer_limit import answer_limit
from hybrid_cli.egress.learned_dialects import LearnedDialects
from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import NamedText, Request
from hybrid_cli.ui.environment import Environment

if TYPE_CHECKING:  # late, as most runs send nothing
    from hybrid_cli.privacy.redact import Vault


def outgoing_messages(request: Request, server: Server) -> list[dict[str, str]]:
    """Return the messages that would leave: for a tool its argument alone, unless the profile says more."""
    if request.tools and server.tool_context == "arguments":
        return request.arguments()
    return request.messages()


def _outgoing_names(request: Request, server: Server) -> list[str]:
    """Return the name of each of the outgoing messages in a refusal."""
    if request.tools and server.tool_context == "arguments":
        return ["the prompt" if request.tool_argument is None else "the hosted tool's argument"]
    return request.message_names()


def _outgoing_parts(request: Request, server: Server) -> list[list[NamedText]]:
    """Return the named parts of each of the outgoing messages."""
    if request.tools and server.tool_context == "arguments":
        return [[]]
    return request.message_parts()


def outgoing_images(request: Request, server: Server) -> tuple[Image, ...]:
    """Return the images that would leave: none if a tool gets its argument alone."""
    return () if request.tools and server.tool_context == "arguments" else request.images


def scanned_call(
    server: Server, request: Request, policy: Policy, environment: Environment, key: str | None
) -> tuple[Call, Vault]:
    """Scan all text that would leave, and return the call to `server` and the redacted values.

    Nothing can be found in images; `privacy.images` decides about them (`egress.permission`).
    Schema and stop strings are sent unchanged or not at all: a placeholder would not fit them. Without them only
    tokens are lost, because the answer is cut and validated here in any case. Raises Failure (DENIED) for a
    secret.
    """
    from hybrid_cli.privacy.screen import screen

    keys = [*([key] if key is not None else []), *known_keys(policy.cloud, environment)]
    # First the options: the prompt repeats a schema, and the message should name the option.
    guides = [] if request.tools else _guides(request)
    options = [guide["role"] for guide in guides]
    is_plain = not screen(guides, policy.privacy, environment.variables, keys, names=options).vault.counts
    messages = outgoing_messages(request, server)
    whole = [message["content"] for message in request.messages()] if request.tools else []
    kept = [*whole, *request.unsent]
    known = environment.known_secrets
    names, parts = _outgoing_names(request, server), _outgoing_parts(request, server)
    screened = screen(messages, policy.privacy, environment.variables, keys, parts, kept, known, names)
    guided = not request.tools and is_plain and not screened.vault.counts
    call = Call(
        server,
        screened.messages,
        answer_limit(server, policy, environment),
        policy.cloud_temperature,
        request.tools,
        request.schema.data if guided and request.schema is not None else None,
        request.stop if guided else (),
        LearnedDialects(environment).of(server),
        outgoing_images(request, server),
    )
    return call, screened.vault


def _guides(request: Request) -> list[dict[str, str]]:
    """Return schema and stop strings, as they are sent, as messages for the scan, each named by its option."""
    named = [] if request.schema is None else [("--schema", text) for text in sent_forms(request.schema.data)]
    named += [("--stop", text) for text in request.stop]
    return [{"role": name, "content": text} for name, text in named]
