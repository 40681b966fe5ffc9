"""The README is true: its examples are run and its tables compared with the code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

from conftest import environment
from hybrid_cli.exit_status import ExitStatus
from hybrid_cli.profile.loader import read_checked, shipped_folder
from hybrid_cli.profile.schema import Profile

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


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
    unshown = {"checks"}  # not kept yet
    assert set(read_checked(path).data) == set(Profile.__struct_fields__) - unshown


def test_the_shipped_profiles_are_listed_with_their_modes() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", README, re.MULTILINE))
    assert rows == {
        path.stem: read_checked(path).data["escalation"]["mode"] for path in shipped_folder().glob("*.yaml")
    }
