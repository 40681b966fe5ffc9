"""The topics of `hybrid help`, and the tables that man pages and the documents share with them."""

from __future__ import annotations

from collections.abc import Iterator

from hybrid_cli.exit_status import EXIT_CODES
from hybrid_cli.ui.wrap import fill

_MAX_NAME_SHARE = 0.35
"""Share of a line that the names of a table may take; with longer names, meanings start on the next line."""

VARIABLES = {
    "HYBRID_PROFILE": "profile to use without -p",
    "HYBRID_ESCALATION": "escalation mode: forbid, auto, force or ask",
    "HYBRID_CONSENT": "origins that hybrid may send prompts to, comma-separated",
    "HYBRID_NO_STDIN": "if set: never read stdin",
    "HYBRID_HOME": "folder for config, data, state and cache, instead of the system's usual folders",
    "HYBRID_DEBUG": "if set: show the traceback of an internal error",
    "HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE": "settings of huggingface_hub for hybrid pull hf:...",
    "CI": "if set: no questions, no animation; workflow commands in output are escaped",
    "NO_COLOR, FORCE_COLOR": "turn colour off or on; --color overrides both",
}

FILES = {
    "/etc/hybrid/profile.yaml": "the administrator's profile",
    "~/.config/hybrid/profile.yaml": "your settings for every run",
    "~/.config/hybrid/profiles/NAME.yaml": "your own profiles, for -p NAME",
    "~/.config/hybrid/templates/NAME.md": "your prompt templates, for -t NAME",
    "~/.config/hybrid/consent.json": "the clouds that you consented to",
    "~/.config/hybrid/serve-token": "the token that clients of `hybrid serve` need",
    ".hybrid.yaml": "the project's profile, in this folder or above, up to the repository's root",
    "~/.local/share/hybrid": "downloaded models",
    "~/.local/state/hybrid": "the ledger: every request sent to a cloud",
}

_PROFILES = (
    """A profile is a YAML file that names the local model, the cloud model and the conditions for a handoff.
    Choose one with `-p NAME|PATH` or HYBRID_PROFILE. Your own profiles come before the shipped ones;
    `hybrid profile ls` lists both.""",
    """Settings come from several places: system file, user file, project file, chosen profile, environment
    variables and options. The strictest setting wins: forbid beats ask, ask beats auto and force, and the
    lowest limit applies. A project's file can only tighten settings until you trust its exact content with
    `hybrid profile trust`.""",
    {
        "hybrid profile explain": "print each value, its source, and values that were refused",
        "hybrid profile check FILE": "print every mistake as FILE:LINE: message",
        "hybrid profile schema": "print the JSON Schema, for editors",
    },
)

_PRIVACY = (
    """hybrid sends a prompt only under four conditions. The mode is not forbid. The profile names a cloud. You
    gave consent to that cloud. The gate, a rule or the mode force calls for a handoff.""",
    """hybrid then sends the system message, the piped text and the prompt to that cloud only. It never sends file
    names, other variables or the local answer. With escalation.shadow, it also sends a share of the kept prompts
    afterwards, under the same conditions.""",
    """First, hybrid scans the text. By default, it sends no text that contains a credential. Card numbers, IBANs and the other
    kinds in privacy.redact are sent as placeholders and restored in the answer. hybrid writes a row to a private
    ledger before the first byte is sent.""",
    """Under forbid on Linux, the kernel denies the process every socket; `hybrid doctor` shows the guard of other
    systems. The scan finds known patterns, not text that is private by its meaning. For such text, use
    `-p offline`.""",
    {
        "hybrid run --dry-run PROMPT": "print the exact payload and its price; send nothing",
        "hybrid consent ls": "list the clouds with consent",
        "hybrid usage --export": "print everything that was sent",
    },
)

_EXIT_CODES = {f"{code:>3}": meaning for code, meaning in EXIT_CODES.items()}

TOPICS: dict[str, tuple[str | dict[str, str], ...]] = {
    "exit-codes": (_EXIT_CODES,),
    "profiles": _PROFILES,
    "environment": (VARIABLES, "Files (XDG_*_HOME or HYBRID_HOME changes their folders):", FILES),
    "privacy": _PRIVACY,
}
"""Topics by name: paragraphs, and tables of names with their meaning."""


def topic(name: str, width: int) -> str:
    """Return the text of a topic, wrapped to `width` columns."""
    parts = (
        fill(part, width) if isinstance(part, str) else "\n".join(_table(part, width))
        for part in TOPICS[name]
    )
    return "\n\n".join(parts)


def _table(table: dict[str, str], width: int) -> Iterator[str]:
    """Yield the rows; meanings stand beside the names if these are short, else below them."""
    longest = max(map(len, table))
    for name, meaning in table.items():
        if longest <= width * _MAX_NAME_SHARE:
            yield fill(meaning, width, " " * (longest + 2), f"{name:<{longest}}  ")
        else:
            yield name
            yield fill(meaning, width, "    ")
