"""A new profile of the user's: what `hybrid init` asks, and the commented file that it writes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.cloud_section import Cloud
from hybrid_cli.profile.clouds import CLOUDS, unknown_cloud
from hybrid_cli.profile.default_model import DEFAULT
from hybrid_cli.profile.loader import shipped_folder
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.system.files import is_there
from hybrid_cli.ui.environment import Environment

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

_TEXT = """\
# {purpose}
# All keys: hybrid help profiles. After a change: hybrid profile check {path}
version: 1
{extends}local:
  model: {model}  # a name of `hybrid models ls --all`; default: see `hybrid models default`
{cloud}escalation:
  mode: {mode}  # forbid: never hand off; auto: if need be; ask: confirm each handoff; force: always
limits:
  usd_per_day: {usd}  # hybrid stops at this amount (exit code 8)
# privacy:
#   redact: [email, phone]  # placeholders for personal data in what is handed off
# log: {{prompts: true}}      # keep prompts and answers of handoffs in the ledger
"""
_CLOUD = """\
cloud:
  {server}  # {names}, or base_url
  model: {model}
"""
_NO_CLOUD = """\
# cloud:
#   use: openai             # {names}, or base_url
#   model: gpt-5-mini
"""


@dataclass(frozen=True)
class Choices:
    """What the profile shall say; None asks the user, or leaves it out."""

    model: str | None
    cloud: str | None
    cloud_model: str | None
    mode: str
    usd_per_day: float


def write_profile(
    name: str | None, choices: Choices, environment: Environment, check_model: Callable[[str], None]
) -> Path:
    """Write the profile `name`, or without one the user's own layer; return its path.

    Raises Failure: USAGE for a wrong choice, FAILURE if the file exists.
    """
    path = _path(name, environment)
    choices = _complete(choices, environment)
    if choices.model != DEFAULT:
        check_model(choices.model or "")
    text = _text(path, name, choices)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _exists(path) from None
    environment.note(f"wrote {path}")
    if name is not None:
        environment.note(f"to use it: hybrid run -p {name}, or set HYBRID_PROFILE={name}")
    if choices.cloud and choices.cloud_model:
        _say_next(choices.cloud, choices.cloud_model, path, environment)
    return path


def _path(name: str | None, environment: Environment) -> Path:
    if name is not None and not _NAME.fullmatch(name):
        raise Failure(
            ExitStatus.USAGE, f"--name must be letters, digits, dashes and underscores, not `{name}`"
        )
    if name is not None and (shipped_folder() / f"{name}.yaml").is_file():
        raise Failure(
            ExitStatus.USAGE,
            f"`{name}` is a profile that hybrid includes; choose another name, such as my-{name}",
        )
    folder = environment.config_folder
    path = folder / "profile.yaml" if name is None else folder / "profiles" / f"{name}.yaml"
    if is_there(path):  # before the questions
        raise _exists(path)
    return path


def _exists(path: Path) -> Failure:
    return Failure(
        ExitStatus.FAILURE, f"{path} exists; edit it, or write another profile: hybrid init --name NAME"
    )


def _complete(choices: Choices, environment: Environment) -> Choices:
    """`choices` with the user's answers for what is missing, if somebody can be asked."""
    if choices.model is None:
        answer = environment.ask("local model (Enter: the default one)", "")
        choices = replace(choices, model=answer or DEFAULT)
    if choices.cloud is None and choices.cloud_model is None:
        answer = environment.ask(f"cloud: {', '.join(CLOUDS)} or a URL (Enter: none)", "")
        choices = replace(choices, cloud=answer or None)
    if choices.cloud is not None and choices.cloud_model is None:
        answer = environment.ask(f"model at {choices.cloud}", "")
        choices = replace(choices, cloud_model=answer or None)
    if (choices.cloud is None) != (choices.cloud_model is None):
        raise Failure(ExitStatus.USAGE, "--cloud and --cloud-model belong together; give both or none")
    return choices


def _cloud_of(cloud: str, model: str) -> Cloud:
    """The typed section. Raises Failure (USAGE) if the cloud is unknown or its URL is not safe."""
    unknown = unknown_cloud(cloud)
    if unknown is not None:
        raise Failure(ExitStatus.USAGE, unknown)
    try:
        return msgspec.convert({"use" if cloud in CLOUDS else "base_url": cloud, "model": model}, Cloud)
    except msgspec.ValidationError as error:
        raise Failure(
            ExitStatus.USAGE, str(error).partition(" - at ")[0].removeprefix("base_url: ")
        ) from None


def _text(path: Path, name: str | None, choices: Choices) -> str:
    names = ", ".join(CLOUDS)
    cloud = _NO_CLOUD.format(names=names)
    if choices.cloud and choices.cloud_model:
        _cloud_of(choices.cloud, choices.cloud_model)
        server = f"{'use' if choices.cloud in CLOUDS else 'base_url'}: {_quoted(choices.cloud)}"
        cloud = _CLOUD.format(server=server, names=names, model=_quoted(choices.cloud_model))
    return _TEXT.format(
        purpose="My settings for every hybrid command. A profile chosen with -p is stronger."
        if name is None
        else f"My profile {name}. To use it: hybrid run -p {name}",
        path=path,
        extends="" if name is None else "extends: default\n",
        model=_quoted(choices.model or DEFAULT),
        cloud=cloud,
        mode=choices.mode,
        usd=f"{choices.usd_per_day:g}",
    )


def _quoted(text: str) -> str:
    """`text` as a YAML scalar; quoted if it could be read as anything but plain text."""
    return text if re.fullmatch(r"[A-Za-z][A-Za-z0-9._/-]*", text) else json.dumps(text)


def _say_next(cloud: str, model: str, path: Path, environment: Environment) -> None:
    """Say what a handoff to that cloud still needs."""
    section = _cloud_of(cloud, model)
    if (
        section.key is not None
        and section.key.env is not None
        and section.key.env not in environment.variables
    ):
        environment.note(f"set the key: export {section.key.env}=...")
    if section.key is None and section.use is None:
        environment.note(f"if the server needs a key, add `key: {{env: VARIABLE}}` below `cloud` in {path}")
    environment.note(f"to allow handoffs: hybrid consent grant {origin_of(section.base_url)}")
