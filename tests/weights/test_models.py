"""`hybrid models`, the catalog, and weights that other tools keep on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.files import locked
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.capacity import best
from hybrid_cli.weights.catalog import SMALL, catalog, catalog_entry, shipped_catalog
from hybrid_cli.weights.gguf import check_gguf
from hybrid_cli.weights.incoming import Incoming
from hybrid_cli.weights.names import shards_of
from hybrid_cli.weights.quantisation import choose, model_files
from hybrid_cli.weights.sources import OllamaSource, UrlSource, catalog_source, parse_source
from hybrid_cli.weights.store import Store
from hybrid_process import HELLO, REFUSED, Hybrid
from loopback_hub import LoopbackHub, Served, gguf
from split_gguf import split_gguf

BODY = gguf() + b"one"
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HYBRID_HOME without weights, and a HOME without caches or tokens."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "home"


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as server:
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.gguf"
    path.write_bytes(BODY)
    return path


def lines(done: subprocess.CompletedProcess[bytes], code: int = 0) -> list[str]:
    """What stderr says, without the tool's name."""
    told = done.stderr.decode().splitlines()
    assert done.returncode == code, told
    return [line.removeprefix("hybrid: ") for line in told]


def shown(hybrid: Hybrid, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(hybrid("models", "show", name, "--json").stdout)
    return found


def write_catalog(home: Path, text: str) -> None:
    (home / "config").mkdir(parents=True, exist_ok=True)
    (home / "config/models.yaml").write_text(text)


def entry_of(body: bytes, *sources: str, name: str = "m.gguf") -> str:
    listed = "".join(f"    - '{source}'\n" for source in sources)
    sha256 = hashlib.sha256(body).hexdigest()
    return f"own:\n  files:\n    - {{name: {name}, size: {len(body)}, sha256: {sha256}}}\n  sources:\n{listed}  licence: MIT\n"


def test_every_entry_of_the_catalog_is_whole(tmp_path: Path) -> None:
    entries = catalog(Environment(None, None, None, {"HYBRID_HOME": str(tmp_path)}))
    assert next(iter(entries)) == SMALL
    assert {"gpt-oss-20b", "gpt-oss-120b", "deepseek-r1-1.5b", "deepseek-r1-7b"} <= set(entries)
    for name, entry in entries.items():
        assert entry.summary and entry.memory and entry.licence, name
        assert entry.size / 1e9 < entry.memory, name
        assert [file.name for file in entry.files] == shards_of(entry.files[0].name), name
        for place in entry.sources:
            source = catalog_source(place, entry.files[0])
            assert source.file == entry.files[0].name, name
            pinned = [place] if isinstance(place, str) else place
            assert all(re.search(r"@[0-9a-f]{40}$|#sha256=[0-9a-f]{64}$", text) for text in pinned), name


def test_the_users_catalog_adds_and_replaces(hybrid: Hybrid, home: Path, file: Path) -> None:
    write_catalog(home, entry_of(BODY, "/nowhere/m.gguf", str(file), name="small.gguf"))
    told = lines(hybrid("pull", "own"))
    assert "no such file: /nowhere/m.gguf; trying the next source" in told
    assert told[-1] == "stored as own"
    assert (shown(hybrid, "own")["licence"], shown(hybrid, "own")["source"]) == ("MIT", str(file))
    assert b"own\t" in hybrid("models", "ls", "--all").stdout


def test_an_import_under_a_name_of_the_catalog(hybrid: Hybrid, home: Path, file: Path) -> None:
    write_catalog(home, entry_of(BODY, "/nowhere/m.gguf"))  # the same bytes, which are called m.gguf there
    assert lines(hybrid("models", "import", str(file), "--name", "own"))[-1] == "stored as own"
    assert "own is already stored and verified" in lines(hybrid("pull", "own"))
    file.write_bytes(BODY + b"s")
    told = lines(hybrid("models", "import", str(file), "--name", "own"), ExitStatus.WEIGHTS)
    assert f"{file} is not the catalog's own: its sha256 differs; run: hybrid pull own" in told[-1]
    assert shown(hybrid, "own")["sha256"] == hashlib.sha256(BODY).hexdigest()
    told = lines(hybrid("pull", "own", "--name", "smollm2-135m"), ExitStatus.WEIGHTS)
    assert "own is not the catalog's smollm2-135m" in told[-1]


def test_another_file_under_a_name_of_the_catalog_is_refused(hybrid: Hybrid, home: Path, file: Path) -> None:
    """A store may come from a cache that others write to, such as that of a CI job."""
    lines(hybrid("models", "import", str(file), "--name", "own"))
    assert lines(hybrid("models", "verify", "own"))[-1:] == []
    write_catalog(home, entry_of(BODY + b"s", "/nowhere/m.gguf"))
    for command in (["models", "verify", "own"], ["run", "-m", "own", "hi"], ["pipe", "-m", "own", "hi"]):
        told = lines(hybrid(*command, stdin=b"x\n"), ExitStatus.WEIGHTS)
        assert any("the stored own is not the catalog's own: its sha256 differs" in line for line in told)
    record = home / "data/models/own.json"
    (home / "config/models.yaml").unlink()
    record.rename(record.with_name("smollm2-135m.json"))
    record = record.with_name("smollm2-135m.json")
    told = lines(hybrid("run", "-m", "smollm2-135m", "hi"), ExitStatus.WEIGHTS)
    assert "the record of smollm2-135m is damaged; run: hybrid pull smollm2-135m" in told[-1]
    record.write_text(record.read_text().replace('"own"', '"smollm2-135m"'))
    told = lines(hybrid("run", "-m", "smollm2-135m", "hi"), ExitStatus.WEIGHTS)
    assert "the stored smollm2-135m is not the catalog's" in told[-1]


def test_a_model_is_looked_up_as_in_the_whole_catalog(home: Path) -> None:
    environment = Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(home)})
    for name, entry in shipped_catalog().items():
        assert catalog_entry(name, environment) == entry
    for name in ("none", "smollm2", "files", "  files", "smollm2-135m:", "", "\udcff"):
        assert catalog_entry(name, environment) is None, name
    own = "smollm2-135m:\n  files: [{name: o.gguf, size: 1, sha256: %s}]\n  sources: ['hf:a/b/{file}']\n  licence: MIT\n"
    (home / "config").mkdir(parents=True)
    (home / "config/models.yaml").write_text(own % SHA256)
    for name in ("smollm2-135m", "qwen2.5-coder-1.5b"):
        assert catalog_entry(name, environment) == catalog(environment)[name]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("own: {}\n", "models.yaml:1: own: `files` is missing"),
        ("../own: {}\n", "models.yaml:1: ../own: `../own` cannot be a model's name"),
        ("- own\n", "models.yaml:1: the file must map names to models"),
        ("own:\n  - x\n  own: {}\n", "models.yaml:3: "),
        ("own: [\n", "models.yaml:1: a `[` without its `]`"),
        ("\nown: {files: [\nnext: {}\n", "models.yaml:2: a `[` without its `]`"),
        ("own: 5\n", "models.yaml:1: own: must be a section; its keys are files, sources,"),
        ("own: [x]\n", "models.yaml:1: own: must be a section; its keys are files, sources,"),
        ("own: text\n", "models.yaml:1: own: must be a section; its keys are files, sources,"),
        ("own:\n", "models.yaml:1: own: must be a section; its keys are files, sources,"),
        (
            "own:\n  files: []\n  sources: [x]\n  licence: MIT\n",
            "models.yaml:2: own.files: must be a list of 1 to 999 entries",
        ),
        (
            entry_of(BODY, "x") + "  good_for: sums\n",
            "own.good_for: unknown value `sums`; use code, general or reasoning",
        ),
        (
            entry_of(BODY, "x").replace("size: ", "size: -"),
            "models.yaml:3: own.files.0.size: must be a whole number over 0, not `-",
        ),
        (entry_of(BODY, "x") + "  licens: x\n", "own.licens: unknown key; did you mean `licence`?"),
        (entry_of(BODY, "x").replace("sha256: ", "sha256: f"), "must be a sha256: 64 hexadecimal digits"),
        (entry_of(BODY, "x", name="../m.gguf"), "must be a file's name that ends in .gguf"),
    ],
)
def test_a_wrong_catalog_is_told(text: str, expected: str, hybrid: Hybrid, home: Path) -> None:
    """Never as a mistake in a profile, though profiles are read by the same code."""
    write_catalog(home, text)
    told = lines(hybrid("pull", "own"), 2)[-1]
    assert expected in told
    assert told.startswith(f"your catalog {home}/config/models.yaml:")
    assert "profile" not in told


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (
            lambda path: path.symlink_to("nowhere.yaml"),
            "cannot be read: it is a link to a file that does not exist",
        ),
        (lambda path: path.symlink_to(path), "cannot be read: "),
        (os.mkfifo, "is not a regular file"),
        (Path.mkdir, "is not a regular file"),
        (lambda path: path.symlink_to("/dev/null"), "is not a regular file"),
    ],
    ids=["dangling link", "link to itself", "FIFO", "folder", "device"],
)
def test_a_catalog_that_cannot_be_read_is_an_error(
    make: Callable[[Path], None], why: str, home: Path
) -> None:
    """The models in it would be unknown otherwise, or the built-in ones that it replaces be used."""
    environment = Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(home)})
    (home / "config").mkdir(parents=True)
    make(home / "config/models.yaml")
    for look_up in (lambda: catalog(environment), lambda: catalog_entry(SMALL, environment)):
        with pytest.raises(Failure) as raised:
            look_up()
        assert raised.value.status is ExitStatus.USAGE
        assert f"your catalog {home}/config/models.yaml {why}" in str(raised.value)


def test_wrong_bytes_are_refused_with_both_checksums(hybrid: Hybrid, home: Path, hub: LoopbackHub) -> None:
    """The first server sends something else of the same size; the hub says beforehand that it has another."""
    wrong = BODY[:-1] + b"?"
    write_catalog(home, entry_of(BODY, f"{hub.origin}/{{file}}", "hf:org/repo/{file}@main"))
    hub.files["/m.gguf"] = hub.files["org/repo/m.gguf"] = served = Served(wrong)
    told = lines(hybrid("pull", "own", HF_ENDPOINT=hub.origin), 6)
    message = f"m.gguf has sha256 {hashlib.sha256(wrong).hexdigest()}, expected {SHA256}"
    assert [line for line in told if line.startswith("m.gguf has")] == [
        f"{message}; trying the next source",
        message,
    ]
    assert served.sent == len(wrong) + 1  # and the one that was asked for to know the size
    assert list((home / "data").rglob("*.gguf")) == []


def test_another_size_is_refused_before_the_file_comes(hybrid: Hybrid, home: Path, hub: LoopbackHub) -> None:
    write_catalog(home, entry_of(BODY, f"{hub.origin}/{{file}}"))
    hub.files["/m.gguf"] = served = Served(BODY + b"!")
    told = lines(hybrid("pull", "own"), 6)[-1]
    assert told == f"m.gguf at {hub.origin}/m.gguf has {len(BODY) + 1} bytes, expected {len(BODY)}"
    assert served.sent == 1


def test_json_events_end_with_done(hybrid: Hybrid, hub: LoopbackHub, home: Path) -> None:
    hub.files["org/repo/m.gguf"] = Served(BODY)
    for cached in (False, True):
        done = hybrid("pull", "--json", "-q", "hf:org/repo/m.gguf", HF_ENDPOINT=hub.origin)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert [event["event"] for event in events] == ["source", "done"]
        blob = home / "data/blobs" / f"{SHA256}.gguf"
        stored = {"name": "m", "path": str(blob), "size": len(BODY), "sha256": SHA256, "licence": "unknown"}
        assert events[-1] == {"event": "done", **stored, "source": "hf:org/repo/m.gguf", "cached": cached}


def test_an_address_is_asked_whether_it_is_still_the_same(
    hybrid: Hybrid, hub: LoopbackHub, home: Path
) -> None:
    hub.files["/m.gguf?key=secret"] = served = Served(BODY)
    for _ in range(2):
        assert lines(hybrid("pull", f"{hub.origin}/m.gguf?key=secret"))[-1] == "stored as m"
    assert served.sent == len(BODY) + 2
    assert shown(hybrid, "m")["source"] == f"{hub.origin}/m.gguf"
    assert (
        "expected " + "0" * 64
        in lines(hybrid("pull", f"{hub.origin}/m.gguf?key=secret#sha256={'0' * 64}"), 6)[-1]
    )


def test_a_repository_without_a_file(hybrid: Hybrid, hub: LoopbackHub, home: Path) -> None:
    for name in ("m-Q4_K_M", "m-Q8_0", "m-F16", "mmproj-m-Q8_0"):
        hub.files[f"org/repo/{name}.gguf"] = Served(gguf() + name.encode())
    hub.files["org/repo/huge-Q8_0.gguf"] = Served(b"", claimed_size=1 << 50)
    hub.files["org/repo/README.md"] = Served(b"# m")
    told = lines(hybrid("pull", "hf:org/repo", HF_ENDPOINT=hub.origin))
    assert "chose m-Q4_K_M.gguf, the largest of 4 model files in org/repo that fits into half" in told[0]
    assert told[-1] == "stored as m-q4_k_m"
    listed = hybrid("pull", "hf:org/repo", "--list", HF_ENDPOINT=hub.origin).stdout.decode().splitlines()
    assert [line.split("\t")[1] for line in listed] == [
        "m-F16.gguf",
        "m-Q8_0.gguf",
        "m-Q4_K_M.gguf",
        "huge-Q8_0.gguf",
    ]
    assert (
        "the hub has no repository org/nothing"
        in lines(hybrid("pull", "hf:org/nothing", HF_ENDPOINT=hub.origin), 6)[-1]
    )


def test_the_quantisation_follows_the_memory() -> None:
    sizes = {"m-Q2_K.gguf": 10, "m-Q4_K_M.gguf": 20, "m-Q8_0.gguf": 40, "m-BF16.gguf": 80, "mmproj.gguf": 1}
    offered = model_files(
        {**sizes, "s-Q4-00001-of-00002.gguf": 30, "s-Q4-00002-of-00002.gguf": 20, "x-00001-of-00002.gguf": 1}
    )
    assert [(offer.file, offer.size) for offer in offered] == [
        ("m-Q2_K.gguf", 10),
        ("m-Q4_K_M.gguf", 20),
        ("m-Q8_0.gguf", 40),
        ("s-Q4-00001-of-00002.gguf", 50),
        ("m-BF16.gguf", 80),
    ]
    for memory, chosen in (
        (20, "m-Q2_K"),
        (79, "m-Q4_K_M"),
        (80, "m-Q8_0"),
        (100, "s-Q4-00001-of-00002"),
        (999, "s-Q4-00001-of-00002"),
    ):
        assert choose(offered, memory, "org/repo").file == f"{chosen}.gguf"
    with pytest.raises(Failure, match=r"hybrid pull hf:org/repo/m-Q2_K\.gguf"):
        choose(offered, 19, "org/repo")
    with pytest.raises(Failure, match="has no GGUF"):
        choose([], 19, "org/repo")


def test_best_is_the_largest_general_model_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = Environment(None, None, None, {"HYBRID_HOME": str(tmp_path)})
    entries = catalog(world)

    def chosen(memory: float, disk: float, bandwidth: float | None = None) -> str:
        # No test can have machines of all sizes: what is measured of this one is replaced.
        monkeypatch.setattr("hybrid_cli.weights.capacity.memory", lambda: round(memory * 1e9))
        monkeypatch.setattr("hybrid_cli.weights.capacity.free_disk", lambda _folder: round(disk * 1e9))
        name, why = best(entries, set(), world, bandwidth)
        assert f"{memory:.0f} GB of memory and {disk:.0f} GB of free disk; {name} needs" in why
        return name

    found = [chosen(memory, 500) for memory in (1, 2, 8, 16.6, 256)]
    assert found == ["smollm2-135m", "smollm2-1.7b", "qwen3-8b", "gpt-oss-20b", "gpt-oss-120b"]
    assert chosen(256, 1) == "llama-3.2-1b"
    # on slow cores, gpt-oss-20b is left out: its 2.1 GB a token take too long
    assert [chosen(24, 500, copied * 1e9) for copied in (2, 10, 30, 200)] == [
        "smollm2-135m",
        "qwen2.5-coder-1.5b",
        "gpt-oss-20b",
        "gpt-oss-20b",
    ]
    assert chosen(24, 500, 1e6) == "smollm2-135m"
    with pytest.raises(Failure, match="no catalog model fits"):
        chosen(256, 0.01)


def test_the_hubs_cache_is_linked_to_and_serves_offline(
    hybrid: Hybrid, home: Path, tmp_path: Path, hub: LoopbackHub
) -> None:
    repository = tmp_path / ".cache/huggingface/hub/models--org--repo"
    blob = repository / "blobs" / SHA256
    blob.parent.mkdir(parents=True)
    blob.write_bytes(BODY)
    snapshot = repository / "snapshots/c0ffee/m.gguf"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(blob)
    offline = {"HF_ENDPOINT": hub.origin, "HF_HUB_OFFLINE": "1"}
    assert lines(hybrid("pull", "hf:org/repo/m.gguf", **offline))[0].startswith("linking to ")
    write_catalog(home, entry_of(BODY, "hf:org/repo/{file}"))
    assert lines(hybrid("pull", "own", **offline))[-1] == "stored as own"
    assert "HF_HUB_OFFLINE" in lines(hybrid("pull", "hf:org/repo/other.gguf", **offline), 6)[-1]
    assert hub.received == []
    assert shown(hybrid, "own")["linked_to"] == [str(blob)]
    assert lines(hybrid("models", "rm", "own", "m"))[0].startswith("removed own, m")
    assert blob.read_bytes() == BODY
    assert list((home / "data/blobs").iterdir()) == []


@pytest.mark.parametrize(
    "place", [".ollama/models/blobs/sha256-" + SHA256, ".lmstudio/models/org/repo/m.gguf"]
)
def test_a_catalog_file_of_another_tool_is_linked_to(
    place: str, hybrid: Hybrid, home: Path, tmp_path: Path
) -> None:
    write_catalog(home, entry_of(BODY, "/nowhere/m.gguf"))
    kept = tmp_path / place
    kept.parent.mkdir(parents=True)
    kept.write_bytes(BODY[:-1] + b"?")  # of the right name and size, but another
    assert "no such file: /nowhere/m.gguf" in lines(hybrid("pull", "own"), 6)[-1]
    kept.write_bytes(BODY)
    lines(hybrid("pull", "own"))
    assert shown(hybrid, "own")["linked_to"] == [str(kept)]
    kept.write_bytes(BODY + b"!")
    assert f"expected {SHA256}" in lines(hybrid("run", "hi", "-m", "own", "-p", "offline"), 6)[-1]
    kept.unlink()
    assert "is missing; run: hybrid pull own" in lines(hybrid("models", "verify", "own"), 6)[0]


def test_what_ollama_pulled(hybrid: Hybrid, home: Path, tmp_path: Path) -> None:
    models = tmp_path / "ollama"
    for name in ("library/tiny/latest", "me/tiny/1b"):
        manifest = models / "manifests/registry.ollama.ai" / name
        manifest.parent.mkdir(parents=True)
        layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{SHA256}"}
        manifest.write_text(json.dumps({"layers": [{"mediaType": "x", "digest": "y"}, layer]}))
    (models / "blobs").mkdir()
    (models / "blobs" / f"sha256-{SHA256}").write_bytes(BODY)
    for name, stored in (("tiny", "tiny"), ("me/tiny:1b", "tiny-1b")):
        told = lines(hybrid("pull", f"ollama:{name}", OLLAMA_MODELS=str(models)))
        assert told[-1] == f"stored as {stored}"
    assert "run: ollama pull huge" in lines(hybrid("pull", "ollama:huge", OLLAMA_MODELS=str(models)), 6)[-1]
    for name in ("", "../x", "a/../b", "a:b:c", "a b", "tiny\n"):
        assert "is not of the form" in lines(hybrid("models", "import", f"ollama:{name}"), 2)[-1]


def test_shards_are_one_model_that_runs(
    hybrid: Hybrid, home: Path, model_file: Path, tmp_path: Path, hub: LoopbackHub
) -> None:
    shards = split_gguf(model_file, tmp_path, "tiny", 3)
    for shard in shards:
        hub.files[f"org/repo/q4/{shard.name}"] = Served(shard.read_bytes())
    done = hybrid("pull", f"hf:org/repo/q4/{shards[1].name}", HF_ENDPOINT=hub.origin)
    assert lines(done)[-1] == "stored as tiny"
    facts = shown(hybrid, "tiny")
    assert [listed["name"] for listed in facts["files"]] == [shard.name for shard in shards]
    assert facts["size"] == sum(shard.stat().st_size for shard in shards)
    world = Environment(None, None, None, {"HYBRID_HOME": str(home)})
    assert Store(world).locate("tiny").size == facts["size"]
    hybrid("models", "default", "tiny")
    assert f"tiny, {facts['size'] / 1e6:,.0f} MB".encode() in hybrid("doctor").stdout
    hashes = "".join(f"{hashlib.sha256(shard.read_bytes()).hexdigest()}\n" for shard in shards)
    assert facts["sha256"] == hashlib.sha256(hashes.encode()).hexdigest()
    answer = hybrid("run", *HELLO, "-m", "tiny", "-p", "offline")
    assert (answer.returncode, b"Hello" in answer.stdout) == (0, True), answer.stderr
    last = home / "data/blobs" / f"{facts['files'][2]['sha256']}.gguf"
    last.chmod(0o644)
    with last.open("r+b") as damaged:
        damaged.seek(-1, os.SEEK_END)
        damaged.write(b"\x7f")
    assert (
        "the weights of tiny changed: sha256"
        in lines(hybrid("run", "hi", "-m", "tiny", "-p", "offline"), 6)[-1]
    )
    lines(hybrid("models", "rm", "--force", "tiny"))
    assert [path for path in (home / "data").rglob("*") if path.is_file() and path.name != "lock"] == []
    lines(hybrid("models", "import", "--link", shards[2]))
    assert hybrid("run", *HELLO, "-m", "tiny", "-p", "offline").returncode == 0


def test_every_shard_of_a_model_given_by_its_path_is_verified(
    hybrid: Hybrid, home: Path, model_file: Path, tmp_path: Path
) -> None:
    """The identity is that of the stored model; calibration, prefix cache and speeds are found by it."""
    shards = split_gguf(model_file, tmp_path, "tiny", 3)
    store = Store(Environment(None, None, None, {"HYBRID_HOME": str(home)}))
    name = str(shards[0])
    assert store.peek(name) is None
    before = store.verified(name).sha256
    hashes = "".join(f"{hashlib.sha256(shard.read_bytes()).hexdigest()}\n" for shard in shards)
    assert before == hashlib.sha256(hashes.encode()).hexdigest()
    assert store.peek(name) == store.verified(name)
    assert hybrid("run", *HELLO, "-m", name, "-p", "offline").returncode == 0

    content = bytearray(shards[1].read_bytes())
    content[-1] ^= 1
    shards[1].write_bytes(content)
    assert store.peek(name) is None
    told = lines(hybrid("run", *HELLO, "-m", name, "-p", "offline"), 6)[-1]
    assert f"{shards[1]} changed since its first use" in told
    accept = f"hybrid models verify --accept {name}"
    assert told.split("run: ")[1].startswith(accept)
    assert hybrid("models", "verify", name).returncode == 6
    assert hybrid("models", "verify", "--accept", name).returncode == 0
    assert hybrid("run", *HELLO, "-m", name, "-p", "offline").returncode == 0
    assert store.verified(name).sha256 != before
    shards[2].unlink()
    told = lines(hybrid("models", "verify", name), 6)[0]
    assert f"needs all 3 files of its split model in one folder; missing: {shards[2].name}" in told


def test_one_flipped_bit_is_code_6(hybrid: Hybrid, home: Path, file: Path) -> None:
    lines(hybrid("pull", file))
    lines(hybrid("pull", file, "--name", "twin"))
    assert hybrid("models", "verify").stdout == b"small: verified\ntwin: verified\n"
    (blob,) = (home / "data/blobs").iterdir()
    times = blob.stat()
    blob.chmod(0o644)
    blob.write_bytes(BODY[:-1] + bytes([BODY[-1] ^ 1]))
    os.utime(blob, ns=(times.st_atime_ns, times.st_mtime_ns))
    found = hashlib.sha256(blob.read_bytes()).hexdigest()
    told = lines(hybrid("models", "verify", "small"), 6)
    assert told[0].startswith(f"the weights of small changed: sha256 {found}, expected {SHA256}")
    assert told[-1] == "1 of 1 models failed verification"
    assert lines(hybrid("models", "verify"), 6)[-1] == "2 of 2 models failed verification"


SHIPPED = "ci, default, frugal, offline, private, quality, research"


def test_rm_keeps_what_a_profile_or_another_model_needs(hybrid: Hybrid, home: Path, file: Path) -> None:
    write_catalog(home, entry_of(BODY, "x").replace("own:", f"{SMALL}:"))
    for name in (SMALL, "own", "twin"):
        lines(hybrid("pull", file, "--name", name))
    (home / "config/profiles").mkdir(parents=True)
    (home / "config/profiles/mine.yaml").write_text("version: 1\nlocal: {model: own}\n")
    assert shown(hybrid, "own")["profiles"] == ["mine"]
    lines(hybrid("models", "default", SMALL))
    for names, users in (
        (["twin", "own"], "own is used by profile mine"),
        ([SMALL], f"{SMALL} is used by profiles {SHIPPED}"),
    ):
        assert f"{users}; to remove it anyway: --force" in lines(hybrid("models", "rm", *names), 1)[-1]
    assert [model["name"] for model in json.loads(hybrid("models", "ls", "--json").stdout)] == [
        "own",
        SMALL,
        "twin",
    ]
    assert lines(hybrid("models", "rm", "-f", "own", SMALL))[-1].endswith("; freed 0 MB")
    assert len(list((home / "data/blobs").iterdir())) == 1
    lines(hybrid("models", "rm", "twin"))
    assert list((home / "data/blobs").iterdir()) == []
    assert "no model `twin`" in lines(hybrid("models", "rm", "twin"), 2)[-1]
    assert "is not downloaded" in lines(hybrid("models", "show", "qwen3-4b", "--json"), 6)[-1]


def test_when_a_model_was_last_used(hybrid: Hybrid, home: Path, file: Path) -> None:
    lines(hybrid("pull", file))
    assert shown(hybrid, "small")["last_used"] is None
    for refused in [
        *REFUSED,
        ("-f", "nowhere.txt"),
        ("--image", "nowhere.png"),
        ("--conversation", "/nowhere/c.jsonl"),
    ]:
        assert hybrid("run", "hi", "-m", "small", "-p", "offline", *refused).returncode != 0
    hybrid("run", "hi", "-m", "small", "-p", "offline", "--dry-run")
    hybrid("doctor", HYBRID_PROFILE="offline")
    assert shown(hybrid, "small")["last_used"] is None
    hybrid("run", "hi", "-m", "small", "-p", "offline")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", shown(hybrid, "small")["last_used"])


def test_prune_deletes_rests_but_not_under_a_pull(hybrid: Hybrid, home: Path, file: Path) -> None:
    lines(hybrid("pull", file))
    orphan = home / "data/blobs" / f"{'0' * 64}.gguf"
    orphan.write_bytes(bytes(3_000_000))
    with locked(home / "data/lock", shared=True):
        assert "a pull is running" in lines(hybrid("models", "prune"), 1)[-1]
    assert lines(hybrid("models", "prune")) == ["freed 3 MB"]
    assert [blob.stem for blob in (home / "data/blobs").iterdir()] == [SHA256]


def test_only_stale_rests_are_swept(tmp_path: Path) -> None:
    incoming = Incoming(Environment(None, None, None, {"HYBRID_HOME": str(tmp_path)}))
    with incoming.slot("new") as slot:
        slot.resumable = True
        (slot.folder / "file.part").write_bytes(bytes(5000))
        assert incoming.sweep(older_than=-1) == 0  # it is being fetched
    assert incoming.sweep() == 0
    assert incoming.sweep(older_than=-1) > 0
    assert list((tmp_path / "data/incoming").iterdir()) == []


def test_a_path_must_stay_the_file_it_was(hybrid: Hybrid, home: Path, file: Path) -> None:
    """This file holds no model, which llama.cpp says where its checksum is the one that was meant."""

    def refusal() -> str:
        return lines(hybrid("run", "hi", "-m", file, "-p", "offline"), 6)[-1]

    assert "llama.cpp" in refusal()
    assert "llama.cpp" in refusal()
    (record,) = (home / "data/paths").iterdir()
    assert json.loads(record.read_bytes())["sha256"] == SHA256
    os.utime(file, (1, 1))
    assert "llama.cpp" in refusal()
    other = gguf() + b"two"
    file.write_bytes(other)
    error = refusal()
    assert f"sha256 {hashlib.sha256(other).hexdigest()}, expected {SHA256}; if you changed it" in error
    assert error.startswith(lines(hybrid("models", "verify", file), 6)[0])
    assert lines(hybrid("models", "verify", "--accept", file)) == []
    assert "llama.cpp" in refusal()


@pytest.mark.parametrize(
    "mode, expected",
    [(0o666, "everybody can change"), (0o646, "everybody can change"), (0o664, ""), (0o600, "")],
)
def test_who_may_change_a_file(mode: int, expected: str, hybrid: Hybrid, home: Path, file: Path) -> None:
    file.chmod(mode)

    def refusal() -> str:
        return lines(hybrid("run", "hi", "-m", file, "-p", "offline"), 6)[-1]

    assert (expected or "llama.cpp cannot load") in refusal()
    if os.geteuid() == 0 and not expected:
        os.chown(file, 12345, 12345)
        assert ("a group can change" in refusal()) is bool(mode & 0o020)


def header(*parts: bytes, tensors: int = 0, pairs: int = 1) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", 3, tensors, pairs) + b"".join(parts)


def text(word: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(word) if length is None else length) + word


@pytest.mark.parametrize(
    "content",
    [
        header(text(b"k", 1 << 40), bytes(99)),
        header(text(b"k"), struct.pack("<I", 99), bytes(99)),
        header(text(b"k"), struct.pack("<I", 8), text(b"v", 1 << 62), bytes(99)),
        header(text(b"k"), struct.pack("<IIQ", 9, 4, 1 << 61), bytes(99)),
        header(text(b"k"), struct.pack("<IIQ", 9, 8, 1 << 40), bytes(99)),
        header(text(b"k"), struct.pack("<IIQ", 9, 8, 2), text(b"a"), text(b"b", 1 << 30), bytes(99)),
        header(text(b"k"), struct.pack("<I", 9), struct.pack("<IQ", 9, 1) * 9, bytes(99)),
        header(text(b"t"), struct.pack("<I", 9), bytes(99), tensors=1, pairs=0),
        header(text(b"t"), struct.pack("<IQIQ", 1, 5, 0, 1 << 40), bytes(99), tensors=1, pairs=0),
        header(text(b"k"), struct.pack("<I", 12), bytes(7)),
    ],
)
def test_a_header_that_leaves_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(Failure, match="its header claims more data than the file has"):
        check_gguf(path)


@settings(max_examples=200)
@given(st.binary(max_size=300), st.integers(0, 5), st.integers(0, 5))
def test_no_header_breaks_the_walk(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, tensors: int, pairs: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "walk.gguf"
    path.write_bytes(header(tail, tensors=tensors, pairs=pairs))
    try:
        check_gguf(path)
    except Failure as failure:
        assert "is damaged" in str(failure)


def test_the_walk_passes_a_real_model(model_file: Path) -> None:
    check_gguf(model_file)


@settings(max_examples=300)
@given(
    st.text(max_size=40) | st.text("./:@#!\\~a-0_é\0\n", max_size=40),
    st.sampled_from(["hf:o/", "hf:", "wheel:p==1!", "ollama:", "https://h/", ""]),
)
def test_no_source_leaves_its_place(words: str, kind: str) -> None:
    try:
        source = parse_source(kind + words)
    except Failure:
        return
    if source is None or not (kind and source.text.startswith(kind.split("/", maxsplit=1)[0])):
        return
    assert source.text.isprintable() or isinstance(source, OllamaSource | UrlSource)
    assert kind in ("ollama:", "https://h/") or ".." not in source.text.split("@")[0].split("/")


def test_the_default_model_is_the_first_one_or_the_chosen_one(hybrid: Hybrid, home: Path, file: Path) -> None:
    assert lines(hybrid("run", "hi", "-p", "offline"), 6)[-1].startswith(
        "no model is downloaded yet; run: hybrid pull"
    )
    assert lines(hybrid("models", "default"), 6) == ["no model is downloaded yet; run: hybrid pull"]
    for name in ("zebra", "ant"):
        lines(hybrid("pull", file, "--name", name))

    def default() -> list[str]:
        """As each place says it: the command, the list's mark, a profile's effective value."""
        listed = [line.split("\t") for line in hybrid("models", "ls").stdout.decode().splitlines()]
        explained = json.loads(hybrid("profile", "explain", "-p", "ci", "--json").stdout)["local.model"]
        assert explained["layer"] == "profile `default` via profile `ci`, as the default model"
        marked = [row[0] for row in listed if row[1] == "*"]
        return [hybrid("models", "default").stdout.decode().strip(), *marked, explained["value"]]

    assert default() == ["zebra"] * 3
    assert lines(hybrid("models", "default", "ant")) == ["the default model is ant"]
    assert default() == ["ant"] * 3
    assert "llama.cpp cannot load" in lines(hybrid("run", "hi", "-p", "offline"), 6)[-1]
    assert shown(hybrid, "ant")["profiles"] == SHIPPED.split(", ")
    (home / "config/profiles").mkdir(parents=True, exist_ok=True)
    (home / "config/profiles/own.yaml").write_text("version: 1\nextends: offline\nlocal: {model: zebra}\n")
    assert shown(hybrid, "zebra")["profiles"] == ["own"]  # a profile that names a model keeps it
    lines(hybrid("models", "rm", "--force", "ant"))
    assert default() == ["zebra"] * 3
    assert "did you mean `zebra`?" in lines(hybrid("models", "default", "zebre"), 2)[-1]
    assert lines(hybrid("models", "default", "qwen3-4b"), 6) == [
        "qwen3-4b is not downloaded; run: hybrid pull qwen3-4b"
    ]
    assert "not `default`" in lines(hybrid("pull", file, "--name", "default"), 2)[-1]


def test_where_nothing_is_stored_ls_says_what_to_do(hybrid: Hybrid, home: Path) -> None:
    assert lines(hybrid("models", "ls")) == ["no models; run: hybrid pull"]
    assert hybrid("models", "ls", "-q").stderr == b""
    assert lines(hybrid("consent", "ls")) == [
        "no consent for any cloud; to give it, run: hybrid consent grant ORIGIN"
    ]


def test_a_damaged_record_is_listed_with_what_to_do(hybrid: Hybrid, home: Path, file: Path) -> None:
    for name in ("good", "bad"):
        lines(hybrid("models", "import", file, "--name", name))
    (home / "data" / "models" / "bad.json").write_text("{")
    says = "its record is damaged; pull or import it again, or run: hybrid models rm bad"
    listed = hybrid("models", "ls").stdout.decode().splitlines()
    assert [line.split("\t")[0] for line in listed] == ["good", "bad"]
    assert listed[1].endswith(f"\t{says}")
    done = hybrid("models", "ls", "--json")
    assert [model["name"] for model in json.loads(done.stdout)] == ["good"]
    assert lines(done) == [f"bad: {says}"]
    lines(hybrid("models", "rm", "bad"))
    assert hybrid("models", "ls").stdout.decode().splitlines() == listed[:1]


def test_verify_tells_programs_too(hybrid: Hybrid, home: Path, file: Path) -> None:
    for name in ("good", "bad"):
        body = file.read_bytes() + name.encode()
        file.write_bytes(body)
        lines(hybrid("models", "import", file, "--name", name))
    blob = home / "data" / "blobs" / f"{hashlib.sha256(body).hexdigest()}.gguf"
    blob.chmod(0o644)
    blob.write_bytes(body[:-1] + b"?")
    done = hybrid("models", "verify", "--json")
    bad, good = json.loads(done.stdout)
    assert good == {"name": "good", "verified": True, "message": None}
    assert (bad["name"], bad["verified"]) == ("bad", False)
    assert hashlib.sha256(body).hexdigest() in bad["message"]
    assert lines(done, 6) == [bad["message"], "1 of 2 models failed verification"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"no model", "small.gguf is not a GGUF model file"),
        (gguf(pairs=10**9), "small.gguf is damaged: its header claims more data than the file has"),
    ],
)
def test_a_damaged_file_is_named_as_the_user_knows_it(
    hybrid: Hybrid, home: Path, file: Path, body: bytes, says: str
) -> None:
    file.write_bytes(body)
    assert lines(hybrid("models", "import", file), 6)[-1] == says


def test_a_store_that_cannot_be_written(hybrid: Hybrid, small_disk: Path, file: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    folder = small_disk / "home"
    for arguments in (("models", "import", file), ("models", "prune"), ("pull", file)):
        told = lines(hybrid(*arguments, HYBRID_HOME=str(folder)), 1)[-1]
        assert told.endswith("Read-only file system; set HYBRID_HOME to another folder")
        assert str(folder) in told
