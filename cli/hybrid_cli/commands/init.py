"""`hybrid init`: write a profile of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import CLOUD, MODEL_AND_PROFILE, CloudChoice, CloudModel, Escalation, Model

app = new_app()


@app.command(
    examples=(
        "hybrid init",
        "hybrid init --model qwen3-4b --cloud groq --cloud-model openai/gpt-oss-120b",
        "hybrid init --name work --escalation ask",
    ),
)
def init(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Write the profile NAME for -p. [default: your settings for every command]",
            show_default=False,
            rich_help_panel=MODEL_AND_PROFILE,
        ),
    ] = None,
    model: Model = None,
    cloud: CloudChoice = None,
    cloud_model: CloudModel = None,
    escalation: Escalation = None,
    usd_per_day: Annotated[
        float,
        typer.Option(
            min=0, max=1_000_000, metavar="USD", help="Spend at most USD a day.", rich_help_panel=CLOUD
        ),
    ] = 1.0,
) -> None:
    """Write a commented profile into the config folder.

    On a terminal, hybrid asks for the model and the cloud that no option names. It never overwrites a file.
    """
    from hybrid_cli.profile.new_profile import Choices, write_profile
    from hybrid_cli.weights.models import require_known

    invocation: Invocation = context.obj
    environment = invocation.environment
    choices = Choices(model, cloud, cloud_model, escalation or "auto", usd_per_day)
    write_profile(name, choices, environment, lambda one: require_known(one, environment))
