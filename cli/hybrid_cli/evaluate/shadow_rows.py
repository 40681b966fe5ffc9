"""Real traffic as rows: what shadow mode left in the ledger, with the cloud's answers as the labels."""

from __future__ import annotations

from hybrid_cli.evaluate.rows import Row
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.features import VERSION
from hybrid_cli.ledger.database import Ledger
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment


def traffic_rows(policy: Policy, weights: str, environment: Environment, *, least: int) -> list[Row]:
    """A row for each prompt whose answers, by `weights` and by the policy's cloud, could be compared.

    The local answer counts as right where it agrees. Raises Failure (USAGE) for fewer than `least`.
    """
    if policy.cloud is None:
        raise Failure(ExitStatus.USAGE, f"no cloud is set in profile `{policy.profile}`; it has the labels")
    model = policy.cloud.model
    ledger = Ledger(environment.state_folder)
    observed = ledger.observations()
    of_both = [
        {**observed[row["id"]], "id": row["id"]}
        for row in ledger.rows()
        if row["id"] in observed
        and row["model"] == model
        and observed[row["id"]]["weights"] == weights
        and observed[row["id"]]["version"] == VERSION
    ]
    told = [one for one in of_both if one["agreement"] is not None]
    if len(told) < least:
        raise Failure(
            ExitStatus.USAGE,
            f"the ledger holds {len(told)} answers of {policy.local.model} that can be compared with"
            f" {model}'s (of {len(of_both)}), and {least} are the least; escalation.shadow gathers them",
        )
    return [
        Row(
            key=str(one["id"]),
            task="traffic",
            group="traffic",
            signals=one["signals"],
            running=one["running"],
            finish_reason="stop",
            tokens_in=one["tokens_in"],
            tokens_out=one["tokens_out"],
            local_right=one["agreement"] >= 0.5,
            cloud_right=True,
        )
        for one in told
    ]
