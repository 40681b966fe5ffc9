"""What servers' refusals taught about their dialects, kept for a day so that later runs need not ask twice."""

from __future__ import annotations

import time
from contextlib import suppress

import msgspec

from hybrid_cli.cloud.dialects import Dialect, first_dialect
from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.system.files import read_regular, replacing
from hybrid_cli.ui.environment import Environment

_SECONDS = 86_400.0
"""How long a dialect is kept: servers and their models change."""
_MAX_BYTES = 1_000_000


class _Entry(msgspec.Struct, frozen=True):
    learned_at: float
    dialect: Dialect


_Entries = dict[str, _Entry]


class LearnedDialects:
    """The dialects of all servers, in a file of the state folder. It holds origins and model names, no prompts."""

    def __init__(self, environment: Environment) -> None:
        self._path = environment.state_folder / "dialects.json"

    def of(self, server: Server) -> Dialect:
        """The dialect to speak with `server`: what it taught, or else where hybrid begins."""
        first = first_dialect(server.base_url)
        entry = self._read().get(_key(server))
        if entry is None:
            return first
        return msgspec.structs.replace(entry.dialect, keeps_nothing=first.keeps_nothing)

    def keep(self, server: Server, dialect: Dialect) -> None:
        """Record that `server` takes `dialect`. If that fails, the next run learns it again."""
        with suppress(OSError):
            entries = self._read() | {_key(server): _Entry(time.time(), dialect)}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._path) as file:
                file.write(msgspec.json.encode(entries))

    def _read(self) -> _Entries:
        with suppress(OSError, msgspec.DecodeError):
            entries = msgspec.json.decode(read_regular(self._path, _MAX_BYTES), type=_Entries)
            now = time.time()
            return {key: one for key, one in entries.items() if 0 <= now - one.learned_at < _SECONDS}
        return {}


def _key(server: Server) -> str:
    return f"{origin_of(server.base_url)} {server.api} {server.model}"
