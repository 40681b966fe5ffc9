"""Escalation modes and hosted tools: the choices that profiles and the command line share.

This module imports nothing heavy, because `hybrid run --help` reads it.
"""

from __future__ import annotations

from typing import Literal, get_args

Mode = Literal["forbid", "auto", "force", "ask"]
MODES: tuple[Mode, ...] = get_args(Mode)
Tool = Literal["web_search", "image_generation"]
