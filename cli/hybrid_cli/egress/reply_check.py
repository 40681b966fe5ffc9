"""Whether a cloud's reply is a whole answer, and what is shown of one that is not."""

from __future__ import annotations

from hybrid_cli.cloud.faults import CloudFault
from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.streams import Reply
from hybrid_cli.egress.server_message import safe_excerpt
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import shorten

_MOST_CHARACTERS_PER_TOKEN = 6
"""Of text in any language, with each run of spaces counted as one character."""
_LONG = 8_000
"""Characters. A shorter prompt fits every context."""


def note_cut_prompt(call: Call, reply: Reply, environment: Environment) -> None:
    """Note that a server may have read only a part of the prompt: some cut it to their context silently."""
    size = sum(len(" ".join(message["content"].split())) for message in call.messages)
    if reply.tokens_in and size > _LONG and reply.tokens_in * _MOST_CHARACTERS_PER_TOKEN < size:
        environment.note(
            f"{call.server.model} read only {reply.tokens_in} tokens of a prompt with {size} characters;"
            " the server may have cut it to its context window"
        )


def show_lost_text(text: str, environment: Environment) -> None:
    """Print, under --verbose, the text of a cloud that is no answer: it was paid for."""
    lines = text.strip().splitlines()
    if lines:
        environment.detail("the cloud's text, which is not taken for an answer:")
        for line in lines:
            environment.detail(f"  {line}")


def show_server_message(fault: CloudFault, call: Call, key: str | None, environment: Environment) -> None:
    """Print, under --verbose, what the server said, without what it repeats of the prompt and the key."""
    if environment.verbosity > 0 and fault.server_message:
        said = safe_excerpt(fault.server_message, [one["content"] for one in call.messages], key)
        environment.detail(
            f"the server says: {said}" if said else "the server's message may hold a secret; it is not shown"
        )


def check_reply(reply: Reply, request: Request, environment: Environment) -> None:
    """Print the notes of the reply. Raises Failure (CHECK) if it is no whole answer."""
    for note in reply.notes:
        environment.note(note)
    try:
        _check(reply, request)
    except Failure:
        show_lost_text(reply.text, environment)
        raise


def _check(reply: Reply, request: Request) -> None:
    cut = reply.finish_reason == "length"
    if cut and not request.allows_truncated:
        raise Failure(
            ExitStatus.CHECK,
            "the cloud's answer was cut; raise cloud.max_tokens or --max-tokens, or take it as it is: --allow-truncated",
        )
    if reply.finish_reason == "content_filter":
        raise Failure(ExitStatus.CHECK, "the cloud's answer was withheld by its content filter")
    if not cut and reply.finish_reason != "stop":
        raise Failure(
            ExitStatus.CHECK,
            f"the cloud's answer is not whole: it ended with `{shorten(reply.finish_reason, 40)}`",
        )
    if not reply.text.strip() and not reply.images:
        if reply.refusal:
            raise Failure(ExitStatus.CHECK, f"the cloud model refused: {shorten(reply.refusal, 200)}")
        only_thought = ": it sent only its thinking" if reply.has_thought else ""
        raise Failure(ExitStatus.CHECK, f"the cloud's answer is empty{only_thought}")
    if "image_generation" in request.tools and not reply.images:
        raise Failure(ExitStatus.CHECK, f"the cloud made no image, but said: {shorten(reply.text)}")
