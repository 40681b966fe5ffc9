"""`hybrid usage`: what left the machine, why, and what it cost."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date
from enum import Enum
from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import CHOICE, OUTPUT, AsJson, Profile
from hybrid_cli.exit_status import ExitStatus, Failure

app = new_app(
    help="What was handed off, why, what it cost, and what is left of the limits.",
    examples=(
        "hybrid usage --by model",
        "hybrid usage --since 2026-11 --csv > november.csv",
    ),
)


class By(str, Enum):
    day = "day"
    model = "model"
    origin = "origin"
    profile = "profile"
    reason = "reason"
    outcome = "outcome"


def _date(since: str | None) -> str | None:
    """Refuse what is no day, month or year."""
    try:
        if since is not None:
            if not re.fullmatch("[0-9]{4}(-[0-9]{2}){0,2}", since):
                raise ValueError
            date.fromisoformat(since + "2000-01-01"[len(since) :])
    except ValueError:
        raise typer.BadParameter("it must be a date, as 2026-11-24, 2026-11 or 2026") from None
    return since


@app.callback(invoke_without_command=True)
def usage(
    context: typer.Context,
    by: Annotated[By, typer.Option(help="What to sum up by.", rich_help_panel=CHOICE)] = By.day,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            callback=_date,
            help="From this day, month or year on (UTC): 2026-11-24, 2026-11 or 2026.",
            rich_help_panel=CHOICE,
        ),
    ] = None,
    profile: Profile = None,
    as_json: AsJson = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the sums as CSV.", rich_help_panel=OUTPUT)
    ] = False,
    export: Annotated[
        bool,
        typer.Option(
            "--export",
            help="Print every request as JSON, and when which were purged.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
) -> None:
    """Sum up the requests that were sent to clouds. Days and months are those of UTC."""
    if context.invoked_subcommand is not None:
        return
    if as_json + as_csv + export > 1:
        raise Failure(ExitStatus.USAGE, "--json, --csv and --export exclude each other")
    from hybrid_cli.egress.budget import left_of_limits
    from hybrid_cli.ledger import report
    from hybrid_cli.ledger.database import Ledger, usd
    from hybrid_cli.profile.policy import Flags, merge_policy

    invocation: Invocation = context.obj
    environment = invocation.environment
    ledger = Ledger(environment.state_folder)
    rows = ledger.rows(since or "")
    groups = report.group(rows, by.value)
    if export:
        observed = ledger.observations()
        listed = [
            {**row, "redactions": json.loads(row["redactions"]), "observed": observed.get(row["id"])}
            for row in rows
            if row["sha256"]
        ]
        typer.echo(json.dumps({"requests": listed, "purged": ledger.purges()}, indent=2))
        return
    if as_csv:
        typer.echo(report.as_csv(groups), nl=False)
        return
    policy = merge_policy(Flags(profile=profile), environment)
    left = {one.limit.key: one.amount for one in left_of_limits(policy, environment)}
    if as_json:
        sums = [vars(one) for one in groups]
        whole = vars(report.total(groups))
        typer.echo(json.dumps({"by": by.value, "groups": sums, "total": whole, "left": left}))
        return
    bars = environment.stdout_is_terminal()
    if not groups:
        environment.note("nothing was handed off")
    for line in report.as_table(groups, bars=bars, columns=shutil.get_terminal_size().columns):
        environment.tell(line)
    for key, value in left.items():
        environment.tell(f"{key}: {usd(value) if 'usd' in key else f'{value:.0f}'} left")


@app.command(
    examples=(
        "hybrid usage purge",
        "hybrid usage purge --yes",
    ),
)
def purge(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.", rich_help_panel=CHOICE)] = False,
) -> None:
    """Forget what was sent. Amounts of this month stay, so that a purge gives no budget back."""
    from hybrid_cli.ledger.database import Ledger

    invocation: Invocation = context.obj
    environment = invocation.environment
    if not yes and not environment.confirm("forget what was sent?"):
        raise Failure(ExitStatus.USAGE, "nothing was purged; --yes says so without a question")
    count = Ledger(environment.state_folder).purge()
    environment.note(f"{count} requests are forgotten")
