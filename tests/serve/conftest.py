"""One server for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripted_cloud import Reply, ScriptedCloud
from served_hybrid import Served, serving, write_profiles


@pytest.fixture(scope="module")
def module_server(
    tmp_path_factory: pytest.TempPathFactory, weights_home: Path, command: str
) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("served")
    (home / "data").symlink_to(weights_home / "data")
    with ScriptedCloud() as cloud:
        write_profiles(home, cloud)
        with serving(command, home, cloud) as served:
            yield served


@pytest.fixture
def served(module_server: Served) -> Iterator[Served]:
    """The server of this file, with a cloud that has seen nothing yet."""
    module_server.cloud.received.clear()
    module_server.cloud.replies = [Reply()]
    module_server.cloud.respond = None
    yield module_server
    module_server.close_clients()
