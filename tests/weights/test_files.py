"""Files that are replaced atomically, and locks between processes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hybrid_cli.system.files import DEFAULT_MODE, Busy, Replacement, locked, open_locked, replacing


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_at_the_end_and_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert (path.read_text(), mode(path)) == ("new", 0o600)
    with replacing(path, DEFAULT_MODE) as file:
        file.write(b"newer")
    assert mode(path) & 0o600 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_replacement_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half")
        _ = 1 // 0
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    path.unlink()
    path.mkdir()  # it cannot be replaced by a file
    with pytest.raises(OSError, match="directory"), replacing(path) as file:
        file.write(b"x")
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as one, replacing(path) as other:
        one.write(b"one" * 100_000)
        other.write(b"other")
    assert path.read_text() == "one" * 100_000  # the last to end


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with replacing(link) as file:
        file.write(b"new")
    assert (target.read_text(), link.read_text(), link.is_symlink()) == ("old", "new", False)


def test_a_committed_file_stays_open(tmp_path: Path) -> None:
    replacement = Replacement(tmp_path / "file")
    replacement.file.write(b"one")
    replacement.commit(durable=True)
    replacement.file.write(b"two")
    replacement.close()
    assert (tmp_path / "file").read_text() == "onetwo"


def test_a_lock_survives_its_deletion_and_ends_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path) as waited:
        assert not waited
        with pytest.raises(Busy), locked(path):
            pass
        path.unlink()
        with locked(path):  # another file by now
            pass
    with locked(path, shared=True), locked(path, shared=True), pytest.raises(Busy), locked(path):
        pass


def test_a_lock_is_not_made_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_locked(tmp_path / "none" / "lock")
