"""Imports by command: `--version` and `--help` stay light, and `forbid` never loads the SDK."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_process import HELLO, environment
from scripted_cloud import ScriptedCloud

HEAVY = {
    "openai",
    "llama_cpp",
    "numpy",
    "pydantic",
    "httpx",
    "httpx2",
    "huggingface_hub",
    "rich",
    "jinja2",
    "ray",
}


def imported_by(home: Path, *arguments: str, **variables: str) -> set[str]:
    """The top-level modules that the parent process of a command imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hybrid_cli", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(home, **variables),
        timeout=60,
        check=True,
    )
    timed = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in timed}


def test_version_imports_nothing_heavy(tmp_path: Path) -> None:
    imported = imported_by(tmp_path, "--version")
    assert "hybrid_cli" in imported
    assert imported.isdisjoint(HEAVY | {"typer", "yaml", "msgspec", "platformdirs", "ctypes", "json"})


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("pull", "-h"), ("consent", "-h")])
def test_help_imports_nothing_heavy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    imported = imported_by(tmp_path, *arguments)
    assert "typer" in imported
    assert imported.isdisjoint(HEAVY | {"yaml", "msgspec"})


def test_a_kept_answer_and_forbid_do_not_import_the_sdk(home: Path) -> None:
    # The worker's stderr is closed, so these are the parent's imports only.
    for profile in ("offline", "default"):
        imported = imported_by(home, "run", "-p", profile, *HELLO)
        assert imported.isdisjoint({"openai", "llama_cpp", "numpy", "pydantic", "httpx2"})


def test_force_imports_the_sdk_and_no_engine(home: Path, cloud: ScriptedCloud) -> None:
    path = home / "force.yaml"
    path.write_text(f"version: 1\n{cloud.section()}escalation: {{mode: force}}\n")
    imported = imported_by(home, "run", "-p", str(path), "hi", HYBRID_CONSENT=cloud.origin)
    assert "openai" in imported
    assert imported.isdisjoint({"llama_cpp", "numpy"})


def test_version_is_the_packages(command: str) -> None:
    from hybrid_cli import __version__

    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"hybrid {__version__}\n"
