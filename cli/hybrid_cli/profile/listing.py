"""The rows of `hybrid profile ls`: what each profile does, in one line."""

from __future__ import annotations

from pathlib import Path

from hybrid_cli.exit_status import Failure
from hybrid_cli.profile.default_model import DEFAULT, default_model
from hybrid_cli.profile.layers import chosen_profile
from hybrid_cli.profile.loader import profile_folders, read_whole
from hybrid_cli.profile.merge import lookup
from hybrid_cli.profile.schema import Escalation, Local
from hybrid_cli.ui.environment import Environment


def profile_paths(environment: Environment) -> dict[str, Path]:
    """The file of each profile that has a name, valid or not."""
    found: dict[str, Path] = {}
    for folder in profile_folders(environment):
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def listed_profiles(environment: Environment) -> list[tuple[str, ...]]:
    """Name, mark of the profile in use, mode, local model, cloud model and summary of each profile."""
    found = profile_paths(environment)
    in_use = chosen_profile(environment)
    return [(name, "*" if name == in_use else "", *_row(path, environment)) for name, path in found.items()]


def _row(path: Path, environment: Environment) -> tuple[str, str, str, str]:
    try:
        data = read_whole(path, environment)
    except Failure:
        return "", "", "", f"not valid; run: hybrid profile check {path}"
    mode = lookup(data, "escalation.mode") or Escalation().mode
    model = lookup(data, "local.model") or Local().model
    named = (default_model(environment) or DEFAULT) if model == DEFAULT else model
    cloud = "" if mode == "forbid" else lookup(data, "cloud.model") or ""
    return mode, "" if mode == "force" else named, cloud, _summary(path)


def _summary(path: Path) -> str:
    """The first sentence of the comment at the file's top, without a line for editors."""
    comment = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# yaml-language-server"):
            comment.append(line.lstrip("# ").strip())
    sentence, _, _ = " ".join(comment).partition(". ")
    return sentence.rstrip(".")
