"""`hybrid doctor`, on a machine that is well and on one that is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from conftest import Hybrid
from scripted_cloud import ScriptedCloud


def states(text: bytes) -> dict[str, str]:
    return {finding["subject"]: finding["state"] for finding in json.loads(text)}


def test_a_machine_that_is_well(hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]) -> None:
    path = profile(cloud.section())
    done = hybrid("doctor", "-p", path, "--online", "--json", HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 0
    found = states(done.stdout)
    assert found["weights"] == found["cloud"] == found["consent"] == "ok"
    assert cloud.received == []


def test_what_fails_is_named_with_what_to_do(hybrid: Hybrid, tmp_path: Path) -> None:
    done = hybrid("doctor", HYBRID_HOME=str(tmp_path / "empty"))
    assert done.returncode == 1
    assert b"fail  weights" in done.stdout
    assert b"run: hybrid pull" in done.stdout
    assert b"warn  consent" in done.stdout
    assert done.stderr == b"hybrid: weights: see above\n"
