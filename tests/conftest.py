"""Real parts for the tests: the installed command, the real model, servers on loopback."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from fork_server import ForkServer
from hybrid_cli.weights.catalog import SMALL
from hybrid_process import Hybrid, environment, executed, forked
from scripted_cloud import ScriptedCloud
from server_process import served

# A job in a shell's background starts with Ctrl-C ignored, and so would every command it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on what else the machine does.
settings.register_profile("any load", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any load")


TOGETHER = {
    "tests/attack/test_control_tokens.py",  # copies of the model with other tokens
    "tests/checks/test_tool_calls.py",  # copies of the model with other templates
    "tests/cli/test_completions.py",  # a shell of each kind
    "tests/egress/test_other_servers.py",  # a server
    "tests/evaluate/test_eval.py",  # answers to a hundred questions
    "tests/local/test_engine.py",  # an engine with its model
    "tests/local/test_local_parts.py",
    "tests/pipe/test_pipe_cluster.py",  # a Ray cluster
    "tests/serve/test_serve.py",  # a server
    "tests/serve/test_server_process.py",
}
"""Files whose tests share something costly."""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each worker one test at a time, but all tests of a file in TOGETHER to one worker, and those first.

    xdist's own `loadgroup` would do this, but xdist 3.8 does not group tests under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if path in TOGETHER else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--exec", action="store_true", help="start each command as a new program; slower")


@pytest.fixture(scope="session")
def command() -> str:
    """The installed `hybrid` of the environment that runs the tests."""
    found = shutil.which("hybrid", path=str(Path(sys.executable).parent))
    assert found is not None, "install the project first: pip install '.[test]'"
    return found


@pytest.fixture(scope="session")
def weights_home(tmp_path_factory: pytest.TempPathFactory, command: str, worker_id: str) -> Path:
    """A HYBRID_HOME into which `hybrid pull` has downloaded the small model. All workers of a run share it."""
    base = tmp_path_factory.getbasetemp()
    folder = base if worker_id == "master" else base.parent
    home = folder / "weights-home"
    with (folder / "weights-home.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            pulled = folder / "weights-home.part"
            subprocess.run([command, "pull", SMALL], env=environment(pulled), check=True, timeout=170)
            pulled.rename(home)
    return home


@pytest.fixture(scope="session")
def model_file(weights_home: Path) -> Path:
    (blob,) = (weights_home / "data" / "blobs").glob("*.gguf")
    return blob


@pytest.fixture
def home(tmp_path: Path, weights_home: Path) -> Path:
    """A fresh HYBRID_HOME that shares the pulled weights."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "data").symlink_to(weights_home / "data")
    return folder


@pytest.fixture(scope="session")
def fork_server(command: str) -> Iterator[ForkServer]:
    server = ForkServer(command)
    yield server
    server.close()


@pytest.fixture
def hybrid(request: pytest.FixtureRequest, command: str, home: Path) -> Hybrid:
    """Run the command to its end. Without --exec it is a fork of a process that has imported everything."""
    if is_executed(request.config):
        return executed(command, home)
    return forked(command, home, request.getfixturevalue("fork_server"))


@pytest.fixture
def shim(request: pytest.FixtureRequest, command: str) -> str:
    """The path of a `hybrid` for tests that start it themselves. Without --exec it runs in a fork.

    It has no controlling terminal, and SIGKILL does not reach the forked process.
    """
    return command if is_executed(request.config) else str(request.getfixturevalue("fork_server").shim)


@pytest.fixture
def search_path(shim: str, command: str) -> str:
    """PATH for a shell script that calls `hybrid`."""
    return f"{Path(shim).parent}:{Path(command).parent}:{os.environ['PATH']}"


def is_executed(config: pytest.Config) -> bool:
    """Whether to start each command as a new program: a fork is safe on Linux only."""
    return not sys.platform.startswith("linux") or bool(config.getoption("--exec"))


@pytest.fixture
def installed(command: str, home: Path) -> Hybrid:
    """Run the command to its end, always as a new program: for tests of imports and of start-up."""
    return executed(command, home)


@pytest.fixture
def cloud() -> Iterator[ScriptedCloud]:
    """A server on loopback that sends scripted replies and records each request byte for byte."""
    with ScriptedCloud() as server:
        yield server


@pytest.fixture
def profile(tmp_path: Path) -> Callable[..., Path]:
    """Write a profile file: `version: 1` and the given sections."""

    def write(text: str, name: str = "test.yaml") -> Path:
        path = tmp_path / name
        path.write_text(f"version: 1\n{text}", encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def model_server(model_file: Path) -> Iterator[str]:
    """The origin of llama-cpp-python's own server, which serves the real weights on loopback."""
    program = Path(__file__).parent / "support" / "model_server.py"
    weights = ["--model", model_file, "--model_alias", "smollm2", "--n_ctx", "1024"]
    with served([sys.executable, program, *weights], "/v1/models") as origin:
        yield origin


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
