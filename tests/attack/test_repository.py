"""A hostile repository gets no policy, no command and no prompt."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from hostile_repository import HostileRepository
from hybrid_cli.checks.verify import verify
from hybrid_cli.cloud.keys import read_key
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.pipe.resume import open_resumed
from hybrid_cli.profile.cloud_section import Key
from hybrid_cli.profile.loader import COMMANDS, with_absolute_paths
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.prompt_files.folders import files_in
from hybrid_cli.system.child_environment import for_command
from hybrid_cli.system.work_tree import work_tree_of
from hybrid_cli.ui.environment import Environment
from hybrid_process import Hybrid, environment
from scripted_cloud import ScriptedCloud


@pytest.fixture
def hostile(tmp_path: Path) -> HostileRepository:
    return HostileRepository(tmp_path / "checkout")


def world(home: Path, **variables: str) -> Environment:
    return Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(home), **variables})


@pytest.mark.parametrize("victim", ["file", "missing file", "folder"])
def test_no_link_of_a_repository_has_hybrid_write_elsewhere(
    hybrid: Hybrid, hostile: HostileRepository, tmp_path: Path, victim: str
) -> None:
    outside = tmp_path / "victim"
    outside.mkdir()
    if victim == "file":
        (outside / "bashrc").touch()
    link, target = ("out", outside) if victim == "folder" else ("summary.txt", outside / "bashrc")
    (hostile.root / link).symlink_to(Path("..") / target.relative_to(tmp_path))
    name = "out/bashrc" if victim == "folder" else link
    for command in (
        ("run", "-o", name, "hi"),
        ("run", "--conversation", f"./{name}", "hi"),
        ("pipe", "-o", name, "hi"),
        ("pipe", "--jsonl", "--resume", name, "hi"),
    ):
        done = hybrid(*command, cwd=hostile.root, HOME=str(tmp_path), stdin=b"x\n")
        (line,) = done.stderr.decode().splitlines()
        assert (done.returncode, done.stdout) == (2, b""), (command, line)
        assert f"{name} is a link out of its repository; to write there, name {outside / 'bashrc'}" in line
    assert [one.read_bytes() for one in outside.iterdir()] == ([b""] if victim == "file" else [])


@pytest.mark.parametrize("mark", ["pyproject.toml", ".gitignore", "Dockerfile", ".github"])
def test_sources_without_version_control_are_a_repository(
    hybrid: Hybrid, hostile: HostileRepository, tmp_path: Path, mark: str
) -> None:
    (hostile.root / ".git").rmdir()
    key = hostile.program("key.sh", "sk-stolen")
    hostile.write(mark)
    cloud = f'cloud: {{base_url: "http://127.0.0.1:9/v1", model: m, key: {{command: [{key}]}}}}'
    hostile.write(".home/config/profiles/offline.yaml", f"version: 1\nescalation: {{mode: force}}\n{cloud}\n")
    hostile.write(".home/config/consent.json", '{"http://127.0.0.1:9": "*"}')
    done = hybrid(
        *("run", "-p", "offline", "hi"),
        cwd=hostile.root,
        HOME=str(tmp_path),
        HYBRID_HOME=str(hostile.root / ".home"),
    )
    (line,) = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (3, b"")
    assert f"in the repository {hostile.root}" in line
    assert not hostile.has_run()


def test_settings_in_the_home_folder_are_read_beside_files_of_any_name(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / ".config", tmp_path / ".local" / "state"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").touch()
        assert work_tree_of(folder / "hybrid", {"HOME": str(tmp_path)}) is None
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "Makefile").touch()
    assert work_tree_of(tmp_path / "source" / "home", {"HOME": str(tmp_path)}) == tmp_path / "source"


def test_links_of_ones_own_are_followed(hostile: HostileRepository, tmp_path: Path) -> None:
    (hostile.root / "inside").symlink_to("sub/../answer.txt")
    (tmp_path / "own").symlink_to(hostile.root / "answer.txt")
    for path in (hostile.root / "inside", tmp_path / "own", hostile.root / ".." / "answer.txt"):
        world(tmp_path).check_link(path)


def test_no_file_is_created_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "answers.jsonl"
    link.symlink_to(tmp_path / "missing")
    with pytest.raises(Failure, match="a link to a file that does not exist"), open_resumed(link, "hybrid"):
        pass
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("variable", ["HYBRID_HOME", "XDG_CONFIG_HOME", "link"])
def test_settings_inside_a_checkout_are_never_read(
    hybrid: Hybrid, cloud: ScriptedCloud, hostile: HostileRepository, variable: str, tmp_path: Path
) -> None:
    key = hostile.program("key.sh", "sk-stolen")
    folder = {"HYBRID_HOME": ".home/config", "XDG_CONFIG_HOME": ".home/hybrid", "link": ".home/config"}[
        variable
    ]
    text = f"version: 1\nescalation: {{mode: force}}\n{cloud.section(f', key: {{command: [{key}]}}')}"
    hostile.write(f"{folder}/profiles/offline.yaml", text)
    hostile.write(f"{folder}/profile.yaml", text)
    hostile.write(f"{folder}/consent.json", json.dumps({cloud.origin: "*"}))
    home = str(hostile.root / ".home")
    if variable == "link":
        (tmp_path / "link").symlink_to(home)
        home = str(tmp_path / "link")
    variables = (
        {"XDG_CONFIG_HOME": home, "HYBRID_HOME": ""}
        if variable == "XDG_CONFIG_HOME"
        else {"HYBRID_HOME": home}
    )
    for command in (
        ("run", "-p", "offline", "hi"),
        ("run", "hi"),
        ("consent", "ls"),
        ("usage",),
        ("profile", "ls"),
    ):
        done = hybrid(*command, cwd=hostile.root, HOME=str(tmp_path), **variables)
        (line,) = done.stderr.decode().splitlines()
        assert (done.returncode, done.stdout) == (3, b""), (command, line)
        assert f"in the repository {hostile.root}" in line
    assert cloud.received == []
    assert not hostile.has_run()


def test_a_ci_checkout_without_git_is_one_too(tmp_path: Path) -> None:
    variables = {"CI_PROJECT_DIR": str(tmp_path), "HOME": "/root"}
    with pytest.raises(Failure, match="in the repository") as caught:
        _ = world(tmp_path / "home", **variables).config_folder
    assert caught.value.status is ExitStatus.DENIED


def test_weights_may_be_in_a_checkout_and_settings_in_a_home_that_is_a_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert world(tmp_path / "x", HOME="/root").data_folder == tmp_path / "x" / "data"
    assert world(tmp_path / "x", HOME=str(tmp_path)).config_folder == tmp_path / "x" / "config"


@pytest.mark.parametrize("inner", ["version: 1\n", "version: 1\nescalation: {mode: auto}\n", None])
@pytest.mark.parametrize("is_repository", [True, False])
def test_a_subfolder_cannot_lift_what_the_root_forbids(
    hostile: HostileRepository,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    inner: str | None,
    is_repository: bool,
) -> None:
    hostile.write(".hybrid.yaml", "version: 1\nescalation: {mode: forbid}\nlimits: {seconds: 9}\n")
    package = hostile.root / "vendor" / "pkg"
    package.mkdir(parents=True)
    if inner is not None:
        hostile.write("vendor/pkg/.hybrid.yaml", inner)
    if is_repository:
        (package / ".git").mkdir()
    monkeypatch.chdir(package)
    policy = merge_policy(Flags(), world(home))
    assert (policy.mode, policy.limits.seconds) == ("forbid", 9)
    assert policy.decided_by.startswith("the project's ")


def test_rules_of_each_project_file_count(
    hostile: HostileRepository, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = "version: 1\nescalation: {{rules: [{{when: {{tags: [{tag}]}}, then: {then}}}]}}\n"
    hostile.write(".hybrid.yaml", rule.format(tag="a", then="forbid"))
    hostile.write("sub, folder/.hybrid.yaml", rule.format(tag="b", then="ask"))
    monkeypatch.chdir(hostile.root / "sub, folder")
    layers = [layer for layer, _ in merge_policy(Flags(), world(home)).rules]
    assert layers == ["the project's .hybrid.yaml", "the project's sub_ folder/.hybrid.yaml"]


def test_the_question_about_trust_hides_nothing(hostile: HostileRepository, home: Path, command: str) -> None:
    padding = " " * 4000
    hostile.write(
        ".hybrid.yaml",
        f"version: 1\nchecks: {{verify: [sh, -c, 'true {padding} {'x' * 3000}; touch {hostile.mark}']}}\n",
    )
    child = pexpect.spawn(
        command,
        ["run", "hi"],
        cwd=str(hostile.root),
        env=environment(home, NO_COLOR="1"),
        timeout=60,
        dimensions=(24, 80),
    )
    shown = ""
    while child.expect([r"press Enter", r"Trust this exact content\?"]) == 0:
        shown += child.before.decode()
        child.sendline("")
    shown += child.before.decode()
    assert str(hostile.mark) in shown.replace("\r\nhybrid: ", "")
    assert "[4002 blanks]" in shown
    child.sendline("n")
    child.close(force=True)
    assert not hostile.has_run()


def test_trust_ends_when_a_script_that_the_file_names_changes(
    hybrid: Hybrid, hostile: HostileRepository
) -> None:
    script = hostile.write("tools/check.sh", "#!/bin/sh\nexit 0\n", is_program=True)
    hostile.write(".hybrid.yaml", "version: 1\nchecks: {verify: [./tools/check.sh]}\n")
    deep = hostile.root / "src"
    deep.mkdir()
    trusted = hybrid("profile", "trust", cwd=deep)
    assert b"tools/check.sh: trust covers their content, but not what they run or read" in trusted.stderr
    done = hybrid("run", "-p", "offline", "--max-tokens", "3", "hi", cwd=deep)
    assert b"not trusted" not in done.stderr
    script.write_text(f"#!/bin/sh\ntouch {hostile.mark}\n")
    done = hybrid("run", "-p", "offline", "hi", cwd=deep)
    assert done.returncode == 3
    assert b"is not trusted, and it sets checks.verify" in done.stderr
    assert not hostile.has_run()


def test_a_modules_name_in_the_working_folder_is_not_run(
    hostile: HostileRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 has no safe path; the documents use -I")
    hostile.write("json/__init__.py")
    hostile.write("json/tool.py", f"open({str(hostile.mark)!r}, 'w')")
    hostile.program("json.tool")
    monkeypatch.chdir(hostile.root)
    for flags in ((), ("-I",)):
        assert verify([sys.executable, *flags, "-m", "json.tool", "{file}"], "{}", os.environ) is None
    with pytest.raises(Failure, match="exited with code"):  # the real module has nothing to read
        read_key(Key(command=[sys.executable, "-m", "json.tool"]), world(tmp_path))
    assert not hostile.has_run()


@pytest.mark.parametrize("path", [".", "", "bin"])
def test_a_programs_name_in_the_working_folder_is_no_command(
    hostile: HostileRepository, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile.program(f"{path or '.'}/pass", "sk-stolen")
    monkeypatch.chdir(hostile.root)
    variables = {"PATH": f"{path}:/nonexistent"}
    monkeypatch.setenv("PATH", variables["PATH"])
    with pytest.raises(Failure, match="cannot be started"):
        read_key(Key(command=["pass"]), world(tmp_path, **variables))
    with pytest.raises(Failure, match="cannot be started"):
        verify(["pass"], "{}", variables)
    assert not hostile.has_run()


@pytest.mark.parametrize("transport", ["ssh", "file", "ext"])
def test_git_lists_files_without_a_command_of_the_repository(tmp_path: Path, transport: str) -> None:
    """The index has a folder whose tree is missing, and the remote that should have it names a command."""
    root, mark = tmp_path / "clone", tmp_path / "ran"
    (root / "part").mkdir(parents=True)
    for name in ("a.txt", "part/b.txt"):
        (root / name).write_text("text\n")

    def git(*arguments: str) -> str:
        own = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "core.abbrev=40")
        done = subprocess.run(["git", "-C", root, *own, *arguments], capture_output=True, check=True)
        return done.stdout.decode().strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "a")
    tree = git("rev-parse", "HEAD:part")
    git("sparse-checkout", "init", "--cone", "--sparse-index")
    if "part/\n" not in f"{git('ls-files', '--sparse')}\n":
        pytest.skip("this Git has no sparse index")
    (root / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    url = {"ssh": "ssh://host/x", "file": str(tmp_path), "ext": f"ext::touch {mark}"}
    for key, value in (
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", url[transport]),
        ("core.sshCommand", f"touch {mark};:"),
        ("remote.origin.uploadpack", f"touch {mark};:"),
        ("protocol.allow", "always"),
    ):
        git("config", key, value)
    with contextlib.suppress(Failure):  # whether Git can list them does not matter
        files_in(str(root), world(tmp_path, PATH=os.environ["PATH"], HOME=str(tmp_path)))
    assert not mark.exists()


def test_commands_of_a_profile_start_at_its_folder(hostile: HostileRepository, tmp_path: Path) -> None:
    own = tmp_path / "config"
    (own / "tools").mkdir(parents=True)
    (own / "tools" / "check.py").touch()
    words = ["./tools/run", "tools/check.py", "s/a/b/", "--x=tools/check.py", "{file}", "-"]
    anchored = [f"{own}/tools/run", f"{own}/tools/check.py", *words[2:]]
    for keys in COMMANDS:
        data: object = words
        for key in reversed(keys):
            data = {key: [data] if key == "fallbacks" else data}
        found: object = with_absolute_paths(data, own)  # type: ignore[arg-type]
        for key in keys:
            found = found[key][0] if key == "fallbacks" else found[key]  # type: ignore[index]
        assert [os.path.normpath(word) if "/" in word else word for word in found] == [  # type: ignore[attr-defined]
            os.path.normpath(word) if "/" in word else word for word in anchored
        ]


SECRET_VARIABLES = (
    "OPENAI_API_KEY", "MYSQL_PWD", "SSHPASS", "GH_PAT", "DATABASE_URL", "DB_PASS", "JWT", "COOKIE", "HTTPS_PROXY",
    "NPM_CONFIG__AUTH", "DOCKER_AUTH_CONFIG", "VAULT_ADDR", "MY_OWN", "SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS",
    "SSLKEYLOGFILE", "LD_PRELOAD", "PYTHONSTARTUP", "PYTHONINSPECT", "BASH_ENV", "GIT_SSH_COMMAND",
)  # fmt: skip


def test_commands_see_no_variable_that_may_hold_a_secret(hostile: HostileRepository) -> None:
    plain = {
        "PATH": f".::bin:{os.environ['PATH']}",
        "HOME": "/h",
        "LANG": "C",
        "LC_ALL": "C",
        "VIRTUAL_ENV": "/v",
    }
    kept = for_command({**plain, **dict.fromkeys(SECRET_VARIABLES, "canary")})
    assert "canary" not in kept.values()
    assert kept.keys() == {*plain, "PYTHONSAFEPATH"}
    assert all(Path(folder).is_absolute() for folder in kept["PATH"].split(":"))
    code = "import os, sys; sys.exit('canary' in os.environ.values())"
    done = subprocess.run([sys.executable, "-c", code], env=kept, check=False)
    assert done.returncode == 0
