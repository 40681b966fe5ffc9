"""Completion scripts, tried in real shells on a terminal, and whether generated files are up to date."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

import pexpect
import pytest

from files import generated_files
from hybrid_cli.app import command_tree
from hybrid_cli.help.command_tree import read_tree

ROOT = Path(__file__).resolve().parents[2]
START = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}
SET_UP = {
    "bash": "bind 'set show-all-if-ambiguous on'; bind 'set completion-query-items 0'; bind 'set page-completions off'; source completions/hybrid.bash",
    "zsh": "fpath=($PWD/completions $fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=9999",
    "fish": "source completions/hybrid.fish",
}


MADE = generated_files(command_tree())


@pytest.mark.parametrize("name", sorted(MADE))
def test_generated_files_are_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == MADE[name], "run: python docs/generator"


class Shell:
    """An interactive shell in a terminal of 200 columns, whose PATH has no Python and no hybrid."""

    def __init__(self, name: str, home: Path, tools: Path) -> None:
        program = shutil.which(name)
        if program is None:
            pytest.skip(f"{name} is not installed")
        self.name = name
        self.screen = pexpect.spawn(
            program,
            START[name],
            env={
                "PATH": str(tools),
                "HOME": str(home),
                "HYBRID_HOME": str(home),
                "TERM": "vt100",
                "LANG": "C.UTF-8",
                "PS1": "$ ",
            },
            cwd=str(ROOT),
            dimensions=(60, 200),
            encoding="utf-8",
            timeout=20,
        )
        self.screen.sendline(SET_UP[name])
        self.screen.sendline("echo re'ad'y")
        self.screen.expect("\nready|\rready|ready\r")

    def tab(self, line: str, expected: str, quiet: float = 0.1) -> str:
        """The screen after `line` and Tab, twice as a user does who wants the list.

        It is read until the words of `expected` are there and nothing has followed for `quiet` seconds.
        """
        self.screen.send(f"{line}\t\t")
        text, deadline = "", time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                text += self.screen.read_nonblocking(10_000, timeout=quiet)
            except pexpect.TIMEOUT:
                if all(word in text for word in expected.split()):
                    break
        self.screen.send("\x15")  # Ctrl-U: the line is not run
        return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|[\x00-\x08\x0e-\x1a]", "", text)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A HYBRID_HOME with a profile and a model, and a folder for PATH with the few tools that fish needs."""
    home, tools = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("tools")
    for folder, file in (
        ("config/profiles", "zebra.yaml"),
        ("config/templates", "review.md"),
        ("data/models", "yak-7b.json"),
    ):
        (home / folder).mkdir(parents=True)
        (home / folder / file).touch()
    for tool in ("cat", "uname", "tput"):  # what fish itself starts
        found = shutil.which(tool)
        if found:
            (tools / tool).symlink_to(found)
    return home, tools


@pytest.fixture(scope="module", params=list(START))
def shell(request: pytest.FixtureRequest, folders: tuple[Path, Path]) -> Shell:
    shell = Shell(request.param, *folders)
    request.addfinalizer(shell.screen.close)
    return shell


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hybrid ca", "calibrate"),
        ("hybrid run --escal", "--escalation"),
        ("hybrid run --escalation f", "forbid force"),
        ("hybrid run -p z", "zebra"),
        ("hybrid run --profile of", "offline"),
        ("hybrid run -m y", "yak-7b"),
        ("hybrid run -t r", "review"),
        ("hybrid pipe --prompt-template r", "review"),
        ("hybrid templates show r", "review"),
        ("hybrid run --no-th", "--no-think"),
        ("hybrid run -f REA", "README.md"),
        ("hybrid models r", "rm"),
        ("hybrid models rm y", "yak-7b"),
        ("hybrid pull qwen3-0", "qwen3-0.6b"),
        ("hybrid usage --by out", "outcome"),
        ("hybrid usage pu", "purge"),
        ("hybrid eval REA", "README.md"),
        ("hybrid completion fi", "fish"),
        ("hybrid --color never ru", "run"),
        ("hybrid -q --color=never mod", "models"),
        ("hybrid models --color never r", "rm"),
        ("hybrid usage --by model pu", "purge"),
    ],
)
def test_a_shell_completes(shell: Shell, line: str, expected: str) -> None:
    screen = shell.tab(line, expected)
    assert all(word in screen for word in expected.split()), screen
    assert "rror" not in screen and "not found" not in screen, screen


def test_a_shell_lists_only_stored_models(shell: Shell) -> None:
    screen = shell.tab("hybrid run -m ", "yak-7b", quiet=0.6)
    assert "yak-7b" in screen
    assert "default" not in screen, screen


def test_zsh_and_fish_show_descriptions(folders: tuple[Path, Path]) -> None:
    for name in ("zsh", "fish"):
        shell = Shell(name, *folders)
        assert "Answer one prompt" in shell.tab("hybrid ", "Answer one prompt"), name
        shell.screen.close()


def test_every_option_is_completed() -> None:
    scripts = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "completions").iterdir()}
    for command in read_tree(command_tree()).walk():
        for option in command.options:
            for name in option.names:
                assert name in scripts["hybrid.bash"]
                assert name in scripts["_hybrid"]
                assert re.search(rf"-[ls] {name.lstrip('-')}\b", scripts["hybrid.fish"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_command_prints_the_installed_script(command: str, shell: str) -> None:
    done = subprocess.run([command, "completion", shell], capture_output=True, text=True, check=True)
    file = {"bash": "hybrid.bash", "zsh": "_hybrid", "fish": "hybrid.fish"}[shell]
    assert done.stdout == (ROOT / "completions" / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "man").iterdir()), ids=lambda path: path.name)
def test_man_renders_each_page_without_a_warning(page: Path) -> None:
    if shutil.which("man") is None or shutil.which("groff") is None:
        pytest.skip("man-db and groff are not installed")
    done = subprocess.run(
        ["man", "--warnings", "-l", str(page)],
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "MANPAGER": "cat", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "FILES", "ENVIRONMENT", "EXIT STATUS"):
        assert f"\n{heading}\n" in f"\n{done.stdout}", heading
