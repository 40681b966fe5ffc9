"""An answer that was paid for reaches a file, whatever the file is."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hybrid_cli.cascade.output_file import OutputFile
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.environment import Environment
from hybrid_process import Hybrid
from hybrid_process import environment as clean_shell
from scripted_cloud import Reply, ScriptedCloud


def environment(home: Path) -> Environment:
    return Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(home)})


def written(path: Path, data: bytes, home: Path) -> None:
    output = OutputFile(path, environment(home))
    output.file.write(data[:3])
    output.file.write(data[3:])
    output.commit()
    output.discard()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file that is a mount point, as a container has it: it can be written, not replaced."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("an older and longer answer")
    target.write_text("")
    mount = ["mount", "--bind", str(source), str(target)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("no file can be mounted here")
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)


def test_a_file_that_is_mounted_is_written_in_place(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path], mounted: Path, tmp_path: Path
) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    done = hybrid("run", "-p", path, "-o", mounted, "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    assert mounted.read_text() == (tmp_path / "source").read_text() == "The cloud says hello.\n"


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "answer"
    path.write_text("old")
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    written(link, b"answer", tmp_path / "home")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"answer", 0o640)
    assert link.is_symlink()
    assert {one.name for one in tmp_path.iterdir()} == {"answer", "link"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_in_a_folder_that_takes_no_new_one_is_written_in_place(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "answer"
    path.write_text("an older and longer answer")
    folder.chmod(0o500)
    written(path, b"answer", tmp_path / "home")
    assert path.read_bytes() == b"answer"


def test_on_a_full_disk_the_answer_is_kept_elsewhere(small_disk: Path, tmp_path: Path) -> None:
    path = small_disk / "answer"
    path.write_text("old")
    answer = b"x" * 2_000_000
    with pytest.raises(
        Failure, match="cannot be written: No space left on device; the answer is in"
    ) as failure:
        written(path, answer, tmp_path / "home")
    assert failure.value.status is ExitStatus.FAILURE
    place = Path(str(failure.value).rpartition(" ")[2])
    assert place.read_bytes() == answer
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert path.read_text() == "old"  # nothing of it was lost
    assert [one.name for one in small_disk.iterdir()] == ["answer"]


def test_what_a_device_does_not_take_is_kept_elsewhere(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path], home: Path
) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    for command in (("run",), ("pipe", "--each", "line")):
        done = hybrid(
            *command, "-q", "-p", path, "-o", "/dev/full", "hi", stdin=b"x\n", HYBRID_CONSENT=cloud.origin
        )
        begin, _, place = done.stderr.decode().strip().partition("; the answer is in ")
        assert (done.returncode, done.stdout) == (1, b"")
        assert begin == "hybrid: /dev/full cannot be written: No space left on device"
        assert Path(place).read_text() == "The cloud says hello.\n"
        assert Path(place).parent == home / "state"


def test_an_answer_to_stdout_keeps_the_position_of_a_file(
    search_path: str, cloud: ScriptedCloud, profile: Callable[..., Path], home: Path, tmp_path: Path
) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    places = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
    runs = "".join(f"hybrid run -q -p {path} -o {place} hi </dev/null; echo after;" for place in places)
    variables = clean_shell(home, PATH=search_path, HYBRID_CONSENT=cloud.origin)
    subprocess.run(["sh", "-c", f"({runs}) > log"], env=variables, cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "log").read_text() == "The cloud says hello.\nafter\n" * len(places)


def test_answers_that_no_disk_takes_are_printed(small_disk: Path) -> None:
    path = small_disk / "answer"
    with (small_disk.parent / "stdout").open("w+b") as stdout:
        output = OutputFile(path, Environment(None, stdout, io.StringIO(), {"HYBRID_HOME": str(small_disk)}))
        output.file.write(b"x" * 2_000_000)
        with pytest.raises(Failure, match="No space left on device; the answer is on stdout"):
            output.commit()
        output.discard()
        assert stdout.seek(0, 2) == 2_000_000


def test_a_pipe_onto_a_full_disk_names_the_file_and_the_place_of_the_answers(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path], small_disk: Path, home: Path
) -> None:
    cloud.replies = [Reply(pieces=("x" * 1_500_000,))]
    path = profile(cloud.section(", retries: 0") + "escalation: {mode: force}\n")
    for records, code in ((b"a\nb\n", 1), (b"a\nb\n\xff\n", 1)):  # with a record that failed, too
        done = hybrid(
            "pipe",
            "-q",
            "-p",
            path,
            "-o",
            small_disk / "out",
            "hi",
            stdin=records,
            HYBRID_CONSENT=cloud.origin,
        )
        assert (done.returncode, done.stdout) == (code, b"")
        begin, _, place = done.stderr.decode().splitlines()[-1].partition("; the answer is in ")
        assert begin == f"hybrid: {small_disk / 'out'} cannot be written: No space left on device"
        assert Path(place).stat().st_size == 3_000_002 + records.count(b"\xff")


def test_a_file_that_cannot_be_written_is_an_error_before_anything_is_sent(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path], tmp_path: Path
) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    for target in (tmp_path / "no" / "folder" / "answer", tmp_path):
        done = hybrid("run", "-p", path, "-o", target, "hi", HYBRID_CONSENT=cloud.origin)
        assert done.returncode in (1, 2)
    assert cloud.received == []
