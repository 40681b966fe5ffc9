"""The README is true: its examples are run and its tables compared with the code."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hybrid_cli.exit_status import ExitStatus
from hybrid_cli.help.topics import VARIABLES
from hybrid_cli.profile.loader import read_checked, shipped_folder
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.profile.schema import Profile
from hybrid_cli.ui.environment import Environment
from hybrid_process import environment
from scripted_cloud import ScriptedCloud

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def block(language: str, number: int = 0) -> str:
    """What stands in the first code block of that language, or in a later one."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)[number]


def test_the_examples_do_what_they_show(command: str, home: Path, tmp_path: Path) -> None:
    shown = block("console")
    examples = [line.removeprefix("$ ") for line in shown.splitlines() if line.startswith("$ ")]
    assert len(examples) == 5
    script = "\n".join(f"printf '%s\\n' {quote('$ ' + line)}\n{line}" for line in examples)
    variables = environment(home)
    variables["PATH"] = f"{Path(command).parent}:{variables['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"exec 2>&1 </dev/null\n{script}"],
        capture_output=True,
        text=True,
        env=variables,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    # The model's own words differ in places between processors; what they are about does not.
    for words, expected in zip(outputs(done.stdout), outputs(shown), strict=True):
        about = next((word for word in ("Paris", "Hello") if word in expected), None)
        assert words == expected if about is None else about in words


def test_the_first_handoff_hands_off(command: str, home: Path, cloud: ScriptedCloud) -> None:
    script = block("sh", 1)
    assert "https://api.openai.com" in script
    profiles = home / "config" / "profiles"
    profiles.mkdir(parents=True)
    key = ", key: {env: OPENAI_API_KEY}, prices: {input: 1, output: 1}"
    (profiles / "default.yaml").write_text(f"version: 1\n{cloud.section(key)}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("https://api.openai.com", cloud.origin)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**environment(home), "PATH": f"{Path(command).parent}:{environment(home)['PATH']}"},
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "The cloud says hello.\n"), done.stderr
    assert re.search("^hybrid: handed off to scripted: forced, ", done.stderr, re.MULTILINE)


def outputs(console: str) -> list[str]:
    """What stands below each command."""
    return re.split(r"^\$ .*\n", console, flags=re.MULTILINE)


def quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_the_exit_codes_are_the_enums() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", README, re.MULTILINE)
    assert [(int(code), meaning) for code, meaning in rows] == [
        (status.value, status.meaning) for status in ExitStatus
    ]


def test_the_example_profile_loads_and_shows_every_key(tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(block("yaml"))
    assert read_checked(path).data == yaml.safe_load(block("yaml"))
    assert set(read_checked(path).data) == set(Profile.__struct_fields__)


def test_the_shipped_profiles_are_listed_with_their_modes() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| `(\w+)` \|", README, re.MULTILINE))
    nowhere = Environment(None, None, io.StringIO(), {"HYBRID_HOME": "/nowhere"})
    assert rows == {
        path.stem: merge_policy(Flags(profile=path.stem), nowhere).mode
        for path in shipped_folder().glob("*.yaml")
    }


def test_the_variables_are_those_of_the_manual() -> None:
    rows = re.findall(r"^\| (`[A-Z].*`) \| (.*) \|$", README, re.MULTILINE)
    assert {names.replace("`", ""): words.replace("`", "") for names, words in rows} == VARIABLES


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A project of a user's, with one commit and a file that changes."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "README.md").write_text("# A project\n\nThe build is broken. Mend it today.\n")
    (folder / "notes.txt").write_text("The server was down from two to three. Nobody noticed.\n")
    (folder / ".hybrid.yaml").write_text("version: 1\nlimits: {seconds: 60}\n")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        [*identity, "commit", "-qm", "Say that the build is broken"],
    ):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


@pytest.fixture
def in_ci(command: str, home: Path, cloud: ScriptedCloud, repository: Path) -> Callable[..., str]:
    """Run lines of shell as a runner would; what they printed. The profile `ci` has the cloud of the tests."""
    profiles = home / "config" / "profiles"
    profiles.mkdir(parents=True)
    prices = ", prices: {input: 1, output: 1}"
    (profiles / "ci.yaml").write_text(
        f"version: 1\n{cloud.section(prices)}escalation: {{target: {{threshold: 1}}}}\n"
    )

    def run(script: str, **more: str) -> str:
        variables = environment(home, CI="true", HYBRID_CONSENT=cloud.origin, **more)
        variables["PATH"] = f"{Path(command).parent}:{variables['PATH']}"
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=variables,
            cwd=repository,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (script, done.stderr)
        return done.stdout

    return run


def is_run_elsewhere(line: str) -> bool:
    """The installation is what .ci/run does."""
    return line.startswith("pip install")


def test_the_steps_for_github_run(in_ci: Callable[..., str], cloud: ScriptedCloud, tmp_path: Path) -> None:
    steps = yaml.safe_load(block("yaml", 1))["jobs"]["summary"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert len(scripts) == 4 and is_run_elsewhere(scripts[0])
    summary = tmp_path / "summary.md"
    for script in scripts[1:]:
        printed = in_ci(script, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert summary.read_text() == "The cloud says hello.\n"  # the threshold of 1 lets no local answer pass
    assert "Say that the build is broken" in str(cloud.received[0].body)
    assert printed.strip() in ("true", "false", "")


def test_the_script_for_gitlab_runs(in_ci: Callable[..., str], cloud: ScriptedCloud) -> None:
    script = yaml.safe_load(block("yaml", 2))["summary"]["script"]
    assert is_run_elsewhere(script[0])
    printed = in_ci("\n".join(line for line in script if not is_run_elsewhere(line)), GITLAB_CI="true")
    assert re.search(r"\w", printed)
    assert cloud.received == []


def test_the_makefile_makes(in_ci: Callable[..., str], repository: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    (repository / "Makefile").write_text(block("make"))
    assert "hybrid run" in in_ci("make notes.summary.txt")
    assert re.search(r"\w", (repository / "notes.summary.txt").read_text())
    assert "is up to date" in in_ci("make notes.summary.txt")
    in_ci("make check")
