"""Rows from real traffic: shadow mode's records in the ledger, labelled by the cloud's answers."""

from __future__ import annotations

import math

from hybrid_cli.evaluate.rows import Row
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.features import VERSION
from hybrid_cli.gate.local_score import answer_form
from hybrid_cli.gate.prompt_kinds import prompt_kinds
from hybrid_cli.ledger.database import Ledger
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment


def traffic_rows(policy: Policy, weights: str, environment: Environment, *, least: int) -> list[Row]:
    """A row for each prompt that both `weights` and the policy's cloud answered comparably.

    The local answer counts as right if the two agree. Raises Failure (USAGE) for fewer than `least` rows.
    """
    if policy.cloud is None:
        raise Failure(
            ExitStatus.USAGE,
            f"profile `{policy.profile}` has no cloud, whose answers are the labels; set cloud.base_url",
        )
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
    comparable = [one for one in of_both if one["agreement"] is not None]
    if len(comparable) < least:
        raise Failure(
            ExitStatus.USAGE,
            f"only {len(comparable)} of {len(of_both)} answers of {policy.local.model} in the ledger can be"
            f" compared with {model}'s, and calibration needs at least {least}; set escalation.shadow to gather more",
        )
    kinds = len(prompt_kinds().kinds)  # the prompts are not recorded, so each counts as no kind
    return [
        Row(
            key=str(one["id"]),
            task="traffic",
            group="traffic",
            form=answer_form(_content_tokens(one["signals"]), has_schema=False, has_choices=False),
            kinds=[1 / kinds] * kinds,
            signals=one["signals"],
            running=one["running"],
            finish_reason="stop",
            tokens_in=one["tokens_in"],
            tokens_out=one["tokens_out"],
            doubted=False,
            local_right=one["agreement"] >= 0.5,
            cloud_right=True,
        )
        for one in comparable
    ]


def _content_tokens(signals: dict[str, float]) -> int:
    return round(math.exp(signals["log_tokens"]))
