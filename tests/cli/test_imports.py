"""Who may import whom: the contracts of pyproject.toml fail on a violation, and nothing gets round them."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "cli" / "hybrid_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))

BY_NAME = {"__import__", "import_module", "find_spec", "spec_from_file_location", "run_module", "run_path"}
"""Functions that import a module whose name is a value, which the import contracts cannot see."""
IMPORTERS = {
    "app.py": "a command's module, when the command is run",
    "cloud/lazy_packages.py": "the packages of the SDK, whose own code is to run late",
    "evaluate/plot.py": "whether matplotlib is installed",
    "local/bindings.py": "llama_cpp without its package's own code",
    "local/child.py": "the engine, while the model is loading",
    "pipe/run_pipe.py": "the cluster, if Ray is installed",
    "profile/empty_patterns.py": "the parser of regular expressions, whose name depends on the Python version",
}
"""Who calls them, and for what."""


def imports_by_name(tree: ast.Module) -> Iterator[str]:
    """The functions of BY_NAME that `tree` uses, under whatever name it imports them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if alias.name in BY_NAME)
        elif isinstance(node, ast.Attribute) and node.attr in BY_NAME:
            yield node.attr
        elif isinstance(node, (ast.Name, ast.Constant)):
            name = node.id if isinstance(node, ast.Name) else node.value
            if name in BY_NAME:
                yield name


def test_only_these_modules_import_by_name() -> None:
    found = {path for path in MODULES if list(imports_by_name(ast.parse(path.read_bytes())))}
    assert {str(path.relative_to(PACKAGE)) for path in found} == set(IMPORTERS)


def test_an_import_by_name_is_found_however_it_is_written() -> None:
    for text in (
        "import importlib\nimportlib.import_module('ray')",
        "from importlib import import_module as get\nget('ray')",
        "__import__('ray')",
        "import importlib\ngetattr(importlib, 'import_module')('ray')",
        "from importlib.util import find_spec",
    ):
        assert list(imports_by_name(ast.parse(text))), text


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {path: path.read_bytes().count(b"\n") for path in MODULES}
    assert {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > 400} == {}


def test_the_contracts_bite(tmp_path: Path) -> None:
    """One import for each contract, in a module that none of them names."""
    shutil.copytree(PACKAGE, tmp_path / "hybrid_cli", ignore=shutil.ignore_patterns("__pycache__"))
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    (tmp_path / "pyproject.toml").write_text(settings, "utf-8")
    module = "hybrid_cli.privacy.redact"
    assert module not in settings
    path = tmp_path / "hybrid_cli" / "privacy" / "redact.py"
    planted = "\n\ndef planted() -> None:\n    import llama_cpp\n    import ray\n\n    from hybrid_cli.cloud import client\n"
    path.write_text(path.read_text("utf-8") + planted, "utf-8")
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    verdicts = dict(re.findall(r"^(\w.*) (KEPT|BROKEN)(?: \(.*\))?$", done.stdout, re.MULTILINE))
    assert verdicts == {
        "Imports go one way": "BROKEN",  # privacy and cloud are neighbours
        "Only egress.send calls the cloud": "BROKEN",
        "Only the cloud client imports the openai SDK": "KEPT",
        "Only the engine imports llama_cpp": "BROKEN",
        "Only a cluster's pipe imports Ray": "BROKEN",
    }
    for imported in ("hybrid_cli.cloud.client", "llama_cpp", "ray"):
        assert f"{module} -> {imported}" in done.stdout
