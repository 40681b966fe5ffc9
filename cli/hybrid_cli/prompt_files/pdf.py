"""The text of a PDF, which is untrusted: read by another process, with limits on time and memory."""

from __future__ import annotations

import json
import subprocess
import sys

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.prompt_files.decoding import Decoded
from hybrid_cli.system.child_environment import for_command
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import one_line

_SECONDS = 60
_MARK_WITHIN = 1024
"""Readers accept a PDF whose mark is within so many bytes from the start."""


def is_pdf(data: bytes) -> bool:
    return b"%PDF-" in data[:_MARK_WITHIN]


def pdf_text(data: bytes, path: str, environment: Environment) -> Decoded:
    """Return the text of all pages, and a note on pages without text. Raises Failure (USAGE)."""
    name = one_line(path)
    try:
        with environment.waiting(f"reading the text of {name}"):
            done = subprocess.run(
                [sys.executable, "-I", "-m", "hybrid_cli.prompt_files.pdf_process"],
                input=data,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=for_command(environment.variables),
                timeout=_SECONDS,
                check=True,
            )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        raise Failure(ExitStatus.USAGE, f"{name} cannot be read: this PDF is damaged or too large") from None
    if "problem" in found:
        raise Failure(ExitStatus.USAGE, f"{name} {found['problem']}")
    pages: list[str] = found["pages"]
    empty = sum(not page.strip() for page in pages)
    if empty == len(pages):
        raise Failure(ExitStatus.USAGE, f"{name} has no text; its pages may be scanned images")
    note = f"has no text on {empty} of {len(pages)} pages" if empty else ""
    return Decoded("\n\n".join(page.strip("\n") for page in pages), note)
