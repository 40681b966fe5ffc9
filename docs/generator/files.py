"""The generated files and their sources."""

from __future__ import annotations

from typing import Any

from agent_skill import skill
from hybrid_cli.help.command_tree import read_tree
from hybrid_cli.help.completions import bash, fish, zsh
from man_pages import man_pages
from profile_reference import profiles_page, profiles_schema


def generated_files(root: Any) -> dict[str, str]:
    """Return the text of each generated file by its path in the checkout; `root` is the root command."""
    tree = read_tree(root)
    return {
        "completions/hybrid.bash": bash(tree),
        "completions/_hybrid": zsh(tree),
        "completions/hybrid.fish": fish(tree),
        "docs/agents/SKILL.md": skill(tree),
        "docs/profiles.md": profiles_page(),
        "profiles/profile.schema.json": profiles_schema(),
        **{f"docs/man/{name}": text for name, text in man_pages(tree).items()},
    }
