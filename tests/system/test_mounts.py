"""Network file systems, and folders without locks."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from hybrid_cli.exit_status import Failure
from hybrid_cli.system.files import locked
from hybrid_cli.system.mounts import network_file_system
from hybrid_cli.ui.environment import Environment

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home rw,relatime shared:2 - nfs4 server:/home rw,local_lock=all
31 30 8:2 / /home/anna/fast rw shared:3 - xfs /dev/sdb1 rw
32 22 0:41 / /mnt/my\\040share rw - cifs //server/share rw
33 22 0:42 / /homestead rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/anna/.local/state/hybrid", "nfs4"),
        ("/home/anna/fast/hybrid", None),
        ("/mnt/my share/hybrid", "cifs"),
        ("/homestead/hybrid", None),
        ("/var/lib", None),
    ],
)
def test_the_file_system_of_a_path(tmp_path: Path, path: str, kind: str | None) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert network_file_system(Path(path), mounts) == kind


def test_this_systems_own_mounts_are_read(tmp_path: Path) -> None:
    assert network_file_system(tmp_path) is None
    assert network_file_system(tmp_path, tmp_path / "missing") is None


def test_without_locks_the_message_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(_descriptor: int, _kind: int) -> None:  # no file system without locks can be made here
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    told = f"{tmp_path} is on a file system without locks; set HYBRID_HOME to a folder on a local disk"
    with pytest.raises(Failure) as failure, locked(tmp_path / "lock"):
        pass
    assert str(failure.value) == told


def test_home_in_a_variable_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    environment = Environment(None, None, None, {"HYBRID_HOME": "~/x"})
    assert environment.state_folder == tmp_path / "x" / "state"
