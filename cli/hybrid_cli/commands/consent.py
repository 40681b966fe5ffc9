"""`hybrid consent`: the clouds that prompts may be sent to."""

from __future__ import annotations

from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app

app = new_app(
    help="Choose the clouds that hybrid may send prompts to. Without consent, it sends nothing.",
    examples=(
        "hybrid consent ls",
        "hybrid consent grant https://api.openai.com",
    ),
)

Origin = Annotated[
    str, typer.Argument(metavar="ORIGIN", help="Origin of the cloud, such as https://api.openai.com.")
]


@app.command(
    "ls",
    examples=(
        "hybrid consent ls",
        "hybrid consent ls | cut -f 1",
    ),
)
def list_origins(context: typer.Context) -> None:
    """List the origins you consented to, and the models each consent covers."""
    from hybrid_cli.privacy.consent import Consent
    from hybrid_cli.ui.table import table_lines

    invocation: Invocation = context.obj
    rows = list(Consent(invocation.environment).granted().items())
    if not rows:
        invocation.environment.note("no consent for any cloud; to give it, run: hybrid consent grant ORIGIN")
    invocation.environment.print_lines(*table_lines(rows, invocation.environment))


@app.command(
    examples=(
        "hybrid consent grant https://api.openai.com",
        "hybrid consent grant http://localhost:8000",
    ),
)
def grant(context: typer.Context, origin: Origin) -> None:
    """Allow handoffs to ORIGIN. The profile still decides when to hand off."""
    from hybrid_cli.privacy.consent import Consent

    invocation: Invocation = context.obj
    granted = Consent(invocation.environment).grant(origin)
    invocation.environment.note(f"consent granted: hybrid may hand off to {granted}")


@app.command(
    examples=(
        "hybrid consent revoke https://api.openai.com",
        "hybrid consent revoke http://localhost:8000",
    ),
)
def revoke(context: typer.Context, origin: Origin) -> None:
    """Revoke the consent for ORIGIN."""
    from hybrid_cli.privacy.consent import Consent

    invocation: Invocation = context.obj
    revoked = Consent(invocation.environment).revoke(origin)
    invocation.environment.note(f"consent revoked: hybrid hands nothing off to {revoked}")
