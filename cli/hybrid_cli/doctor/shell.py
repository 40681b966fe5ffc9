"""Whether the user's shell finds the completions, and of which version they are."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from hybrid_cli.doctor.finding import Finding
from hybrid_cli.environment import Environment

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
    run = f"hybrid completion {shell} > {shlex.quote(str(own))}"
    found = next((path for path in [own, *system] if path.is_file()), None)
    installed = Path(sys.prefix) / "share" / _NAMES[shell]
    if found is None:
        why = f"{shell} does not look into {installed.parent}" if installed.is_file() else "not installed"
        yield Finding("completions", "warn", f"{why}; run: mkdir -p {shlex.quote(str(own.parent))} && {run}")
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


def _bash_completion_version(script: Path = _BASH_COMPLETION) -> tuple[int, ...]:
    try:
        found = re.search(r"BASH_COMPLETION_VERSINFO=\((\d+) (\d+)", script.read_text(encoding="utf-8"))
    except OSError:
        return ()
    return (int(found[1]), int(found[2])) if found else ()
