"""The rows of `hybrid profile ls`: what each profile does, in one line."""

from __future__ import annotations

from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.default_model import DEFAULT, default_model
from hybrid_cli.profile.layers import chosen_profile, file_layers
from hybrid_cli.profile.loader import profile_folders
from hybrid_cli.profile.merge import lookup, merge
from hybrid_cli.system.files import read_regular
from hybrid_cli.ui.environment import Environment


def profile_paths(environment: Environment) -> dict[str, Path]:
    """The file of each profile that has a name, valid or not."""
    found: dict[str, Path] = {}
    for folder in profile_folders(environment):
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def listed_profiles(environment: Environment) -> list[tuple[str, ...]]:
    """Name, mark of the profile in use, mode, local model, cloud model and summary of each profile.

    Mode and models are those of a run with that profile here: under the administrator's, your and the project's files.
    """
    in_use = chosen_profile(environment)
    is_chosen = "HYBRID_PROFILE" in environment.variables
    rows: list[tuple[str, ...]] = []
    for name, path in profile_paths(environment).items():
        is_used = name == in_use
        chosen = name if is_chosen or not is_used else None
        rows.append((name, "*" if is_used else "", *_row(path, chosen, environment)))
    return rows


def _row(path: Path, chosen: str | None, environment: Environment) -> tuple[str, str, str, str]:
    try:
        values = merge(file_layers(chosen, environment)[1])
    except Failure as failure:
        if failure.status is ExitStatus.DENIED:
            return "denied", "", "", str(failure)
        return "", "", "", f"not valid; run: hybrid profile check {path}"
    mode, model = values["escalation.mode"].value, values["local.model"].value
    named = (default_model(environment) or DEFAULT) if model == DEFAULT else model
    cloud = "" if mode == "forbid" else lookup(values["cloud"].value, "model") or ""
    return mode, "" if mode == "force" else named, cloud, _summary(path)


def _summary(path: Path) -> str:
    """The first sentence of the comment at the file's top, without a line for editors."""
    comment = []
    for line in read_regular(path).decode().splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# yaml-language-server"):
            comment.append(line.lstrip("# ").strip())
    sentence, _, _ = " ".join(comment).partition(". ")
    return sentence.rstrip(".")
