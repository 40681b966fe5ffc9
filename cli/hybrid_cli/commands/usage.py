"""`hybrid usage`: what was handed off, why, and what it cost."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date
from typing import Annotated, Literal

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import OPTIONS, OUTPUT, AsJson, Profile
from hybrid_cli.exit_status import ExitStatus, Failure

app = new_app(
    help="Show what was handed off, why, what it cost, and what is left of the limits.",
    examples=(
        "hybrid usage --by model",
        "hybrid usage --since 2026-11 --csv > november.csv",
    ),
)


By = Literal["day", "model", "origin", "profile", "reason", "outcome"]


def _date(since: str | None) -> str | None:
    """Reject a value that is not a day, a month or a year."""
    try:
        if since is not None:
            if not re.fullmatch("[0-9]{4}(-[0-9]{2}){0,2}", since):
                raise ValueError
            date.fromisoformat(since + "2000-01-01"[len(since) :])
    except ValueError:
        raise typer.BadParameter("must be a date such as 2026-11-24, 2026-11 or 2026") from None
    return since


@app.callback(invoke_without_command=True)
def usage(
    context: typer.Context,
    by: Annotated[By, typer.Option(help="Group requests by this property.", rich_help_panel=OPTIONS)] = "day",
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            callback=_date,
            help="Start at this day, month or year (UTC): 2026-11-24, 2026-11 or 2026.",
            rich_help_panel=OPTIONS,
        ),
    ] = None,
    profile: Profile = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.", rich_help_panel=OUTPUT)] = False,
    export: Annotated[
        bool,
        typer.Option(
            "--export",
            help="Print all requests, and a record of past purges, as JSON. Nothing is deleted.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
) -> None:
    """Show what was handed off, why, and what it cost. Days and months are in UTC."""
    if context.invoked_subcommand is not None:
        return
    if as_json + as_csv + export > 1:
        raise Failure(ExitStatus.USAGE, "--json, --csv and --export exclude each other")
    from hybrid_cli.egress.budget import left_of_limits
    from hybrid_cli.ledger import report
    from hybrid_cli.ledger.amounts import usd
    from hybrid_cli.ledger.database import Ledger
    from hybrid_cli.profile.policy import Flags, merge_policy

    invocation: Invocation = context.obj
    environment = invocation.environment
    ledger = Ledger(environment.state_folder)
    rows = ledger.rows(since or "")
    groups = report.group(rows, by)
    if export:
        observed = ledger.observations()
        listed = [
            {
                **row,
                **{name: json.loads(row[name]) for name in ("redactions", "images")},
                "observed": observed.get(row["id"]),
            }
            for row in rows
            if row["sha256"]
        ]
        environment.print_json({"requests": listed, "purged": ledger.purges()}, indent=2)
        return
    if as_csv:
        environment.print_lines(report.as_csv(groups).removesuffix("\n"))
        return
    policy = merge_policy(Flags(profile=profile), environment)
    left = {one.limit.key: one.amount for one in left_of_limits(policy, environment)}
    if as_json:
        sums = [vars(one) for one in groups]
        whole = vars(report.total(groups))
        environment.print_json({"by": by, "groups": sums, "total": whole, "left": left})
        return
    bars = environment.stdout_is_terminal()
    if not groups:
        environment.note("nothing was handed off")
    for line in report.as_table(groups, bars=bars, columns=shutil.get_terminal_size().columns):
        environment.print_lines(line)
    for key, value in left.items():
        environment.print_lines(f"{key}: {usd(value) if 'usd' in key else f'{value:.0f}'} left")


@app.command(
    examples=(
        "hybrid usage purge",
        "hybrid usage purge --yes",
    ),
)
def purge(
    context: typer.Context,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.", rich_help_panel=OPTIONS)
    ] = False,
) -> None:
    """Delete the ledger's requests. This month's amounts stay, so budgets stay spent."""
    from hybrid_cli.ledger.database import Ledger

    invocation: Invocation = context.obj
    environment = invocation.environment
    if not yes and not environment.confirm("delete the record of all requests?"):
        raise Failure(ExitStatus.USAGE, "nothing was purged; to purge without a question, pass --yes")
    count = Ledger(environment.state_folder).purge()
    environment.note(f"purged {count} requests")
