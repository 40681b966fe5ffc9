"""A running `hybrid serve` with a scripted cloud on loopback, and profiles for each kind of decision."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hybrid_process import environment
from scripted_cloud import ScriptedCloud

PROFILES = {
    "unsure": "escalation: {target: {threshold: 0.99}}",
    "sure": "escalation: {target: {threshold: 0.01}}",
    "always": "escalation: {mode: force}",
    "asks": "escalation: {mode: ask, on_denied: fail, target: {threshold: 0.99}}",
    "guarded": "escalation: {mode: forbid}",
    "poor": "escalation: {mode: force}\nlimits: {of_profile: {calls_per_day: 1}}",
    "short": "escalation: {mode: force}\nlimits: {seconds: 1}",
    "tagged": "escalation: {mode: force, rules: [{when: {tags: [private]}, then: forbid}]}",
    "shaped": "escalation: {mode: force}\nchecks: {schema: list.schema.json}",
    "checked": "escalation: {mode: force}\nchecks: {verify: ['false']}",
}
"""Profiles by name; each has the scripted cloud."""
STRANGER = 'cloud: {base_url: "http://127.0.0.1:9/v1", model: stranger}\n'
"""A cloud without consent."""


@dataclass
class Served:
    """A server under test."""

    process: subprocess.Popen[bytes]
    origin: str
    token: str
    home: Path
    cloud: ScriptedCloud
    clients: list[Any] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2])

    def client(self, **settings: Any) -> Any:
        """The official client, which does not try again."""
        from openai import OpenAI

        client = OpenAI(**self.settings(**settings))
        self.clients.append(client)
        return client

    def close_clients(self) -> None:
        while self.clients:
            self.clients.pop().close()

    def settings(self, **changed: Any) -> dict[str, Any]:
        return {
            "base_url": f"{self.origin}/v1",
            "api_key": self.token,
            "max_retries": 0,
            "timeout": 60,
            **changed,
        }

    def metric(self, name: str) -> float:
        """The value of a metric, which may have labels."""
        import httpx2

        headers = {"authorization": f"Bearer {self.token}"}
        page = httpx2.get(f"{self.origin}/metrics", headers=headers, timeout=10).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
        assert found is not None
        return float(found[1])

    def until_idle(self, seconds: float = 30) -> None:
        """Wait until no request is in flight."""
        end = time.monotonic() + seconds
        while self.metric("hybrid_requests_in_flight"):
            assert time.monotonic() < end, "a request stays in flight"
            time.sleep(0.05)


def write_profiles(home: Path, cloud: ScriptedCloud) -> None:
    folder = home / "config" / "profiles"
    folder.mkdir(parents=True)
    section = cloud.section(", retries: 0, prices: {input: 1, output: 1}")
    for name, text in PROFILES.items():
        (folder / f"{name}.yaml").write_text(f"version: 1\n{section}{text}\n", "utf-8")
    (folder / "list.schema.json").write_text('{"type": "array"}', "utf-8")
    (folder / "stranger.yaml").write_text(
        f"version: 1\n{STRANGER}escalation: {{on_denied: fail, target: {{threshold: 0.99}}}}\n", "utf-8"
    )


@contextmanager
def serving(
    command: str, home: Path, cloud: ScriptedCloud, *arguments: str, **variables: str
) -> Iterator[Served]:
    """Run `hybrid serve` on a free port of loopback."""
    variables = {"HYBRID_CONSENT": cloud.origin, **variables}
    variables = environment(home, **variables)
    process = subprocess.Popen(
        [command, "serve", "--listen", "127.0.0.1:0", *arguments],
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        first = process.stderr.readline().decode()
        found = re.search(r"listening on (http://\S+);", first)
        assert found is not None, first
        token = (home / "config" / "serve-token").read_text("ascii").strip()
        yield Served(process, found[1], token, home, cloud)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def loaded_engines(home: Path) -> list[dict[str, Any]]:
    """What `models ps` lists."""
    from hybrid_cli.cascade.warm_models import loaded_models
    from hybrid_cli.ui.environment import Environment

    return loaded_models(Environment(None, None, None, {"HYBRID_HOME": str(home)}))


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False


def kill(pid: int) -> None:
    """SIGKILL, and wait until the process is gone."""
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < end
        time.sleep(0.02)
