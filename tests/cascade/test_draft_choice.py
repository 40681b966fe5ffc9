"""`local.draft`: which second model `hybrid run` takes, and what it refuses."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.cascade.draft_choice import draft_choice
from hybrid_cli.cascade.measured_layouts import read_layouts
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import SMALL, shipped_catalog
from hybrid_process import Hybrid
from scripted_cloud import ScriptedCloud

Profile = Callable[[str], Path]


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    def written(text: str) -> Path:
        path = tmp_path / "own.yaml"
        path.write_text(f"version: 1\n{text}")
        return path

    return written


@pytest.fixture
def models(home: Path, weights_home: Path, model_file: Path) -> Path:
    """A home whose store holds the small model, also as `large`, which the catalog lets it draft for."""
    (home / "data").unlink()
    (home / "data").mkdir()
    for name in ("blobs", "speeds"):
        (home / "data" / name).symlink_to(weights_home / "data" / name)
    (home / "data/models").mkdir()
    manifest = (weights_home / f"data/models/{SMALL}.json").read_text()
    (home / f"data/models/{SMALL}.json").write_text(manifest)
    (home / "data/models/large.json").write_text(json.dumps({**json.loads(manifest), "name": "large"}))
    (home / "config").mkdir()
    (home / "config/models.yaml").write_text(
        f"large:\n  licence: MIT\n  sources: ['https://models.example/{{file}}']\n  draft: {SMALL}\n"
        f"  files: [{{name: m.gguf, size: {model_file.stat().st_size}, sha256: {model_file.stem}}}]\n"
    )
    return home


def test_auto_takes_the_catalogs_model_if_it_is_downloaded(
    models: Path, model_file: Path, profile: Profile
) -> None:
    environment = Environment(None, None, None, {"HYBRID_HOME": str(models)})

    def chosen(draft: str, model: str = "large") -> Any:
        path = profile(f"local: {{model: {model}, draft: {draft}}}\n")
        return draft_choice(merge_policy(Flags(profile=str(path)), environment), environment)

    found = chosen("auto")
    assert (found.name, Path(found.path).name, found.is_named) == (SMALL, model_file.name, False)
    assert found.layouts == read_layouts(model_file.stem, environment) is not None
    assert (chosen(SMALL).name, chosen(SMALL).is_named) == (SMALL, True)
    assert chosen('"off"') is None
    assert chosen("auto", SMALL) is None  # nothing smaller drafts for it
    (models / f"data/models/{SMALL}.json").unlink()
    assert chosen("auto") is None


def test_the_catalog_names_smaller_models_that_it_has() -> None:
    entries = shipped_catalog()
    drafts = {name: entry.draft for name, entry in entries.items() if entry.draft is not None}
    assert drafts["qwen2.5-coder-7b"] == "qwen2.5-coder-1.5b"
    for name, draft in drafts.items():
        assert entries[draft].bytes_per_token < 0.8 * entries[name].bytes_per_token


def test_an_answer_is_the_same_with_a_model_that_drafts(
    hybrid: Hybrid, models: Path, profile: Profile
) -> None:
    """In the engine's process, which may read the file of both models and no other."""
    answers = []
    for draft in ('"off"', "auto", SMALL, "default"):
        path = profile(
            f"extends: offline\nlocal: {{model: large, draft: {draft}, sampling: {{max_tokens: 20}}}}\n"
        )
        done = hybrid("run", "-p", path, "--allow-truncated", "List ten colours.")
        assert (done.returncode, done.stderr) == (0, b"hybrid: the answer was cut off at 20 tokens\n")
        answers.append(done.stdout)
    assert len(set(answers)) == 1


@pytest.mark.parametrize(
    ("draft", "code", "message"),
    [
        ("qwen3-0.6b", 6, "qwen3-0.6b is not downloaded; run: hybrid pull qwen3-0.6b"),
        ("qwen3-0.6x", 2, "no model `qwen3-0.6x`; did you mean `qwen3-0.6b`?"),
        ("./none.gguf", 6, "cannot read the model file {folder}/none.gguf: No such file or directory"),
        (
            "./other.gguf",
            2,
            "{folder}/other.gguf cannot draft: its vocabulary differs from the model's at token 49151;",
        ),
    ],
)
def test_a_named_model_that_cannot_draft_is_refused_in_one_line(
    hybrid: Hybrid,
    cloud: ScriptedCloud,
    model_file: Path,
    profile: Profile,
    draft: str,
    code: int,
    message: str,
) -> None:
    """The prompt is not handed off for it, though a cloud is allowed."""
    text = struct.pack("<Q", 7)
    path = profile(f"local: {{model: {SMALL}, draft: {draft}}}\n{cloud.section()}")
    other = model_file.read_bytes().replace(text + b"ectable", text + b"ectablE")
    (path.parent / "other.gguf").write_bytes(other)
    done = hybrid("run", "-p", path, "Hi", OPENAI_API_KEY="sk-test", HYBRID_CONSENT=cloud.origin)
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (code, b"", 1)
    assert message.format(folder=path.parent) in lines[0]
    assert not cloud.received


def test_a_profile_with_a_model_that_drafts_is_checked_and_keeps_it(
    hybrid: Hybrid, models: Path, profile: Profile
) -> None:
    for draft, message in (("qwen3-0.6x", b"no model `qwen3-0.6x`"), ("./none.gguf", b"no such file: ")):
        checked = hybrid("profile", "check", profile(f"local: {{draft: {draft}}}\n"))
        assert (checked.returncode, b"local.draft: " + message in checked.stdout + checked.stderr) == (
            2,
            True,
        )
    for draft in ("auto", '"off"', "default", "qwen3-0.6b"):
        assert hybrid("profile", "check", profile(f"local: {{draft: {draft}}}\n")).returncode == 0
    (models / "config/profiles").mkdir()
    (models / "config/profiles/mine.yaml").write_text("version: 1\nlocal: {model: qwen3-4b, draft: large}\n")
    removed = hybrid("models", "rm", "large")
    assert (removed.returncode, b"large is used by profile mine" in removed.stderr) == (1, True)


def test_an_engine_that_answers_many_prompts_has_no_second_model(hybrid: Hybrid, profile: Profile) -> None:
    """So that a model that is missing is not missed there."""
    path = profile(f"extends: offline\nlocal: {{model: {SMALL}, draft: qwen3-0.6b}}\n")
    done = hybrid("pipe", "-p", path, "Repeat.", "--choices", "a,b", stdin=b"a\n")
    assert (done.returncode, b"1 kept" in done.stderr) == (0, True)
