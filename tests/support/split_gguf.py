"""Splitting a real model into shards as llama.cpp's own tool does (ggml's docs/gguf.md, its split.* keys)."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path

_FIXED_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT16, _INT32, _STRING, _ARRAY = 2, 5, 8, 9
_ALIGNMENT = 32


@dataclass
class _Tensor:
    name: bytes
    description: bytes
    """Dimensions and type."""
    offset: int
    data: bytes = b""


def split_gguf(model: Path, folder: Path, stem: str, count: int) -> list[Path]:
    """Write `model` as `count` shards into `folder`; return their paths in order."""
    content = model.read_bytes()
    file = io.BytesIO(content)
    _magic, version, tensor_count, pair_count = struct.unpack("<4sIQQ", file.read(24))
    start = file.tell()
    for _ in range(pair_count):
        _string(file)
        _skip_value(file, _number(file, "<I"))
    pairs = content[start : file.tell()]
    tensors = [_read_tensor(file) for _ in range(tensor_count)]
    base = -(-file.tell() // _ALIGNMENT) * _ALIGNMENT
    ends = sorted([tensor.offset for tensor in tensors] + [len(content) - base])
    for tensor in tensors:
        end = ends[ends.index(tensor.offset) + 1]
        tensor.data = content[base + tensor.offset : base + end]
    paths = []
    share = -(-tensor_count // count)
    for number in range(count):
        own = {
            "split.no": (_UINT16, number),
            "split.count": (_UINT16, count),
            "split.tensors.count": (_INT32, tensor_count),
        }
        head = (pairs if number == 0 else b"") + b"".join(_pair(*pair) for pair in own.items())
        shard = tensors[number * share : (number + 1) * share]
        path = folder / f"{stem}-{number + 1:05d}-of-{count:05d}.gguf"
        path.write_bytes(_shard(version, head, len(own) + (pair_count if number == 0 else 0), shard))
        paths.append(path)
    return paths


def _shard(version: int, pairs: bytes, pair_count: int, tensors: list[_Tensor]) -> bytes:
    infos, data = b"", b""
    for tensor in tensors:
        infos += _packed(tensor.name) + tensor.description + struct.pack("<Q", len(data))
        data += tensor.data + bytes(-len(tensor.data) % _ALIGNMENT)
    head = struct.pack("<4sIQQ", b"GGUF", version, len(tensors), pair_count) + pairs + infos
    return head + bytes(-len(head) % _ALIGNMENT) + data


def _pair(key: str, value: tuple[int, int]) -> bytes:
    kind, number = value
    return (
        _packed(key.encode())
        + struct.pack("<I", kind)
        + struct.pack("<H" if kind == _UINT16 else "<i", number)
    )


def _packed(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _number(file: io.BytesIO, form: str) -> int:
    number: int = struct.unpack(form, file.read(struct.calcsize(form)))[0]
    return number


def _string(file: io.BytesIO) -> bytes:
    return file.read(_number(file, "<Q"))


def _skip_value(file: io.BytesIO, kind: int) -> None:
    if kind == _STRING:
        _string(file)
    elif kind == _ARRAY:
        item, length = _number(file, "<I"), _number(file, "<Q")
        for _ in range(length):
            _skip_value(file, item)
    else:
        file.seek(_FIXED_BYTES[kind], io.SEEK_CUR)


def _read_tensor(file: io.BytesIO) -> _Tensor:
    name = _string(file)
    count = file.read(4)
    description = count + file.read(8 * int.from_bytes(count, "little") + 4)
    return _Tensor(name, description, _number(file, "<Q"))
