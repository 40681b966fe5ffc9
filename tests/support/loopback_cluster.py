"""A Ray cluster of two nodes on this machine, with one core each. The second node can be killed.

As a program it holds the cluster until stdin ends; `kill` and `add` are about the second node.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from types import TracebackType
from typing import Any

_STORE = {"object_store_memory": 80_000_000}
_HEALTH = {  # a lost node is noticed in two seconds; by default in twenty
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}


class LoopbackCluster:
    """A context manager that runs the cluster."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.folder = tempfile.mkdtemp(prefix="hy-")  # short: Ray's sockets are in it
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**variables, "RAY_TMPDIR": self.folder, "RAY_USAGE_STATS_ENABLED": "0"},
        )
        self.address = self._answer()

    def tell(self, word: str) -> None:
        """Kill or add the second node (`word` is `kill` or `add`), and wait until that is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._answer() == word

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> LoopbackCluster:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)


def main() -> None:
    from ray.cluster_utils import Cluster

    head: dict[str, Any] = {"num_cpus": 1, "include_dashboard": False, "_system_config": _HEALTH, **_STORE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(num_cpus=1, **_STORE)
    print(cluster.address, flush=True)
    for line in sys.stdin:
        word = line.strip()
        if word == "kill":
            cluster.remove_node(second, allow_graceful=False)
        else:
            second = cluster.add_node(num_cpus=1, **_STORE)
        print(word, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
