"""The prefix cache: prompts' states on disk, so that a repeated system prompt, file or example costs no time.

An entry is the state (KV cache) of a whole prompt, or of a head: what the chat template and a prompt template write before
the user's text. A later prompt uses the whole prompt with the longest common prefix, up to the first difference; a head is
used only as it is. An entry contains its tokens in clear text, so whole prompts are stored only if the user allowed
prompts on disk.

- `FOLDER/KEY/*.prefix`: whole prompts of one model, layout, template and build of llama.cpp; a file's modification
  time is that of its last use, and the oldest are deleted first
- `FOLDER/KEY/*.head`: its heads, each named by its tokens
- an entry: magic, count of tokens, length of state; sha256 of the rest; tokens (int32); state
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.model import Model
from hybrid_cli.local.protocol import LocalRequest
from hybrid_cli.system.files import replacing

_HEAD = struct.Struct("<8sQQ32s")
_MAGIC = b"hybridP1"
MIN_TOKENS = 256
"""Of whole prompts. With shorter ones, each prompt would write megabytes that few others need."""
MIN_HEAD = 8
"""Tokens that are decoded in about the time that an entry takes to load."""
_MOST_HEADS = 16
"""Entries of one model."""
MAX_BYTES = 1 << 30
"""Bytes of all entries together."""


class PrefixCache:
    """The entries for one model, used with one context."""

    def __init__(self, folder: Path, key: str, context: Any) -> None:
        self._root = folder
        self._folder = folder / key
        self._context = context
        self._memory = llama_cpp.llama_get_memory(context)

    @classmethod
    def of(cls, request: LocalRequest, model: Model, context: Any, layout: str) -> PrefixCache | None:
        """The cache for `request`; None if it may not use one. Another layout of the weights rounds otherwise."""
        if request.cache_folder is None:
            return None
        system = llama_cpp.llama_print_system_info().decode()
        parts = (request.weights_id, layout, model.template, system, _build())
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
        return cls(Path(request.cache_folder), key, context)

    def load(self, prompt: list[int], slot: int) -> int:
        """Load the longest cached prefix of `prompt` into `slot`; returns its number of tokens.

        It never includes the last token, which must be decoded. Damaged entries are deleted.
        """
        wanted = np.asarray(prompt, dtype=np.int32)
        found: list[tuple[int, Path]] = []
        for path in self._entries():
            with _dropping(path):
                found.append((min(_shared(path, wanted), len(prompt) - 1), path))
        length, path = max(found, default=(0, self._folder))
        return length if length >= MIN_TOKENS and self._restore(path, slot, prompt[:length]) else 0

    def load_head(self, head: list[int], slot: int) -> bool:
        """Return whether the state of exactly this head could be loaded into `slot`."""
        path = self._path_of(head)
        return path.is_file() and self._restore(path, slot, head)

    def save_head(self, head: list[int], slot: int) -> None:
        """Save the state of `slot`, which holds `head` and nothing else. Never raises OSError.

        A model has few heads; one with the time of day in it has a new one for each prompt, and those are deleted.
        """
        with contextlib.suppress(OSError):
            heads = sorted(self._folder.glob("*.head"), key=lambda path: path.stat().st_mtime)
            for path in heads[: len(heads) + 1 - _MOST_HEADS]:
                path.unlink()
        self._write(head, slot, self._path_of(head))

    def _path_of(self, head: list[int]) -> Path:
        digest = hashlib.sha256(np.asarray(head, dtype=np.int32).tobytes())
        return self._folder / f"{digest.hexdigest()[:32]}.head"

    def _restore(self, path: Path, slot: int, tokens: list[int]) -> bool:
        """Return whether the entry's state could be loaded into `slot` and cut to `tokens`, with which it begins."""
        with _dropping(path):
            state = _read_state(path, tokens)
            buffer = (ctypes.c_uint8 * len(state)).from_buffer(state)
            if llama_cpp.llama_state_seq_set_data(self._context, buffer, len(state), slot) and (
                self._cut(slot, len(tokens))
            ):
                os.utime(path)
                return True
            llama_cpp.llama_memory_seq_rm(self._memory, slot, -1, -1)
        return False

    def save(self, prompt: list[int], slot: int, *, reused: int) -> None:
        """Save the state of `prompt`, with which `slot` begins, unless little of it is new. Never raises OSError.

        What follows in the slot is deleted.
        """
        if len(prompt) - reused >= MIN_TOKENS and self._cut(slot, len(prompt)):
            self._write(prompt, slot, self._folder / f"{uuid.uuid4().hex}.prefix")

    def _write(self, prompt: list[int], slot: int, path: Path) -> None:
        state = (ctypes.c_uint8 * llama_cpp.llama_state_seq_get_size(self._context, slot))()
        if len(state) > MAX_BYTES // 2:
            return
        llama_cpp.llama_state_seq_get_data(self._context, state, len(state), slot)
        tokens = np.asarray(prompt, dtype=np.int32).tobytes()
        digest = hashlib.sha256(tokens)
        digest.update(state)
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _evict(self._root, len(state))
            with replacing(path) as file:
                file.write(_HEAD.pack(_MAGIC, len(prompt), len(state), digest.digest()))
                file.write(tokens)
                file.write(state)

    def _cut(self, slot: int, length: int) -> bool:
        """Return whether the slot could be cut to its first `length` tokens."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, slot, length, -1))

    def _entries(self) -> list[Path]:
        try:
            return [path for path in self._folder.glob("*.prefix") if path.is_file()]
        except OSError:
            return []


@contextlib.contextmanager
def _dropping(path: Path) -> Iterator[None]:
    """Delete the entry if the block finds it damaged. Another process may delete it at any time."""
    try:
        yield
    except FileNotFoundError:
        pass
    except (OSError, ValueError, struct.error):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _shared(path: Path, wanted: Any) -> int:
    """The length of the common prefix of the entry and `wanted`."""
    with path.open("rb") as file:
        magic, count, _length, _digest = _HEAD.unpack(file.read(_HEAD.size))
        if magic != _MAGIC or count * 4 > path.stat().st_size:
            raise ValueError("damaged")
        tokens = np.frombuffer(file.read(min(count, len(wanted)) * 4), dtype=np.int32)
    differing = np.flatnonzero(tokens != wanted[: len(tokens)])
    return int(differing[0]) if len(differing) else len(tokens)


def _read_state(path: Path, tokens: list[int]) -> bytearray:
    """The entry's state. Raises ValueError if its size or checksum is wrong, or if it does not begin with `tokens`."""
    with path.open("rb") as file:
        magic, count, length, expected = _HEAD.unpack(file.read(_HEAD.size))
        size = _HEAD.size + count * 4 + length
        if magic != _MAGIC or size > MAX_BYTES or size != path.stat().st_size:
            raise ValueError("damaged")
        held = file.read(count * 4)
        if not held.startswith(np.asarray(tokens, dtype=np.int32).tobytes()):
            raise ValueError("damaged")
        digest = hashlib.sha256(held)
        state = bytearray(length)
        if file.readinto(state) != length:
            raise ValueError("damaged")
    digest.update(state)
    if digest.digest() != expected:
        raise ValueError("damaged")
    return state


def _evict(root: Path, coming: int) -> None:
    """Delete the least recently used entries of all models until `coming` more bytes fit."""
    found = []
    for path in root.glob("*/*"):
        with contextlib.suppress(OSError):
            info = path.stat()
            found.append((info.st_mtime, info.st_size, path))
    total = sum(size for _time, size, _path in found) + coming
    for _time, size, path in sorted(found):
        if total <= MAX_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= size


def _build() -> str:
    """An identifier of the build of llama.cpp: the library's size and modification time."""
    library = Path(llama_cpp.__file__).parent / "lib" / "libllama.so"
    info = library.stat()
    return f"{info.st_size}-{info.st_mtime_ns}"
