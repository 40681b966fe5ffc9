"""Fetching one file from a server that misbehaves: what comes of it, and how much is sent again."""

from __future__ import annotations

import hashlib
import io
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.https import RemoteFile, is_safe
from hybrid_cli.weights.incoming import Slot
from hybrid_cli.weights.partial import Partial
from hybrid_cli.weights.ranges import Tuning
from hybrid_cli.weights.reporter import DownloadProgress, Reporter
from hybrid_cli.weights.transfer import transfer
from hybrid_process import Hybrid, environment
from loopback_hub import LoopbackHub, Served, gguf

BODY = gguf() + hashlib.shake_128(b"one").digest(1_000_003)
OTHER = gguf() + hashlib.shake_128(b"two").digest(1_000_003)
SHORTER = BODY[:-70_000]
SHA256 = hashlib.sha256(BODY).hexdigest()
QUICK = Tuning(connections=3, segment=1 << 17, patience=0.5, retries=3, pause=0.01)


class Fetch:
    """One folder to fetch /m.gguf of a hub into, as often as wanted."""

    def __init__(self, hub: LoopbackHub, folder: Path) -> None:
        self.hub = hub
        self.slot = Slot(folder, waited=False)
        folder.mkdir()
        self.stderr = io.StringIO()
        world = Environment(stdin=None, stdout=None, stderr=self.stderr, variables={})
        self.reporter = Reporter(world, as_json=False)

    def __call__(self, served: Served, sha256: str | None = None, size: int | None = None) -> str:
        """The checksum of what came; the file that is left must have it."""
        self.hub.files["/m.gguf"] = served
        remote = RemoteFile(f"{self.hub.origin}/m.gguf", "m.gguf", size, sha256)
        path, found = transfer(remote, self.slot, self.reporter, QUICK)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == found
        return found


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as server:
        yield server


@pytest.fixture
def fetch(hub: LoopbackHub, tmp_path: Path) -> Fetch:
    return Fetch(hub, tmp_path / "slot")


@pytest.mark.parametrize(
    "served, sent_again",
    [
        (Served(BODY), 0),
        (Served(BODY, cuts=5), 0),
        (Served(BODY, stalls=2), 0),
        (Served(BODY, busy=[503, 429, 502]), 0),
        (Served(BODY, etag=""), 0),
        (Served(BODY, ranges=False), 0),
        (Served(BODY, ranges=False, cuts=1), len(BODY) // 2),
        (Served(BODY, refused_from=0), 0),
    ],
    ids=[
        "none",
        "cuts",
        "stalls",
        "busy",
        "no etag",
        "ignores ranges",
        "ignores ranges and cuts",
        "refuses ranges",
    ],
)
def test_the_file_comes_whole(served: Served, sent_again: int, fetch: Fetch) -> None:
    assert fetch(served) == SHA256
    assert served.sent == len(BODY) + sent_again


def test_ranges_come_at_once(fetch: Fetch, hub: LoopbackHub) -> None:
    fetch(Served(BODY))
    asked = sorted(int(request.split()[2].split("-")[0]) for request in hub.received)
    assert asked == list(range(0, len(BODY), QUICK.segment))


@pytest.mark.parametrize("sha256", [None, hashlib.sha256(OTHER).hexdigest()])
def test_a_file_that_changes_starts_again(sha256: str | None, fetch: Fetch) -> None:
    assert (
        fetch(Served(BODY, cuts=1, later=(other := Served(OTHER))), sha256)
        == hashlib.sha256(OTHER).hexdigest()
    )
    assert other.sent >= len(OTHER)
    assert "starting again" in fetch.stderr.getvalue()


def test_a_file_whose_last_ranges_are_refused_comes_at_once(fetch: Fetch) -> None:
    assert fetch(Served(BODY, refused_from=len(BODY) // 2)) == SHA256
    assert "refuses a range of it; starting again" in fetch.stderr.getvalue()


def test_a_file_that_becomes_shorter_starts_again(fetch: Fetch) -> None:
    found = fetch(Served(BODY, cuts=1, later=Served(SHORTER)))
    assert found == hashlib.sha256(SHORTER).hexdigest()


@pytest.mark.parametrize(
    "served, size, expected",
    [
        (Served(BODY, 404), None, "answered 404 for m.gguf"),
        (Served(BODY, 503), None, "gave up after 3 retries: 127.0.0.1"),
        (Served(BODY, announced=9), None, "gave up after 3 incomplete downloads"),
        (Served(BODY, announced=9), len(BODY), f"has {len(BODY) + 9} bytes for m.gguf, expected {len(BODY)}"),
        (Served(BODY, announced=9, ranges=False), None, "gave up after 3 incomplete downloads"),
        (Served(BODY, cuts=99, ranges=False), None, "gave up after 3 incomplete downloads"),
        (Served(b"", redirect="http://example.com/m.gguf"), None, "redirects to a URL without https"),
    ],
    ids=["404", "503", "boasts", "boasts of a known size", "boasts in one", "always cuts", "leaves https"],
)
def test_what_cannot_be_had_is_a_failure(
    served: Served, size: int | None, expected: str, fetch: Fetch
) -> None:
    with pytest.raises(Failure, match=expected) as raised:
        fetch(served, size=size)
    assert raised.value.status is ExitStatus.WEIGHTS


def test_a_silent_server_is_given_up_and_what_came_is_kept(fetch: Fetch) -> None:
    """Each answer brings half of what is left, so it takes a while to bring nothing."""
    silent = Served(BODY[: 1 << 10], stalls=99)
    with pytest.raises(Failure, match="the server sent nothing"):
        fetch(silent)
    assert fetch.slot.resumable
    assert fetch(Served(BODY[: 1 << 10])) == hashlib.sha256(BODY[: 1 << 10]).hexdigest()


def test_the_next_pull_asks_for_the_missing_bytes_alone(fetch: Fetch, hub: LoopbackHub) -> None:
    hub.files["/m.gguf"] = Served(BODY)
    partial = Partial.begin(fetch.slot.folder, len(BODY), QUICK.segment, None)
    for index, count in ((0, QUICK.segment), (2, 1000), (7, 5)):
        start = partial.span(index)[0]
        partial.write(index, BODY[start : start + count])
    here = partial.done()
    partial.close()
    served = Served(BODY)
    assert fetch(served, SHA256) == SHA256
    assert served.sent == len(BODY) - here
    assert "resuming m.gguf" in fetch.stderr.getvalue()


def test_damaged_rests_are_found_and_fetched_again(fetch: Fetch) -> None:
    partial = Partial.begin(fetch.slot.folder, len(BODY), QUICK.segment, None)
    partial.write(0, bytes(1000))
    partial.close()
    assert fetch(Served(BODY), SHA256) == SHA256
    assert "wrong checksum; starting again" in fetch.stderr.getvalue()


@settings(max_examples=60)
@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_no_rest_stops_a_pull(
    tmp_path_factory: pytest.TempPathFactory, state: bytes, done: bytes, part: bytes
) -> None:
    folder = tmp_path_factory.mktemp("slot")
    for name, content in (("json", state), ("done", done), ("part", part)):
        (folder / f"file.{name}").write_bytes(content)
    assert Partial.resume(folder) is None


@settings(max_examples=60)
@given(st.data())
def test_what_a_partial_file_says_is_there_is_there(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    size, segment = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 100))
    body, folder = BODY[:size], tmp_path_factory.mktemp("slot")
    partial = Partial.begin(folder, size, segment, '"v"')
    while missing := partial.missing():
        index = data.draw(st.sampled_from(missing))
        at, end = partial.position(index), partial.span(index)[1]
        partial.write(index, body[at : data.draw(st.integers(at + 1, end))])
        if data.draw(st.booleans()):
            resumed = Partial.resume(folder)
            assert resumed is not None
            assert (resumed.done(), resumed.missing()) == (partial.done(), partial.missing())
            partial.close()
            partial = resumed
        buffer = memoryview(bytearray(size))
        partial.read(buffer, 0)
        mark = partial.watermark(0)
        assert buffer[:mark] == body[:mark]
    assert partial.done() == partial.watermark(0) == size
    partial.close()


def test_the_token_stays_with_the_hub(hybrid: Hybrid, home: Path, hub: LoopbackHub) -> None:
    secret = "hf_" + "secret"
    with LoopbackHub() as cdn:
        cdn.files["/blob"] = Served(BODY)
        hub.files["org/repo/m.gguf"] = Served(BODY, redirect=f"{cdn.origin}/blob")
        done = hybrid(
            "pull",
            "hf:org/repo/m.gguf",
            HF_ENDPOINT=hub.origin,
            HF_TOKEN=secret,
            HYBRID_HOME=str(home / "new"),
        )
        assert done.returncode == 0, done.stderr
    assert set(hub.tokens) == {f"Bearer {secret}"}
    assert set(cdn.tokens) == {""}


def pull_of(
    command: str, home: Path, hub: LoopbackHub, source: str = "hf:org/repo/m.gguf"
) -> subprocess.Popen[bytes]:
    variables = environment(home, HF_ENDPOINT=hub.origin)
    return subprocess.Popen([command, "pull", "-q", source], env=variables, stderr=subprocess.PIPE)


def wait_for(happened: Callable[[], bool]) -> None:
    while not happened():
        time.sleep(0.005)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_after_sigkill_only_the_missing_part_comes(
    share: float, command: str, tmp_path: Path, hub: LoopbackHub
) -> None:
    hub.files["org/repo/m.gguf"] = slow = Served(BODY, chunk_pause=0.02)
    with pull_of(command, tmp_path, hub) as process:
        while slow.sent < share * len(BODY):
            time.sleep(0.005)
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    (folder,) = (tmp_path / "data/incoming").glob("*/")
    partial = Partial.resume(folder)
    assert partial is not None
    here = partial.done()
    partial.close()
    assert here >= share * len(BODY) - (3 << 16)  # but what was on its way
    hub.files["org/repo/m.gguf"] = served = Served(BODY)
    with pull_of(command, tmp_path, hub) as process:
        assert process.wait(30) == 0
    assert served.sent == len(BODY) - here
    assert [path.stem for path in (tmp_path / "data/blobs").iterdir()] == [SHA256]
    assert list((tmp_path / "data/incoming").iterdir()) == []


@pytest.mark.parametrize(
    "source, count", [("hf:org/repo/m.gguf", 2), ("hf:org/repo/m.gguf", 10), ("{}/m.gguf", 4)]
)
def test_pulls_at_once_download_once(
    source: str, count: int, command: str, tmp_path: Path, hub: LoopbackHub
) -> None:
    """Of an address without a checksum each pull asks for one byte, to see whether the file is still the same."""
    hub.files["org/repo/m.gguf"] = hub.files["/m.gguf"] = served = Served(BODY, chunk_pause=0.02)
    pulls = [pull_of(command, tmp_path, hub, source.format(hub.origin)) for _ in range(count)]
    assert [pull.communicate(timeout=60)[1] for pull in pulls] == [b""] * count
    assert [pull.returncode for pull in pulls] == [0] * count
    assert served.sent - len(BODY) == (count if source.startswith("{}") else 0)


def test_a_disk_that_fills_up_in_between(command: str, hub: LoopbackHub, small_disk: Path) -> None:
    """What has come by then is kept, and the next pull goes on."""
    hub.files["org/repo/m.gguf"] = Served(BODY[:700_000], stalls=1)
    sha256 = hashlib.sha256(BODY[:700_000]).hexdigest()
    with pull_of(command, small_disk, hub) as process:
        assert hub.stalled.wait(30)
        wait_for(lambda: sum(part.stat().st_size for part in small_disk.rglob("file.part")) >= 350_000)
        filler = small_disk / "filler"
        filler.write_bytes(bytes(600_000))
        hub.released.set()
        assert process.stderr is not None
        assert b"No space left on device" in process.stderr.read()
    assert process.returncode == ExitStatus.FAILURE
    filler.unlink()
    hub.files["org/repo/m.gguf"] = served = Served(BODY[:700_000])
    with pull_of(command, small_disk, hub) as process:
        assert process.wait(30) == 0
    assert 0 < served.sent <= 360_000
    assert [path.stem for path in (small_disk / "data/blobs").iterdir()] == [sha256]


@pytest.mark.parametrize(
    "url, safe",
    [
        ("https://example.com/m.gguf", True),
        ("http://127.0.0.1:8080/m.gguf", True),
        ("http://[::1]/m.gguf", True),
        ("http://example.com/m.gguf", False),
        ("http://127.0.0.1.example.com/", False),
        ("https://me:key@example.com/", False),
        ("https://example.com:port/", False),
        ("ftp://example.com/", False),
        ("file:///etc/passwd", False),
        ("https:///m.gguf", False),
    ],
)
def test_which_addresses_are_safe(url: str, safe: bool) -> None:
    assert is_safe(url) is safe


def test_progress_in_plain_lines_tells_rate_and_time_left() -> None:
    now = [0.0]
    stderr = io.StringIO()
    world = Environment(stdin=None, stdout=None, stderr=stderr, variables={}, clock=lambda: now[0])
    progress = DownloadProgress(Reporter(world, as_json=False), "m.gguf", 100_000_000, 0)
    for second in range(1, 15):
        now[0] = float(second)
        progress.show(second * 1_000_000)
    progress.end()
    assert stderr.getvalue().splitlines() == [
        "hybrid: m.gguf: 2 of 100 MB, 1.0 MB/s, 98 s left",
        "hybrid: m.gguf: 12 of 100 MB, 1.0 MB/s, 88 s left",
    ]
