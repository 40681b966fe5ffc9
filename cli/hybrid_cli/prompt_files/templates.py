"""Prompt templates: files in the config folder, with `{input}` and other variables in braces.

Only a name in braces is a variable, so that code and JSON keep theirs; `{{name}}` stands for the text `{name}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.prompt_files.collect import read_text_file
from hybrid_cli.system.files import is_there
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import shorten
from hybrid_cli.ui.suggest import nearest

INPUT = "input"
"""The variable for the prompt, or in `hybrid pipe` for the record."""
_SUFFIX = ".md"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
_VARIABLE = re.compile(r"\{\{(?P<literal>[^\W\d]\w*)\}\}|\{(?P<name>[^\W\d]\w*)\}")


@dataclass(frozen=True)
class PromptTemplate:
    """A template, and the values of its variables."""

    name: str
    source: str
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def variables(self) -> list[str]:
        """The names of all variables, in order."""
        return list(
            dict.fromkeys(found["name"] for found in _VARIABLE.finditer(self.source) if found["name"])
        )

    @property
    def takes_input(self) -> bool:
        return INPUT in self.variables

    @property
    def head(self) -> str:
        """The text before the first variable."""
        places = (found.start() for found in _VARIABLE.finditer(self.source) if found["name"])
        return self._filled(self.source[: next(places, len(self.source))], {})

    def text(self, given: str = "") -> str:
        """Return the prompt, with `given` as its input."""
        return self._filled(self.source, {**self.values, INPUT: given})

    def around_input(self) -> tuple[str, str]:
        """Return the texts before and after the input; all is before a missing one. Raises Failure (USAGE) for two."""
        places = [found.span() for found in _VARIABLE.finditer(self.source) if found["name"] == INPUT]
        if len(places) > 1:
            raise Failure(
                ExitStatus.USAGE, f"template `{self.name}` has {{input}} twice; a pipe can fill one"
            )
        start, end = places[0] if places else (len(self.source), len(self.source))
        return self._filled(self.source[:start], self.values), self._filled(self.source[end:], self.values)

    def _filled(self, source: str, values: Mapping[str, str]) -> str:
        return _VARIABLE.sub(
            lambda found: values[found["name"]] if found["name"] else f"{{{found['literal']}}}", source
        )


def folder_of(environment: Environment) -> Path:
    return environment.config_folder / "templates"


def path_of(name: str, environment: Environment) -> Path:
    """Return the file of the template `name`, with or without .md. Raises Failure (USAGE) if it cannot be a name."""
    stem = name.removesuffix(_SUFFIX)
    if _NAME.fullmatch(stem) is None or stem.endswith(_SUFFIX):
        raise Failure(
            ExitStatus.USAGE,
            f"`{shorten(name)}` cannot be a template's name; use letters, digits, `.`, `-` and `_`;"
            " for any other file: hybrid run @FILE",
        )
    return folder_of(environment) / f"{stem}{_SUFFIX}"


def stored_names(environment: Environment) -> list[str]:
    """Return the names of all templates, sorted."""
    stems = (path.stem for path in folder_of(environment).glob(f"*{_SUFFIX}"))
    return sorted(stem for stem in stems if _NAME.fullmatch(stem) and not stem.endswith(_SUFFIX))


def _misnamed(environment: Environment) -> list[Path]:
    """Return the files that look like templates, but have no suffix, or .md twice; hidden files do not."""
    found = sorted(path for path in folder_of(environment).glob("[!.]*") if not path.is_dir())
    return [path for path in found if not path.suffix or path.name.endswith(_SUFFIX * 2)]


def stored_template(name: str, environment: Environment) -> PromptTemplate:
    """Return the template `name` without values. Raises Failure (USAGE)."""
    path = path_of(name, environment)
    twin = path.with_name(f"{path.name}{_SUFFIX}")
    if not is_there(path):
        namesakes = [one for one in (path.with_name(path.stem), twin) if one.is_file()]
        close = nearest(path.stem, stored_names(environment))
        hint = f"did you mean `{close}`?" if close else f"to write it: hybrid templates edit {path.stem}"
        hint = f"rename {namesakes[0]} to {path.name}" if namesakes else hint
        raise Failure(ExitStatus.USAGE, f"no template `{shorten(path.stem)}`; {hint}")
    if name == path.name and twin.is_file():
        raise Failure(ExitStatus.USAGE, f"`{name}` could be {path} or {twin}; rename or delete one of them")
    require_regular(path)
    return PromptTemplate(path.stem, read_text_file(str(path), environment).rstrip("\n"))


def stored_templates(environment: Environment) -> list[PromptTemplate]:
    """Return all templates, sorted by name. A note names each file that cannot be one."""
    found = []
    for path in _misnamed(environment):
        environment.note(
            f"{path} is not a template, because its name does not end in {_SUFFIX} once; rename it"
        )
    for name in stored_names(environment):
        try:
            found.append(stored_template(name, environment))
        except Failure as failure:
            environment.note(str(failure))
    return found


def require_regular(path: Path) -> None:
    """Raise Failure (USAGE) if a pipe, a device, a folder or a link without its target is at `path`."""
    if is_there(path) and not path.is_file():
        why = "not a regular file" if path.exists() else "a link to a file that does not exist"
        raise Failure(ExitStatus.USAGE, f"the template {path} is {why}")


def filled_template(name: str, assignments: Sequence[str], environment: Environment) -> PromptTemplate:
    """Return the template `name` with the values of `--var`.

    Raises Failure (USAGE) that lists the variables without a value and the values without a variable.
    """
    template = stored_template(name, environment)
    values: dict[str, str] = {}
    for assignment in assignments:
        variable, equals, value = assignment.partition("=")
        if not equals or variable == INPUT or variable in values:
            why = "is given twice" if variable in values else "must be NAME=VALUE"
            why = "is PROMPT, or stdin" if variable == INPUT else why
            raise Failure(ExitStatus.USAGE, f"--var: `{shorten(variable)}` {why}")
        values[variable] = value
    needed = [one for one in template.variables if one != INPUT]
    missing = [f"--var {one}=..." for one in needed if one not in values]
    unknown = [f"`{shorten(one)}`" for one in values if one not in needed]
    problems = [
        *([f"needs {' '.join(missing)}"] if missing else []),
        *([f"has no variable {', '.join(unknown)}"] if unknown else []),
    ]
    if problems:
        raise Failure(ExitStatus.USAGE, f"template `{name}` {', and '.join(problems)}")
    return PromptTemplate(name, template.source, values)
