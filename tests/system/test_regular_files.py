"""The files that hybrid looks for by itself: none but a regular file is opened, as a pipe may never get a writer."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hybrid_cli.cascade.conversations import stored as stored_conversations
from hybrid_cli.egress.learned_dialects import LearnedDialects
from hybrid_cli.exit_status import Failure
from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.profile.layers import read_project
from hybrid_cli.profile.trust import Trust
from hybrid_cli.system.files import NotRegularError, read_regular
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.other_tools import ollama_blob
from hybrid_cli.weights.partial import Partial
from hybrid_process import Hybrid

OLLAMA = "ollama/manifests/registry.ollama.ai/library/llama3/latest"


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link to a pipe").symlink_to("pipe")
    assert (read_regular(tmp_path / "link"), read_regular(tmp_path / "file", 2)) == (b"text", b"te")
    before = os.listdir("/proc/self/fd")  # noqa: PTH208  the folder of these is a descriptor, too
    for path in (tmp_path / "pipe", tmp_path / "link to a pipe", tmp_path, "/dev/zero"):
        with pytest.raises(NotRegularError) as raised:
            read_regular(path)
        assert (raised.value.filename, raised.value.strerror) == (str(path), "not a regular file")
    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208


MISSING = "does not exist"


@pytest.mark.parametrize(
    ("place", "given", "pipe", "link"),
    [
        ("config/default-model", "models default", (0, "smollm2-135m"), (0, "smollm2-135m")),
        (
            "config/consent.json",
            "consent ls",
            (1, "consent.json cannot be read: not a regular file"),
            (0, "no consent for any cloud"),
        ),
        (
            "config/trust.json",
            "profile trust",
            (1, "trust.json cannot be read: not a regular file"),
            (0, "trusted /"),
        ),
        (
            "config/serve-token",
            "serve --show-token",
            (1, "serve-token cannot be read: not a regular file"),
            (1, MISSING),
        ),
        ("config/models.yaml", "models ls --all", (2, "models.yaml is not a regular file"), (2, MISSING)),
        ("config/templates/t.md", "run -t t hi", (2, "t.md is not a regular file"), (2, MISSING)),
        ("config/templates/t.md", "templates ls", (0, "t.md is not a regular file"), (0, MISSING)),
        ("config/templates/t.md", "templates edit t", (2, "t.md is not a regular file"), (2, MISSING)),
        ("config/profile.yaml", "init", (1, "profile.yaml exists"), (1, "profile.yaml exists")),
        ("state/conversations/c.jsonl", "conversations ls", (0, "c\t0\t0\t"), (0, "no conversations")),
        (
            "schema.json",
            "run --schema ../schema.json hi",
            (2, "schema.json cannot be read: not a regular file"),
            (2, "schema.json cannot be read: No such file"),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_a_pipe_or_a_broken_link_keeps_no_command_waiting(
    place: str,
    given: str,
    pipe: tuple[int, str],
    link: tuple[int, str],
    kind: str,
    hybrid: Hybrid,
    home: Path,
) -> None:
    path, folder = home / place, home / "project"
    path.parent.mkdir(parents=True, exist_ok=True)
    (folder / ".git").mkdir(parents=True)
    if given == "profile trust":
        (folder / ".hybrid.yaml").write_text("version: 1\nchecks: {verify: ['true']}\n")
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("moved-away")
    done = hybrid(*given.split(), cwd=folder, timeout=20)
    code, message = pipe if kind == "pipe" else link
    assert (done.returncode, message in (done.stdout + done.stderr).decode()) == (code, True), done
    assert len(done.stderr.splitlines()) <= 3


def _with_pipes(home: Path, *places: str) -> Environment:
    for place in places:
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(home / place)
    variables = {"HYBRID_HOME": str(home), "HOME": str(home), "OLLAMA_MODELS": str(home / "ollama")}
    return Environment(None, None, io.StringIO(), variables)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("place", "read"),
    [
        ("state/dialects.json", lambda world: LearnedDialects(world).of(Server("https://a.example", "m"))),
        ("file.json", lambda world: Partial.resume(world.data_folder.parent)),
    ],
)
def test_a_record_that_is_no_file_counts_as_missing(
    place: str, read: Callable[[Environment], object], tmp_path: Path
) -> None:
    expected = read(_with_pipes(tmp_path))
    assert read(_with_pipes(tmp_path, place)) == expected


@pytest.mark.timeout(20)
def test_another_tools_record_that_is_a_pipe_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="ollama has no llama3"):
        ollama_blob("llama3", _with_pipes(tmp_path, OLLAMA))


@pytest.mark.timeout(20)
def test_a_pipe_that_a_projects_command_names_keeps_nobody_waiting(tmp_path: Path) -> None:
    world = _with_pipes(tmp_path, "project/check.sh")
    path = tmp_path / "project/.hybrid.yaml"
    path.write_text("version: 1\nchecks: {verify: [./check.sh]}\n")
    project = read_project(path, path.parent)
    Trust(world).record(project)
    assert Trust(world).covers(project)
    (tmp_path / "project/check.sh").unlink()
    (tmp_path / "project/check.sh").write_text("curl https://evil.example\n")
    assert not Trust(world).covers(project)


def test_a_broken_link_hides_no_model_and_no_conversation(
    hybrid: Hybrid, home: Path, weights_home: Path
) -> None:
    (home / "data").unlink()
    (home / "data/models").mkdir(parents=True)
    (home / "data/blobs").symlink_to(weights_home / "data/blobs")
    (record,) = (weights_home / "data/models").glob("*.json")
    (home / "data/models" / record.name).write_bytes(record.read_bytes())
    (home / "data/models/gone.json").symlink_to("moved-away")
    listed = hybrid("models", "ls").stdout.decode()
    assert "smollm2-135m\t*" in listed and "hybrid models rm gone" in listed
    assert hybrid("models", "rm", "gone").returncode == 0
    assert not os.path.lexists(home / "data/models/gone.json")

    folder = home / "state/conversations"
    folder.mkdir(parents=True)
    (folder / "kept.jsonl").write_text('{"role":"user","content":"Hi"}\n')
    (folder / "gone.jsonl").symlink_to("moved-away")
    world = Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(home)})
    assert [path.stem for path in stored_conversations(world)] == ["kept"]
    assert hybrid("conversations", "rm", "gone").returncode == 0
    assert not os.path.lexists(folder / "gone.jsonl")
