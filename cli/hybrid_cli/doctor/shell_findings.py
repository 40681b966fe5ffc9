"""Whether the user's shell finds the completions, and of which version they are."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from hybrid_cli.doctor.finding import Finding
from hybrid_cli.ui.environment import Environment

_BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
_BESIDE_COMMANDS = (2, 12)
"""The first bash-completion that also looks into share/ beside the command itself."""
_NAMES = {
    "bash": "bash-completion/completions/hybrid",
    "zsh": "zsh/site-functions/_hybrid",
    "fish": "fish/vendor_completions.d/hybrid.fish",
}
"""Under a share folder."""


def completion_findings(environment: Environment, scripts: Mapping[str, str]) -> Iterator[Finding]:
    """One finding for the shell of SHELL. `scripts` are today's."""
    shell = Path(environment.variables.get("SHELL", "")).name
    if shell not in _NAMES:
        yield Finding(
            "completions", "ok", f"there are none for {shell or 'a shell that SHELL does not name'}"
        )
        return
    own, system = _places(shell, environment)
    first = _to_be_read(shell, own, environment)
    run = f"hybrid completion {shell} > {shlex.quote(str(own))}"
    found = next((path for path in (system if first else [own, *system]) if path.is_file()), None)
    if found is None:
        installed = Path(sys.prefix) / "share" / _NAMES[shell]
        there = next((path for path in (own, installed) if path.is_file()), None)
        why = "not installed" if there is None else f"{shell} does not look into {there.parent}"
        make = f"mkdir -p {shlex.quote(str(own.parent))} && {run}"
        yield Finding("completions", "warn", f"{why}; {first}run: {make}")
    elif found.read_text(encoding="utf-8", errors="replace") != scripts[shell]:
        yield Finding("completions", "warn", f"{found} is of another version; run: {run}")
    else:
        yield Finding("completions", "ok", f"{shell} finds {found}")


def _places(shell: str, environment: Environment) -> tuple[Path, list[Path]]:
    """Where the user's own would be, and where the shell looks besides, as far as it can be told from here."""
    variables = environment.variables
    home = Path(variables.get("HOME") or "/")
    data = Path(variables.get("XDG_DATA_HOME") or home / ".local/share")
    config = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    shares = [
        Path(name) for name in (variables.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    ]
    if shell == "fish":
        return config / "fish/completions/hybrid.fish", [share / _NAMES[shell] for share in [data, *shares]]
    if shell == "zsh":
        folders = [Path(name) for name in variables.get("FPATH", "").split(":") if name]
        usual = [
            share / "zsh" / name for share in shares for name in ("site-functions", "vendor-completions")
        ]
        return home / ".zfunc/_hybrid", [folder / "_hybrid" for folder in [*folders, *usual]]
    command = shutil.which("hybrid", path=variables.get("PATH", ""))
    if command is not None and _bash_completion_version() >= _BESIDE_COMMANDS:
        shares = [
            *shares,
            Path(command).parent.parent / "share",
            Path(command).resolve().parent.parent / "share",
        ]
    return data / _NAMES[shell], [share / _NAMES[shell] for share in shares]


def _to_be_read(shell: str, own: Path, environment: Environment) -> str:
    """What must be done besides, so that the shell reads `own`; "" for nothing."""
    home = Path(environment.variables.get("HOME") or "/")
    if shell == "zsh":
        start = Path(environment.variables.get("ZDOTDIR") or home) / ".zshrc"
        known = environment.variables.get("FPATH", "").split(":")
        if str(own.parent) not in known and own.parent.name not in _text(start):
            return f"add to {start}, before compinit: fpath=({shlex.quote(str(own.parent))} $fpath); "
    if shell == "bash" and not _BASH_COMPLETION.is_file():
        start = home / ".bashrc"
        if str(own) not in _text(start):
            return f"install bash-completion, or add to {start}: source {shlex.quote(str(own))}; "
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _bash_completion_version(script: Path = _BASH_COMPLETION) -> tuple[int, ...]:
    found = re.search(r"BASH_COMPLETION_VERSINFO=\((\d+) (\d+)", _text(script))
    return (int(found[1]), int(found[2])) if found else ()
