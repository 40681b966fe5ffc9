"""The topics of `hybrid help`, and the tables that man pages and the README share with them."""

from __future__ import annotations

from collections.abc import Iterator

from hybrid_cli.exit_status import ExitStatus
from hybrid_cli.ui.wrap import filled

_BESIDE = 0.35
"""The share of a line that names may take."""

VARIABLES = {
    "HYBRID_PROFILE": "the profile when -p names none",
    "HYBRID_ESCALATION": "forbid, auto, force or ask",
    "HYBRID_CONSENT": "origins consented to, comma-separated",
    "HYBRID_NO_STDIN": "never read stdin",
    "HYBRID_HOME": "one folder for config, data, state and cache; by default they are where your system keeps them",
    "HYBRID_DEBUG": "show the traceback of an internal error",
    "HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE": "as huggingface_hub has them, for hybrid pull hf:...",
    "CI": "set: nobody is asked anything, nothing moves, and no text holds what a runner takes as a command",
    "NO_COLOR, FORCE_COLOR": "no colours, or colours everywhere; --color says it for one command",
}

FILES = {
    "/etc/hybrid/profile.yaml": "the administrator's profile",
    "~/.config/hybrid/profile.yaml": "what you always want",
    "~/.config/hybrid/profiles/NAME.yaml": "your own profiles, for -p NAME",
    "~/.config/hybrid/consent.json": "the clouds that you consented to",
    ".hybrid.yaml": "the project's profile, from the working folder up to the repository's root; it may only tighten",
    "~/.local/share/hybrid": "weights",
    "~/.local/state/hybrid": "the ledger of what was sent",
}

_PROFILES = (
    """A profile is a YAML file that says which model answers and when the cloud may. `-p NAME|PATH` or
    HYBRID_PROFILE chooses one; yours come before the shipped ones. `hybrid profile ls` lists them.""",
    """Several files and words speak: the system's, yours, the project's, the chosen profile, variables and
    options. The strictest wins: forbid beats ask, ask beats auto and force, the lower limit holds. A project's
    file may only tighten until you trust its exact content (hybrid profile trust).""",
    {
        "hybrid profile explain": "every value, who set it, and what was refused",
        "hybrid profile check FILE": "every mistake as FILE:LINE: message",
        "hybrid profile schema": "the JSON Schema, for editors",
    },
)

_PRIVACY = (
    """Nothing is sent unless the mode is not forbid, the profile sets a cloud, you gave consent to that cloud,
    and the gate or the mode force calls for a handoff. Then the system message, the piped text and the prompt
    leave, to that origin alone; file names, other variables and the local answer do not. With
    escalation.shadow a share of the kept prompts goes out as well, afterwards, under the same conditions.""",
    """Before that the text is scanned: a credential ends the run with code 3; card numbers, IBANs and what else
    privacy.redact names leave as placeholders and come back in the answer. A row in a private ledger is
    written before the first byte leaves.""",
    """Under forbid the kernel refuses the process every socket (Linux); hybrid doctor says which guard this
    system has. A scanner finds what has a known form, not what is private by its meaning: use -p offline
    for what must not leave.""",
    {
        "hybrid run --dry-run PROMPT": "the exact payload and its price; sends nothing",
        "hybrid consent ls": "the clouds that may be sent to",
        "hybrid usage --export": "all that left",
    },
)

_CODES = {f"{status.value:>3}": status.meaning for status in ExitStatus}

TOPICS: dict[str, tuple[str | dict[str, str], ...]] = {
    "exit-codes": (_CODES,),
    "profiles": _PROFILES,
    "environment": (VARIABLES, "Files (XDG_*_HOME or HYBRID_HOME move them):", FILES),
    "privacy": _PRIVACY,
}
"""What `hybrid help` explains besides commands: paragraphs, and tables of names with their meaning."""


def topic(name: str, width: int) -> str:
    """The text of one of TOPICS, for a terminal of `width` columns."""
    parts = (
        filled(part, width) if isinstance(part, str) else "\n".join(_rows(part, width))
        for part in TOPICS[name]
    )
    return "\n\n".join(parts)


def _rows(table: dict[str, str], width: int) -> Iterator[str]:
    """A row's meaning stands beside its name where all names are short, else below it."""
    longest = max(map(len, table))
    for name, meaning in table.items():
        if longest <= width * _BESIDE:
            yield filled(meaning, width, " " * (longest + 2), f"{name:<{longest}}  ")
        else:
            yield name
            yield filled(meaning, width, "    ")
