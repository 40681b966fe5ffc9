"""Show what a project's file would set, and ask the user whether to trust it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.layers import Layer
from hybrid_cli.profile.merge import lookup, needing_trust
from hybrid_cli.profile.trust import Trust, named_files
from hybrid_cli.ui.environment import Environment

_MANY_BLANKS = re.compile(r" {9,}")


def with_trust(layers: Sequence[Layer], environment: Environment) -> list[Layer]:
    """`layers`, with those of a project marked that may loosen the policy; asks the user if need be.

    A file that only tightens needs no trust, and gets none. Raises Failure (DENIED) if nobody can be asked.
    """
    return [
        replace(layer, is_trusted=True) if layer.is_project and _is_trusted(layer, environment) else layer
        for layer in layers
    ]


def _is_trusted(project: Layer, environment: Environment) -> bool:
    trust = Trust(environment)
    if trust.covers(project):
        return True
    keys = needing_trust(project)
    if not keys:
        return False
    named = f"{project.path} is not trusted, and it sets {', '.join(keys)}"
    if not environment.can_ask():
        for line in settings_needing_trust(project):
            environment.error(line)
        raise Failure(ExitStatus.DENIED, f"{named}; read it, then run: hybrid profile trust")
    show_settings(project, environment)
    if environment.confirm(f"{named}. Trust this exact content?"):
        trust.record(project)
        return True
    environment.note(f"ignoring {', '.join(keys)} in {project.path}: the file is not trusted")
    return False


def show_settings(project: Layer, environment: Environment) -> None:
    """Show the whole of what trust would allow; on a terminal screen by screen."""
    lines = settings_needing_trust(project)
    if not environment.can_ask():
        for line in lines:
            environment.error(line)
        return
    width, height = shutil.get_terminal_size()
    room = max(20, width - len("hybrid: "))
    rows = [line[at : at + room] for line in lines for at in range(0, len(line), room)]
    screen = max(5, height - 3)
    for number, row in enumerate(rows, 1):
        environment.error(row)
        if number % screen == 0 and number < len(rows):
            environment.wait_for_enter(f"{len(rows) - number} more lines: press Enter")


def settings_needing_trust(project: Layer) -> list[str]:
    """One line for each setting that takes effect once the project's file is trusted, and each file it names.

    Nothing is cut, and long runs of blanks are counted, so that no padding hides a part.
    """
    lines = [
        f"{project.path}: {key}: {_whole(json.dumps(lookup(project.data, key)))}"
        for key in needing_trust(project)
    ]
    files = named_files(project)
    if files:
        lines.append(
            f"{project.path}: its commands name {', '.join(map(str, files))}: trust covers their content,"
            " but not what they run or read"
        )
    return lines


def _whole(text: str) -> str:
    return _MANY_BLANKS.sub(lambda found: f" [{len(found[0])} blanks] ", text)
