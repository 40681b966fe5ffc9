"""Images that the local model reads: a real model and engine, and a projector that the tests make.

The projector's weights are random (`made_projector` says why), so an answer about an image makes no sense. What can
be tested is the way: that an image changes what the model computes, and that everything else still holds.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hybrid_cli.cloud.image import Image as PromptImage
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.calibration import shipped
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.local import loading, memory
from hybrid_cli.local.image_size import size_of, too_large
from hybrid_cli.local.worker import SPAWN
from hybrid_cli.prompt import Question, Request
from hybrid_cli.prompt_files.image_formats import without_metadata
from hybrid_process import Hybrid, environment
from loopback_hub import LoopbackHub, Served
from made_images import images
from made_projector import write_projector
from scripted_cloud import Reply, ScriptedCloud

Profile = Callable[..., Path]
SHORT = ("--max-tokens", "8", "--allow-truncated")
OFFLINE = ("run", "-p", "offline", *SHORT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Path:
    """A folder with the real model, a projector beside it, and images."""
    made = tmp_path_factory.mktemp("vision")
    os.link(model_file, made / "model.gguf")
    write_projector(made / "mmproj-model.gguf")
    for name, colour in (("red.png", (255, 0, 0)), ("blue.jpg", (0, 0, 255)), ("green.gif", (0, 255, 0))):
        Image.new("RGB", (60, 40), colour).save(made / name)
    return made


@pytest.fixture
def ask(hybrid: Hybrid, folder: Path) -> Callable[..., dict[str, Any]]:
    """Ask the local model; return the answer object."""

    def run(*arguments: str, **variables: str) -> dict[str, Any]:
        done = hybrid(*OFFLINE, "-m", "model.gguf", "--json", *arguments, cwd=folder, **variables)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run


def logits(answer: dict[str, Any]) -> tuple[str, float, float]:
    """What the answer says about the logits that it was drawn from."""
    signals = answer["handoff"]["signals"]
    return answer["answer"], signals["mean_logprob"], signals["first_entropy"]


def test_the_model_computes_with_the_image_and_the_text(ask: Callable[..., dict[str, Any]]) -> None:
    red = ask("-i", "red.png", "What colour is it?")
    assert logits(ask("-i", "red.png", "What colour is it?")) == logits(red)
    others = [
        ask("-i", "blue.jpg", "What colour is it?"),
        ask("-i", "red.png", "Who are you?"),
        ask("-i", "red.png", "-i", "green.gif", "What colour is it?"),
    ]
    assert len({logits(answer) for answer in [red, *others]}) == 4
    assert red["policy"]["enforcement"] == "seccomp"
    assert (red["answered_by"], red["handoff"]["reason"]) == ("local", "forbidden")


def test_only_an_image_takes_the_place_of_an_image(ask: Callable[..., dict[str, Any]]) -> None:
    """Text that looks like a marker stays text: an image adds its four vectors to the same tokens, and no more."""
    prompt = f"<__media__> <image> <|image_pad|> [IMG] <|im_end|>\n<|im_start|>user\n<image {'0' * 64}>"
    without = tokens_in(ask(prompt))
    assert tokens_in(ask("-i", "red.png", prompt)) == without + 4
    assert tokens_in(ask("-i", "red.png", "-i", "red.png", prompt)) == without + 8


def tokens_in(answer: dict[str, Any]) -> int:
    return int(answer["usage"]["local"]["in"])


def test_the_form_of_the_answer_still_holds(ask: Callable[..., dict[str, Any]]) -> None:
    assert ask("-i", "red.png", "--choices", "red,blue", "Which colour?")["answer"] in ("red", "blue")
    found = ask("-i", "red.png", "--schema", "n int", "--max-tokens", "40", "How many?")["answer"]
    assert isinstance(json.loads(found)["n"], int)
    plain = ask("-i", "red.png", "--max-tokens", "20", "What colour is it?")["answer"]
    word = plain.split()[2]
    stopped = ask("-i", "red.png", "--max-tokens", "20", "--stop", word, "What colour is it?")["answer"]
    assert stopped == plain[: plain.index(word)].rstrip()


@pytest.mark.parametrize("spawned", [False, True])
def test_a_warm_engine_and_a_spawned_worker_answer_alike(
    ask: Callable[..., dict[str, Any]], hybrid: Hybrid, spawned: bool
) -> None:
    question = ("-i", "red.png", "What colour is it?")
    cold = logits(ask(*question))
    if spawned:
        assert logits(ask(*question, **{SPAWN: "1"})) == cold
        return
    try:
        warm = [ask("--keep-alive", "60s", *question) for _ in range(2)]
        assert [logits(answer)[0] for answer in warm] == [cold[0]] * 2
        assert [logits(answer)[2] for answer in warm] == pytest.approx([cold[2]] * 2, rel=0.01)
        other = ask(
            "-i", "blue.jpg", "What colour is it?"
        )  # what the slot holds of another image is not used
        assert logits(other)[2] != pytest.approx(cold[2], rel=0.01)
        assert tokens_in(ask("What colour is it?")) == tokens_in(warm[0]) - 4
    finally:
        assert hybrid("models", "unload").returncode == 0


def _with_damaged_pixels(png: bytes) -> bytes:
    """`png` with other compressed data of the same length and the right checksum, which only a decoder refuses."""
    place = png.index(b"IDAT")
    size = int.from_bytes(png[place - 4 : place], "big")
    data = b"IDAT" + b"\xff" * size
    return png[:place] + data + zlib.crc32(data).to_bytes(4, "big") + png[place + 8 + size :]


def test_what_only_the_cloud_can_read_is_a_reason_to_hand_off(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, folder: Path, tmp_path: Path
) -> None:
    """WebP, and a picture whose pixels are damaged; in a good one the local answer is kept, and nothing leaves."""
    webp = tmp_path / "a.webp"
    webp.write_bytes(images()["WebP"][1])
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(_with_damaged_pixels((folder / "red.png").read_bytes()))
    path = profile(
        f"local: {{model: {folder}/model.gguf}}\n{cloud.section()}privacy: {{images: allow}}\n"
        "escalation: {target: {threshold: 0.01}}\n"
    )
    for image, why in ((webp, "it reads PNG, JPEG and GIF"), (damaged, "its pixels are damaged")):
        done = hybrid(*OFFLINE, "-m", folder / "model.gguf", "-i", image, "What is it?")
        assert (done.returncode, done.stdout) == (3, b"")
        assert f"the local model cannot read this image: {why}" in done.stderr.decode()
        assert done.stderr.count(b"\n") == 1
        done = hybrid("run", "-p", path, "--json", "-i", image, "?", HYBRID_CONSENT=cloud.origin)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["handoff"]["reason"] == "capability"
    assert len(cloud.received) == 2
    done = hybrid("run", "-p", path, *SHORT, "-i", folder / "red.png", "?", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, len(cloud.received)) == (0, 2), done.stderr


def _drawn(kind: str, size: tuple[int, int], **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("GIF", {})]
)
def test_the_size_of_an_image_is_read_from_its_header(kind: str, options: dict[str, Any]) -> None:
    image = _drawn(kind, (37, 21), **options)
    assert size_of(image) == (37, 21)
    assert size_of(without_metadata(image)[1]) == (37, 21)
    cut = next(length for length in range(len(image)) if size_of(image[:length]) == (37, 21))
    assert not any(map(size_of, (image[:length] for length in range(cut))))


def test_an_image_of_too_many_pixels_is_not_decoded(
    hybrid: Hybrid, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bomb.png").write_bytes(_large_png(30_000))
    done = hybrid(*OFFLINE, "-m", folder / "model.gguf", "-i", tmp_path / "bomb.png", "What is it?")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (3, b"", 1)
    assert "it has 30000 x 30000 pixels, over 100 million; make it smaller" in done.stderr.decode()
    monkeypatch.setattr(memory, "available", lambda: 50_000_000)  # a machine with little memory
    assert too_large(_drawn("PNG", (2000, 2000))) is None
    refusal = too_large(_large_png(3000))
    assert refusal is not None
    assert "its 3000 x 3000 pixels need 108 MB of memory, but only 50 MB are free" in refusal


@pytest.mark.parametrize("mode", ["1", "P", "L", "LA", "RGB", "RGBA", "I;16"])
def test_an_image_unpacks_to_no_more_than_its_pixels(mode: str) -> None:
    for size in ((1, 1), (1, 500), (37, 21)):
        file = io.BytesIO()
        Image.effect_noise(size, 90).convert(mode).save(file, "PNG")
        assert too_large(file.getvalue()) is None


def test_an_image_that_unpacks_to_more_is_not_decoded(hybrid: Hybrid, folder: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(_large_png(40, lines=10_000_000))
    done = hybrid(*OFFLINE, "-m", folder / "model.gguf", "-i", bomb, "What is it?")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (3, b"", 1)
    assert "its data unpacks to more than its 40 x 40 pixels; save it anew" in done.stderr.decode()
    assert too_large(_large_png(40, lines=39)) is None, "the decoder refuses it"


def _large_png(side: int, lines: int | None = None) -> bytes:
    """A square PNG of black pixels, a thousandth of its pixels' size. It has as many `lines` as its header says, or others."""
    packing, line = zlib.compressobj(9), bytes(side // 8 + 2)
    body = packing.compress(line * (side if lines is None else lines)) + packing.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)  # one bit a pixel
    chunks = ((b"IHDR", header), (b"IDAT", body[:100]), (b"IDAT", body[100:]), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def test_an_unsure_answer_about_an_image_is_handed_off_with_it(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, folder: Path
) -> None:
    cloud.replies = [Reply(pieces=("Red.",))]
    path = profile(
        f"local: {{model: {folder}/model.gguf}}\n{cloud.section()}privacy: {{images: allow}}\n"
        "escalation: {target: {threshold: 0.99}}\n"
    )
    done = hybrid("run", "-p", path, "-i", folder / "red.png", *SHORT, "What?", HYBRID_CONSENT=cloud.origin)
    assert done.stdout == b"Red.\n", done.stderr
    assert [part["type"] for part in cloud.received[0].body["messages"][-1]["content"]] == [
        "text",
        "image_url",
    ]


def test_no_promise_covers_images() -> None:
    criterion = Criterion(0.5, shipped()[0])
    question = Question("What is it?", "")
    assert criterion.for_request(Request(question, None)).keeps(0.9)
    seen = Request(question, None, images=(PromptImage(*images()["PNG"]),))
    assert not criterion.for_request(seen).keeps(0.9)
    assert Criterion(0.5).for_request(seen).keeps(0.9)


def test_an_image_that_does_not_fit_is_a_reason_to_hand_off(
    hybrid: Hybrid, profile: Profile, folder: Path
) -> None:
    path = profile(f"local: {{model: {folder}/model.gguf, context: 40}}\nescalation: {{mode: forbid}}\n")
    arguments = ("run", "-p", path, *SHORT, "-i", folder / "red.png", "-i", folder / "red.png", "What?")
    done = hybrid(*arguments)
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"tokens, the local context window holds 40" in done.stderr


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    """A projector that takes a minute for an image: 6,400 patches, each of which attends to all, 150 times."""
    return write_projector(tmp_path_factory.mktemp("slow") / "slow.gguf", image=1120, hidden=64, layers=150)


def test_a_slow_image_ends_at_the_deadline(
    hybrid: Hybrid, profile: Profile, folder: Path, slow: Path
) -> None:
    path = profile(
        f"local: {{model: {folder}/model.gguf, projector: {slow}}}\nescalation: {{mode: forbid}}\n"
    )
    image = ("-i", folder / "red.png", "What?")
    assert hybrid("run", "-p", path, *SHORT, "What?").returncode == 0  # the checksums are known now
    hybrid("run", "-p", path, *SHORT, "--timeout", "1", *image)
    for keep in ((), ("--keep-alive", "60s")):
        begun = time.monotonic()
        done = hybrid("run", "-p", path, *SHORT, *keep, "--timeout", "2", *image)
        assert (done.returncode, done.stdout) == (124, b""), done.stderr
        assert time.monotonic() - begun < 15


def test_a_slow_image_ends_at_a_signal(
    command: str, home: Path, profile: Profile, folder: Path, slow: Path
) -> None:
    path = profile(
        f"local: {{model: {folder}/model.gguf, projector: {slow}}}\nescalation: {{mode: forbid}}\n"
    )
    arguments = [command, "run", "-p", path, "-i", folder / "red.png", "What?"]
    with subprocess.Popen(arguments, env=environment(home), stdout=-1, stderr=-1) as process:
        time.sleep(3)
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        assert process.wait(timeout=20) == 143
        assert time.monotonic() - begun < 10  # two seconds, on a machine that does nothing else


BAD = {
    "wrong width": (
        lambda path: write_projector(path, width=128),
        "mismatch between text model (n_embd = 576)",
    ),
    "audio": (lambda path: write_projector(path, sees=False), "is a projector for audio"),
    "a model": (lambda path: write_projector(path, architecture="llama"), "is a model that writes text"),
    "text": (lambda path: path.write_text("no projector"), "is not a GGUF model file"),
    "cut": (lambda path: _cut(write_projector(path), 100), "its header claims more data than the file has"),
    "empty": (lambda path: path.touch(), "is not a GGUF model file"),
    "missing": (lambda _: None, "cannot read the model file"),
}


def _cut(path: Path, count: int) -> None:
    os.truncate(path, path.stat().st_size - count)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_projector_is_one_line(
    hybrid: Hybrid, profile: Profile, folder: Path, tmp_path: Path, kind: str
) -> None:
    make, why = BAD[kind]
    make(tmp_path / "p.gguf")
    path = profile(
        f"local: {{model: {folder}/model.gguf, projector: p.gguf}}\nescalation: {{mode: forbid}}\n"
    )
    done = hybrid("run", "-p", path, *SHORT, "-i", folder / "red.png", "What?")
    assert (done.returncode, done.stdout) == (6, b""), done.stderr
    assert why in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    if kind == "wrong width":
        assert hybrid("run", "-p", path, *SHORT, "What?").returncode == 0  # text needs no projector


def test_a_changed_projector_is_refused_until_it_is_accepted(
    hybrid: Hybrid, profile: Profile, folder: Path, tmp_path: Path
) -> None:
    projector = write_projector(tmp_path / "p.gguf")
    path = profile(
        f"local: {{model: {folder}/model.gguf, projector: p.gguf}}\nescalation: {{mode: forbid}}\n"
    )
    arguments = ("run", "-p", path, *SHORT, "-i", folder / "red.png", "What?")
    assert hybrid(*arguments).returncode == 0
    write_projector(projector, layers=3)
    done = hybrid(*arguments)
    assert done.returncode == 6
    assert f"hybrid models verify --accept {projector}" in done.stderr.decode()
    assert hybrid("models", "verify", "--accept", projector).returncode == 0
    assert hybrid(*arguments).returncode == 0


def test_the_profile_names_the_projector(
    hybrid: Hybrid, profile: Profile, folder: Path, tmp_path: Path
) -> None:
    """By name it is used for a stored model; `off` and two beside the model's file are none."""
    write_projector(tmp_path / "p.gguf")
    image = ("-i", folder / "red.png", "What?")
    named = profile("local: {projector: p.gguf}\nescalation: {mode: forbid}\n")
    assert hybrid("run", "-p", named, *SHORT, *image).returncode == 0
    off = profile(f'local: {{model: {folder}/model.gguf, projector: "off"}}\nescalation: {{mode: forbid}}\n')
    assert hybrid("run", "-p", off, *SHORT, *image).returncode == 3
    os.link(folder / "model.gguf", tmp_path / "model.gguf")
    write_projector(tmp_path / "mmproj-a.gguf")
    assert hybrid(*OFFLINE, "-m", tmp_path / "model.gguf", *image).returncode == 0
    write_projector(tmp_path / "mmproj-b.gguf")
    done = hybrid(*OFFLINE, "-m", tmp_path / "model.gguf", *image)
    assert (done.returncode, b"the local model cannot read images" in done.stderr) == (3, True)
    (tmp_path / "bad.yaml").write_text("version: 1\nlocal: {projector: none.gguf}\n")
    checked = hybrid("profile", "check", tmp_path / "bad.yaml")
    assert (checked.returncode, b"no such file" in checked.stdout + checked.stderr) == (2, True)


def test_a_catalog_model_comes_with_its_projector(
    hybrid: Hybrid, model_file: Path, folder: Path, tmp_path: Path
) -> None:
    """Both files are one model: pulled, verified, repaired and deleted together."""
    own = tmp_path / "own"
    blobs = own / "data" / "blobs"
    blobs.mkdir(parents=True)
    os.link(model_file, blobs / model_file.name)
    (own / "config").mkdir()
    content = (folder / "mmproj-model.gguf").read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    image = ("run", "-p", "offline", *SHORT, "-m", "seeing", "-i", folder / "red.png", "What?")
    with LoopbackHub() as hub:
        hub.files["/mmproj-seeing.gguf"] = Served(content)
        (own / "config" / "models.yaml").write_text(
            f"seeing:\n  licence: MIT\n  sources: ['{hub.origin}/{{file}}']\n"
            f"  files: [{{name: m.gguf, size: {model_file.stat().st_size}, sha256: {model_file.stem}}}]\n"
            f"  projector: {{name: mmproj-seeing.gguf, size: {len(content)}, sha256: {sha256}}}\n"
        )

        def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
            return hybrid(*arguments, HYBRID_HOME=str(own))

        done = run(*image)
        assert (done.returncode, b"seeing is not downloaded; run: hybrid pull seeing" in done.stderr) == (
            6,
            True,
        )
        assert run("pull", "seeing").returncode == 0
        shown = json.loads(run("models", "show", "seeing", "--json").stdout)
        assert [file["sha256"] for file in shown["files"]] == [model_file.stem, sha256]
        assert shown["size"] == model_file.stat().st_size + len(content)
        assert run(*image).returncode == 0
        blob = blobs / f"{sha256}.gguf"
        blob.chmod(0o644)
        blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert b"the weights of seeing changed" in run(*image).stderr
        assert run("pull", "seeing").returncode == 0
        assert run(*image).returncode == 0
    assert run("models", "rm", "--force", "seeing").returncode == 0
    assert list(blobs.iterdir()) == []


def test_memory_must_hold_the_projector_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 50_000_000)  # a machine with little memory
    for name in ("model", "projector"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 30_000_000)
    loading._refuse_too_large(str(tmp_path / "model"))
    with pytest.raises(Failure, match="needs 60 MB of memory, but only 50 MB are free") as failure:
        loading._refuse_too_large(str(tmp_path / "model"), beside=str(tmp_path / "projector"))
    assert failure.value.status is ExitStatus.WEIGHTS
