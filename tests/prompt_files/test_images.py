"""Images in the prompt: their formats, what is removed, who may get them, and what a handoff costs."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from hybrid_cli.cloud.image import Image
from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.streams import Reply as Answered
from hybrid_cli.egress.budget import used_by, worst_cost
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ledger.database import Ledger
from hybrid_cli.profile.cloud_section import Prices, Server
from hybrid_cli.profile.layers import Layer
from hybrid_cli.profile.merge import merge
from hybrid_cli.prompt_files import images as images_module
from hybrid_cli.prompt_files.image_formats import ImageError, without_metadata
from hybrid_cli.prompt_files.images import read_images
from hybrid_process import Hybrid, environment
from made_images import CANARIES, FIVE, details, images, pixels
from scripted_cloud import Reply, ScriptedCloud

Profile = Callable[..., Path]
SAMPLES = images()
ALLOWED = "privacy: {images: allow}\n"


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_metadata_goes_and_the_picture_stays(kind: str) -> None:
    media_type, data = SAMPLES[kind]
    found_type, clean = without_metadata(data)
    assert found_type == media_type
    assert pixels(clean) == pixels(data)
    frames, exif, profile = details(clean)
    assert frames == 1
    assert exif == ({0x0112: 6} if "JPEG" in kind else {})  # a photo that lies on its side
    assert profile == details(data)[2]
    assert not [canary for canary in CANARIES if canary in clean]
    assert without_metadata(clean) == (media_type, clean)


def test_each_sample_has_what_is_to_be_removed() -> None:
    """So that the test above cannot pass for want of metadata."""
    for canary in CANARIES:
        assert sum(canary in data for _, data in SAMPLES.values()) >= 3, canary
    assert {kind for kind, (_, data) in SAMPLES.items() if details(data)[0] > 1} >= {
        "APNG",
        "moving GIF",
        "moving WebP",
    }


def test_an_upright_photo_keeps_no_exif_at_all() -> None:
    assert b"Exif" not in without_metadata(images(orientation=1)["JPEG"][1])[1]


@pytest.mark.parametrize("kind", SAMPLES)
def test_an_image_cut_anywhere_is_refused(kind: str) -> None:
    """What is left of a cut image is one line, never a traceback, and never sent as whole."""
    _, clean = without_metadata(SAMPLES[kind][1])
    for length in range(len(clean)):
        with pytest.raises(ImageError):
            without_metadata(clean[:length])


@pytest.mark.parametrize("kind", SAMPLES)
def test_damage_is_refused_or_harmless(kind: str) -> None:
    data = SAMPLES[kind][1]
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0xFF
        try:
            without_metadata(bytes(damaged))
        except ImageError:
            continue


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("text.png", "is not a PNG, JPEG, WebP or GIF image"),
        ("empty.png", "is not a PNG, JPEG, WebP or GIF image"),
        ("half.png", "is a damaged or truncated PNG image"),
        ("folder.png", "is a folder, not a file"),
        ("pipe.png", "is a pipe, not a file"),
        ("missing.png", "cannot be read: No such file or directory"),
        ("large.png", "is over 20 MB; make the image smaller"),
    ],
)
def test_what_is_no_image_is_one_line(hybrid: Hybrid, tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "half.png").write_bytes(SAMPLES["PNG"][1][:60])
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(images_module.MAX_BYTES + 1)
    done = hybrid("run", "-i", name, "What is it?", cwd=tmp_path, timeout=20)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == f"hybrid: {name} {why}\n"


def test_all_images_together_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(SAMPLES["PNG"][1])
    monkeypatch.setattr(images_module, "MAX_BYTES_TOGETHER", 300)  # 36 MB take a while to check
    read_images([str(tmp_path / "a.png")])
    with pytest.raises(Failure, match="the images are over 0 MB together") as failure:
        read_images([str(tmp_path / "a.png")] * 3)
    assert failure.value.status is ExitStatus.USAGE


@pytest.fixture
def five(tmp_path: Path) -> list[str]:
    """Arguments that name an image of each format; the names say another format."""
    for kind in FIVE:
        (tmp_path / f"{kind}.dat").write_bytes(SAMPLES[kind][1])
    return [argument for kind in FIVE for argument in ("-i", str(tmp_path / f"{kind}.dat"))]


def clean_urls() -> list[str]:
    found = [without_metadata(SAMPLES[kind][1]) for kind in FIVE]
    return [f"data:{media_type};base64,{base64.b64encode(data).decode()}" for media_type, data in found]


def test_the_local_model_hands_images_off_or_refuses(hybrid: Hybrid, five: list[str], tmp_path: Path) -> None:
    """Under forbid, and where images may not leave: code 3, and each format alone does the same."""
    for number in range(0, 10, 2):
        done = hybrid("run", "-p", "offline", *five[number : number + 2], "What is it?")
        assert (done.returncode, done.stdout) == (3, b"")
        assert b"the local model cannot read images; not handed off: profile `offline`" in done.stderr
        assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_handoff_has_the_images_in_the_form_of_its_api(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, five: list[str], home: Path, api: str
) -> None:
    completed = {"id": "r", "status": "completed", "model": "scripted", "output": []}
    cloud.replies = [
        Reply(
            events=(
                {"type": "response.output_text.delta", "delta": "Five."},
                {"type": "response.completed", "response": completed},
            )
        )
        if api == "responses"
        else Reply(pieces=("Five.",))
    ]
    path = profile(cloud.section(f", api: {api}, prices: {{input: 1, output: 1}}") + ALLOWED)
    done = hybrid("run", "--json", "-p", path, *five, "How many?", HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["answered_by"], answer["handoff"]["reason"]) == ("cloud", "capability")
    (sent,) = cloud.received
    if api == "chat":
        text, *parts = sent.body["messages"][-1]["content"]
        assert text == {"type": "text", "text": "How many?"}
        assert parts == [{"type": "image_url", "image_url": {"url": url}} for url in clean_urls()]
    else:
        text, *parts = sent.body["input"][-1]["content"]
        assert text == {"type": "input_text", "text": "How many?"}
        assert parts == [{"type": "input_image", "image_url": url} for url in clean_urls()]
    decoded = b"".join(base64.b64decode(url.partition(",")[2]) for url in clean_urls())
    assert not [canary for canary in CANARIES if canary in decoded + sent.content]
    total = sum(len(without_metadata(SAMPLES[kind][1])[1]) for kind in FIVE)
    assert (
        f"cannot read images, with 5 images of {total:,} bytes (not scanned), at most $"
        in done.stderr.decode()
    )
    (row,) = Ledger(home / "state").rows()
    assert row["reason"] == "capability"
    clean = [without_metadata(SAMPLES[kind][1]) for kind in FIVE]
    (exported,) = json.loads(hybrid("usage", "--export").stdout)["requests"]
    assert (
        json.loads(row["images"])
        == exported["images"]
        == [
            {"media_type": kind, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for kind, data in clean
        ]
    )


def test_the_dry_run_describes_images_and_json_has_each_byte(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, five: list[str], home: Path
) -> None:
    path = profile(cloud.section() + ALLOWED + "log: {prompts: true}\n")
    arguments = ("run", "-p", path, *five[:2], "What is it?")
    shown = hybrid(*arguments, "--dry-run", HYBRID_CONSENT=cloud.origin).stdout
    shown += hybrid(*arguments, "--dry-run", HYBRID_CONSENT=cloud.origin).stderr
    (media_type, data) = without_metadata(SAMPLES["PNG"][1])
    described = f"{media_type}, {len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()}"
    assert described in shown.decode()
    assert b"nothing to redact; the scan cannot read images" in shown
    assert b"base64" not in shown
    plan = json.loads(hybrid(*arguments, "--dry-run", "--json", HYBRID_CONSENT=cloud.origin).stdout)
    assert hybrid(*arguments, HYBRID_CONSENT=cloud.origin).returncode == 0
    assert cloud.received[0].content.decode() == plan["payload"]
    (row,) = Ledger(home / "state").rows()
    assert described in row["prompt"]
    assert "base64" not in row["prompt"]


def test_policy_decides_about_images_alone(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, five: list[str]
) -> None:
    """The strictest layer wins, `ask` without a terminal denies, and a hosted tool gets none."""
    image = five[:2]

    def refused(text: str, *arguments: str) -> str:
        path = profile(cloud.section(", tools: [web_search], api: responses") + text)
        done = hybrid("run", "-p", path, *arguments, *image, "What is it?", HYBRID_CONSENT=cloud.origin)
        assert (done.returncode, done.stdout, len(cloud.received)) == (3, b"", 0), done.stderr
        return done.stderr.decode()

    assert "asks before images are sent, and there is no terminal; set privacy.images: allow" in refused("")
    assert "forbids images (privacy.images)" in refused("privacy: {images: forbid}\n")
    assert "forbids images (privacy.images)" in refused(
        "privacy: {images: forbid}\nescalation: {mode: force}\n"
    )
    assert "cloud.tool_context" in refused(ALLOWED, "--tool", "web_search")
    rule = "escalation: {rules: [{when: {matches: it}, then: local}]}\n"
    assert "the local model cannot read images; not handed off:" in refused(ALLOWED + rule)


def test_a_projects_file_may_only_tighten() -> None:
    def layer(name: str, value: str, *, tightens: bool = False) -> Layer:
        return Layer(name, {"privacy": {"images": value}}, is_project=tightens)

    def outcome(*layers: Layer) -> tuple[str, str]:
        found = merge(layers)["privacy.images"]
        return found.value, found.layer

    assert outcome() == ("ask", "the built-in default")
    assert outcome(layer("project", "allow", tightens=True))[0] == "ask"
    assert outcome(layer("user", "allow"), layer("project", "ask", tightens=True)) == ("ask", "project")
    assert outcome(layer("user", "forbid"), layer("-p", "allow")) == ("forbid", "user")
    assert outcome(layer("user", "ask"), layer("-p", "allow")) == ("ask", "user")


def test_the_private_profile_forbids_images(hybrid: Hybrid) -> None:
    found = json.loads(hybrid("profile", "explain", "-p", "private", "--json").stdout)
    assert found["privacy.images"]["value"] == "forbid"


@pytest.mark.parametrize(("reply", "code"), [("y", 0), ("n", 3)])
def test_a_terminal_is_asked_each_time(
    command: str, home: Path, cloud: ScriptedCloud, profile: Profile, five: list[str], reply: str, code: int
) -> None:
    path = profile(cloud.section())
    _, data = without_metadata(SAMPLES["PNG"][1])
    for remembered in (" for later prompts without images.", ""):
        child = pexpect.spawn(
            command,
            ["run", "-p", str(path), *five[:2], "What is it?"],
            env=environment(home, TERM="dumb", LANG="C.UTF-8"),  # type: ignore[arg-type]
            dimensions=(40, 400),
            timeout=60,
        )
        child.expect_exact(
            f"(11 characters and 1 image of {len(data):,} bytes, which the scan cannot read) to"
        )
        child.expect_exact(f"{remembered} [y/N]")
        child.sendline(reply)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == code
    assert len(cloud.received) == (2 if reply == "y" else 0)


def call_of(model: str, *found: Image) -> Call:
    server = Server(base_url="http://127.0.0.1/v1", model=model, prices=Prices(input=1_000, output=0))
    return Call(server, [{"role": "user", "content": "hi"}], 10, images=found)


def test_an_image_is_reserved_by_tokens_not_by_its_bytes() -> None:
    small, large = Image("image/png", bytes(100)), Image("image/png", bytes(3_000_000))

    def worst(call: Call) -> float:
        found = worst_cost(call, len(call.readable()))
        assert found is not None
        return found

    assert worst(call_of("m", small)) == pytest.approx(worst(call_of("m", large)), rel=0.01)
    assert 15.9 < worst(call_of("m", small)) - worst(call_of("m")) < 16.2  # 16,000 tokens
    assert 31.9 < worst(call_of("m", small, large)) - worst(call_of("m")) < 32.3
    assert worst(call_of("gpt-4o-mini", small)) > 48.169  # 2,833 and 8 tiles of 5,667 tokens
    silent = Answered("ok", "m", "stop", None, None)
    assert used_by(call_of("m", large), silent).tokens_in < 17_000


def test_a_budget_that_an_image_would_pass_ends_the_run(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, five: list[str]
) -> None:
    priced = ", prices: {input: 1, output: 1}, max_tokens: 100"
    for number in range(0, 10, 2):
        path = profile(cloud.section(priced) + ALLOWED + "limits: {usd_per_run: 0.01}\n")
        done = hybrid("run", "-p", path, *five[number : number + 2], "?", HYBRID_CONSENT=cloud.origin)
        assert (done.returncode, done.stdout, len(cloud.received)) == (8, b"", 0), done.stderr
        assert b"usd_per_run" in done.stderr


def test_a_conversation_keeps_a_note_of_an_image(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, five: list[str], tmp_path: Path
) -> None:
    path = profile(cloud.section() + ALLOWED)
    file = tmp_path / "talk.jsonl"
    done = hybrid("run", "-p", path, "--conversation", file, *five[:2], "What?", HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 0, done.stderr
    first = json.loads(file.read_text().splitlines()[0])
    _, data = without_metadata(SAMPLES["PNG"][1])
    assert first["content"].startswith(f"What?\n\n[image, not kept: image/png, {len(data):,} bytes, sha256 ")
    assert "base64" not in file.read_text()
