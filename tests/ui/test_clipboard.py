"""`--copy`, with programs in the place of clipboard tools: a clipboard needs a display, and a test has none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hybrid_cli.ui.clipboard import TOOLS
from hybrid_process import HELLO, Hybrid


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH in which each tool writes its arguments, and then its stdin, to a file of its name."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for tool in TOOLS:
        path = folder / tool.command[0]
        path.write_text(
            f'#!/bin/sh\n/bin/cat > {tmp_path}/copied-{path.name}\necho "$@" > {tmp_path}/{path.name}\n'
        )
        path.chmod(0o755)
    return folder


def copied(folder: Path) -> dict[str, bytes]:
    return {path.name.removeprefix("copied-"): path.read_bytes() for path in folder.glob("copied-*")}


def test_the_answer_is_copied_by_the_tool_of_the_display(hybrid: Hybrid, tools: Path, tmp_path: Path) -> None:
    run = ("run", "-p", "offline", "-q", "--copy", *HELLO)
    for tool, variables in (
        ("wl-copy", {"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}),
        ("xclip", {"DISPLAY": ":0"}),
        ("pbcopy", {}),
    ):
        done = hybrid(*run, PATH=str(tools), **variables)
        assert done.returncode == 0, done.stderr
        assert copied(tmp_path) == {tool: done.stdout.strip()}
        (tmp_path / f"copied-{tool}").unlink()
    assert (tmp_path / "xclip").read_text() == "-selection clipboard\n"
    for name in ("wl-copy", "xclip", "xsel", "pbcopy"):
        (tools / name).unlink()
    done = hybrid(*run, PATH=str(tools))
    assert copied(tmp_path)["clip.exe"].decode("utf-16-le") == done.stdout.decode().strip()


def test_without_a_tool_nothing_begins(hybrid: Hybrid, tmp_path: Path) -> None:
    done = hybrid("run", "--copy", "hi", PATH=str(tmp_path), DISPLAY=":0")
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("hybrid: --copy needs one of wl-copy, xclip, xsel, pbcopy, clip.exe")


def test_a_failed_run_copies_nothing_and_a_failed_copy_fails(
    hybrid: Hybrid, tools: Path, tmp_path: Path
) -> None:
    done = hybrid("run", "-p", "offline", "--copy", "--max-tokens", "1", "Tell a story.", PATH=str(tools))
    assert done.returncode == 7
    assert b"".join(copied(tmp_path).values()) == b""
    assert not (tmp_path / "pbcopy").exists()  # it was ended before it could copy an empty text
    (tools / "pbcopy").write_text("#!/bin/sh\nexit 4\n")
    done = hybrid("run", "-p", "offline", "-q", "--copy", *HELLO, PATH=str(tools))
    assert (done.returncode, done.stdout.strip() != b"") == (1, True)
    assert b"the answer was not copied: pbcopy failed" in done.stderr
    assert os.access(tools / "wl-copy", os.X_OK)
