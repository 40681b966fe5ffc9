"""Every mistake in a profile's file, also in what it names: a base profile, a model, a schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hybrid_cli.exit_status import Failure
from hybrid_cli.profile.default_model import DEFAULT
from hybrid_cli.profile.loader import find_profile, read_profile, read_whole, with_absolute_paths
from hybrid_cli.profile.merge import lookup
from hybrid_cli.profile.strict_yaml import KeyPath
from hybrid_cli.ui.environment import Environment


def every_mistake(
    path: Path, environment: Environment, check_model: Callable[[str], None] = lambda _name: None
) -> list[str]:
    """All mistakes in the file at `path`, each as `FILE:LINE: message`, by line.

    `check_model` raises Failure for the name or path of a model that does not exist.
    """
    try:
        checked = read_profile(path)
    except Failure as failure:
        return [f"{path}:1: {failure}"]
    found = list(checked.found)
    with_mistake = {message.partition(": ")[0] for _line, message in found}

    def report(key: str, failure: object) -> None:
        keys: KeyPath = tuple(key.split("."))
        if key not in with_mistake:
            found.append((checked.lines.get(keys, 1), f"{key}: {failure}"))

    if isinstance(checked.data, dict):
        _check_base(path, checked.data, environment, report, is_sound=not found)
        data = with_absolute_paths(checked.data, path.absolute().parent)
        _check_files(data, check_model, report)
    return [f"{path}:{line}: {message}" for line, message in sorted(found, key=lambda one: one[0])]


_PLACE = re.compile(r"((.+):\d+): ")


def _check_base(
    path: Path,
    data: dict[str, Any],
    environment: Environment,
    report: Callable[[str, object], None],
    *,
    is_sound: bool,
) -> None:
    """Report what is wrong with the profile that `data` extends, also if the file has other mistakes."""
    base = data.get("extends")
    if not isinstance(base, str):
        return
    try:
        if is_sound:
            read_whole(path, environment)
        else:
            read_whole(find_profile(base, environment, path.parent), environment)
    except Failure as failure:
        place = _PLACE.match(str(failure))  # a mistake may quote its line, and the file may be any
        report(
            "extends",
            failure if place is None else f"{place[1]} has a mistake; run: hybrid profile check {place[2]}",
        )


def _check_files(
    data: dict[str, Any], check_model: Callable[[str], None], report: Callable[[str, object], None]
) -> None:
    """Report a model, a projector or a schema that does not exist."""
    schema, projector = lookup(data, "checks.schema"), lookup(data, "local.projector")
    for key, words in (("local.model", ("", DEFAULT)), ("local.draft", ("", DEFAULT, "auto", "off"))):
        model = lookup(data, key)
        if isinstance(model, str) and model not in words:
            try:
                check_model(model)
            except Failure as failure:
                report(key, failure)
    if isinstance(projector, str) and projector not in ("auto", "off") and not Path(projector).is_file():
        report("local.projector", f"no such file: {projector}")
    if isinstance(schema, str) and not Path(schema).is_file():
        report("checks.schema", f"no such file: {schema}")
