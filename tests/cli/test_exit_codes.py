"""The exit codes are a contract."""

from __future__ import annotations

from hybrid_cli.exit_status import ExitStatus


def test_exit_codes_are_the_contracts() -> None:
    assert {status.value for status in ExitStatus} == {0, 1, 2, 3, 4, 5, 6, 7, 8, 124, 130, 141, 143}
    assert all(status.meaning for status in ExitStatus)
