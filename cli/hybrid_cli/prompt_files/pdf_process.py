"""Reads a PDF from stdin and prints `{"pages": [...]}`, or `{"problem": "..."}`; ends by itself at its limits."""

from __future__ import annotations

import io
import json
import logging
import signal
import sys
from typing import Any

_SECONDS = 60
_MEMORY = 2 << 30


def _limit() -> None:
    signal.alarm(_SECONDS)  # by the signal's default action
    if sys.platform.startswith("linux"):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def read_pages(data: bytes) -> dict[str, Any]:
    """Return the text of each page of a PDF, or why there is none."""
    try:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError, FileNotDecryptedError
    except ImportError:
        return {"problem": "is a PDF; to read it, run: pip install 'hybrid-cli[pdf]'"}
    logging.disable()
    encrypted = {"problem": "is an encrypted PDF; save a copy without a password"}
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            return encrypted
        return {"pages": [page.extract_text() for page in reader.pages]}
    except (DependencyError, FileNotDecryptedError):  # some ciphers need another library
        return encrypted
    except Exception as error:  # noqa: BLE001  whatever a damaged file raises
        return {"problem": f"cannot be read: this PDF is damaged ({type(error).__name__})"}


if __name__ == "__main__":
    _limit()
    print(json.dumps(read_pages(sys.stdin.buffer.read())))  # noqa: T201
