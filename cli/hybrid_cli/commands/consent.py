"""`hybrid consent`: which clouds may be sent to."""

from __future__ import annotations

from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app

app = new_app(
    help="Which clouds may be sent to. Nothing is sent to an origin without consent.",
    examples=(
        "hybrid consent ls",
        "hybrid consent grant https://api.openai.com",
    ),
)

Origin = Annotated[str, typer.Argument(metavar="ORIGIN", help="Such as https://api.openai.com")]


@app.command(
    "ls",
    examples=(
        "hybrid consent ls",
        "hybrid consent ls | cut -f 1",
    ),
)
def list_origins(context: typer.Context) -> None:
    """List the origins consented to, and for which of their models."""
    from hybrid_cli.privacy.consent import Consent
    from hybrid_cli.ui.table import listed

    invocation: Invocation = context.obj
    rows = list(Consent(invocation.environment).granted().items())
    if not rows:
        invocation.environment.note("no cloud may be sent to; to agree to one: hybrid consent grant ORIGIN")
    invocation.environment.tell(*listed(rows, invocation.environment))


@app.command(
    examples=(
        "hybrid consent grant https://api.openai.com",
        "hybrid consent grant http://localhost:8000",
    ),
)
def grant(context: typer.Context, origin: Origin) -> None:
    """Agree that prompts may be sent to ORIGIN when a profile hands off to it."""
    from hybrid_cli.privacy.consent import Consent

    invocation: Invocation = context.obj
    granted = Consent(invocation.environment).grant(origin)
    invocation.environment.note(f"consent is recorded: prompts may be handed off to {granted}")


@app.command(
    examples=(
        "hybrid consent revoke https://api.openai.com",
        "hybrid consent revoke http://localhost:8000",
    ),
)
def revoke(context: typer.Context, origin: Origin) -> None:
    """Take that consent back."""
    from hybrid_cli.privacy.consent import Consent

    invocation: Invocation = context.obj
    revoked = Consent(invocation.environment).revoke(origin)
    invocation.environment.note(f"consent is revoked: nothing is handed off to {revoked}")
