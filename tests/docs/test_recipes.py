"""The everyday recipes, with the recommended model: each answer must be right, not only of the right form.

They need the file of that model, 1.1 GB, which the tests never download:

    HYBRID_RECOMMENDED_MODEL=PATH pytest tests/docs/test_recipes.py
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from hybrid_cli.weights.catalog import RECOMMENDED, shipped_catalog
from hybrid_process import environment

VARIABLE = "HYBRID_RECOMMENDED_MODEL"
PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text("utf-8")
RECIPES = re.findall(r"^([^\n]*):\n<!-- means: ([^\n]*) -->\n```sh\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
FILES = {
    "notes.txt": "The server went down at two and came back at three. Nobody noticed.\n",
    "words.txt": "apple\nriver\n",
    "app.log": "12:00:01 INFO service started\n12:00:02 ERROR disk full, cannot write\n",
    "build.log": "Traceback (most recent call last):\nModuleNotFoundError: No module named 'requests'\n",
    "add.py": "def add(a, b):\n    return a + b\n",
    "reviews.txt": "I love it, works great.\nBroke on day one. Never again.\n",
}
COMMITS = ("Add a login page", "Raise the timeout to 30 s")


@pytest.fixture(scope="module")
def strong_home(tmp_path_factory: pytest.TempPathFactory, command: str) -> Path:
    """A HYBRID_HOME whose default model is the recommended one."""
    file = os.environ.get(VARIABLE)
    if file is None:
        pytest.skip(f"set {VARIABLE} to the file of {RECOMMENDED} (1.1 GB)")
    home = tmp_path_factory.mktemp("strong")
    arguments = [command, "models", "import", "--link", file, "--name", RECOMMENDED]
    subprocess.run(arguments, env=environment(home), check=True, capture_output=True)
    stored = next((home / "data" / "blobs").iterdir()).stem
    assert stored == shipped_catalog()[RECOMMENDED].files[0].sha256
    return home


def test_there_are_everyday_recipes() -> None:
    assert len(RECIPES) >= 25
    assert len({title for title, _, _ in RECIPES}) == len(RECIPES)


@pytest.mark.parametrize(("title", "meaning", "line"), RECIPES, ids=[title for title, _, _ in RECIPES])
def test_a_recipe_gives_the_right_answer(
    title: str, meaning: str, line: str, strong_home: Path, search_path: str, tmp_path: Path
) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for subject in COMMITS:
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", subject], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "notes.txt"], cwd=tmp_path, check=True)
    done = subprocess.run(
        ["bash", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(strong_home, PATH=search_path),
        cwd=tmp_path,
        timeout=300,
        check=False,
    )
    pattern, _, code = meaning.partition("; exits: ")
    assert re.search(pattern, done.stdout, re.MULTILINE), (title, done.stdout, done.stderr)
    assert done.returncode == int(code or 0), done.stderr
    assert "unsure" not in done.stderr  # a reader who copies a recipe meets no warning
    assert "denied" not in done.stderr.replace(" 0 denied", "")
