"""Finding about shell completion: whether the user's shell finds the script, and whether it is current."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from hybrid_cli.doctor.finding import Finding
from hybrid_cli.system.files import read_regular
from hybrid_cli.ui.environment import Environment

_BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
_LOOKS_BESIDE_COMMAND = (2, 12)
"""First version of bash-completion that also looks into share/ of the command's prefix."""
_PATHS = {
    "bash": "bash-completion/completions/hybrid",
    "zsh": "zsh/site-functions/_hybrid",
    "fish": "fish/vendor_completions.d/hybrid.fish",
}
"""Paths of the scripts below a share folder."""


def completion_findings(environment: Environment, scripts: Mapping[str, str]) -> Iterator[Finding]:
    """Check completion of the shell in SHELL. `scripts` are the current scripts by shell."""
    shell = Path(environment.variables.get("SHELL", "")).name
    if shell not in _PATHS:
        yield Finding("completions", "ok", f"none for {shell}" if shell else "not checked: SHELL is not set")
        return
    own, system = _paths(shell, environment)
    preparation = _preparation(shell, own, environment)
    run = f"hybrid completion {shell} > {shlex.quote(str(own))}"
    found = next((path for path in (system if preparation else [own, *system]) if path.is_file()), None)
    if found is None:
        installed = Path(sys.prefix) / "share" / _PATHS[shell]
        unused = next((path for path in (own, installed) if path.is_file()), None)
        why = "not installed" if unused is None else f"{shell} does not look into {unused.parent}"
        make = f"mkdir -p {shlex.quote(str(own.parent))} && {run}"
        yield Finding("completions", "warn", f"{why}; {preparation}run: {make}")
    elif _text(found) != scripts[shell]:
        yield Finding("completions", "warn", f"{found} is out of date; run: {run}")
    else:
        yield Finding("completions", "ok", f"{shell} uses {found}")


def _paths(shell: str, environment: Environment) -> tuple[Path, list[Path]]:
    """Return the path for the user's own script, and the other paths that the shell probably searches."""
    variables = environment.variables
    home = Path(variables.get("HOME") or "/")
    data = Path(variables.get("XDG_DATA_HOME") or home / ".local/share")
    config = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    shares = [
        Path(name) for name in (variables.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    ]
    if shell == "fish":
        return config / "fish/completions/hybrid.fish", [share / _PATHS[shell] for share in [data, *shares]]
    if shell == "zsh":
        folders = [Path(name) for name in variables.get("FPATH", "").split(":") if name]
        usual = [
            share / "zsh" / name for share in shares for name in ("site-functions", "vendor-completions")
        ]
        return home / ".zfunc/_hybrid", [folder / "_hybrid" for folder in [*folders, *usual]]
    command = shutil.which("hybrid", path=variables.get("PATH", ""))
    if command is not None and _bash_completion_version() >= _LOOKS_BESIDE_COMMAND:
        shares = [
            *shares,
            Path(command).parent.parent / "share",
            Path(command).resolve().parent.parent / "share",
        ]
    return data / _PATHS[shell], [share / _PATHS[shell] for share in shares]


def _preparation(shell: str, own: Path, environment: Environment) -> str:
    """Return what the user must do first, so that the shell reads `own`; "" if nothing."""
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
        return read_regular(path).decode(errors="replace")
    except OSError:
        return ""


def _bash_completion_version(script: Path = _BASH_COMPLETION) -> tuple[int, ...]:
    found = re.search(r"BASH_COMPLETION_VERSINFO=\((\d+) (\d+)", _text(script))
    return (int(found[1]), int(found[2])) if found else ()
