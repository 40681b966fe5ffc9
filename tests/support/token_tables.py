"""The control tags of model families, and copies of a vocabulary with a part renamed to them."""

from __future__ import annotations

import struct
from pathlib import Path

CONTROL, USER_DEFINED = 3, 4
"""Types of tokens in GGUF files."""

TABLES: dict[str, dict[int, list[str]]] = {
    "gpt-oss": {
        USER_DEFINED: ["<|channel|>", "<|start|>", "<|end|>", "<|message|>", "<|constrain|>", "<|reserved_200014|>"],
        CONTROL: ["<|startoftext|>", "<|return|>", "<|call|>", "<|endofprompt|>"],
    },
    "Qwen": {
        USER_DEFINED: ["<tool_call>", "</tool_call>", "<tool_response>", "<think>", "</think>", "<|fim_prefix|>", "<|repo_name|>"],
        CONTROL: ["<|object_ref_start|>", "<|vision_start|>", "<|image_pad|>"],
    },
    "Llama 3": {
        USER_DEFINED: ["<|reserved_special_token_0|>", "<|reserved_special_token_1|>", "<|reserved_special_token_10|>"],
        CONTROL: ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>"],
    },
    "Mistral": {
        USER_DEFINED: ["[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[PREFIX]"],
        CONTROL: ["[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[SYSTEM_PROMPT]"],
    },
    "Gemma": {
        USER_DEFINED: ["<unused0>", "<unused1>", "<unused10>", "<start_of_image>", "<table>", "</table>", "<h1>", "<strong>"],
        CONTROL: ["<start_of_turn>", "<end_of_turn>", "<bos>", "<mask>"],
    },
    "Phi": {
        USER_DEFINED: ["<|dummy_85|>", "<|tool|>", "<|/tool|>", "<|tool_call|>"],
        CONTROL: ["<|system|>", "<|user|>", "<|assistant|>", "<|im_sep|>"],
    },
    "DeepSeek": {
        USER_DEFINED: ["<｜User｜>", "<｜Assistant｜>", "<｜tool▁calls▁begin｜>"],
        CONTROL: ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"],
    },
}  # fmt: skip

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = 32


def with_tags(model: Path, tags: dict[int, list[str]], copy: Path) -> Path:
    """A copy of the vocabulary of `model` without its weights, whose last tokens are `tags` of the given types."""
    data = model.read_bytes()
    named = [(tag, kind) for kind, texts in tags.items() for tag in texts]
    (pairs,) = struct.unpack_from("<Q", data, 16)
    place, pieces = 24, [data[:24]]
    for _ in range(pairs):
        start = place
        key, place = _string(data, place)
        (kind,) = struct.unpack_from("<I", data, place)
        end = _skipped(data, place + 4, kind)
        if key == b"tokenizer.ggml.tokens":
            pieces.append(_with_last_strings(data, start, place + 4, [tag for tag, _ in named]))
        elif key == b"tokenizer.ggml.token_type":
            last = struct.pack(f"<{len(named)}i", *(kind for _, kind in named))
            pieces.append(data[start : end - len(last)] + last)
        else:
            pieces.append(data[start:end])
        place = end
    no_tensors = b"".join([data[:8], struct.pack("<Q", 0), data[16:24], *pieces[1:]])
    copy.write_bytes(no_tensors + bytes(-len(no_tensors) % _ALIGNMENT))
    return copy


def _string(data: bytes, place: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<Q", data, place)
    return data[place + 8 : place + 8 + length], place + 8 + length


def _skipped(data: bytes, place: int, kind: int) -> int:
    """The end of the value of this `kind` at `place`."""
    if kind == _STRING:
        return _string(data, place)[1]
    if kind != _ARRAY:
        return place + _SIZES[kind]
    inner, count = struct.unpack_from("<IQ", data, place)
    place += 12
    if inner != _STRING:
        return place + _SIZES[inner] * count
    for _ in range(count):
        place = _string(data, place)[1]
    return place


def _with_last_strings(data: bytes, start: int, value: int, texts: list[str]) -> bytes:
    _inner, count = struct.unpack_from("<IQ", data, value)
    place = value + 12
    for _ in range(count - len(texts)):
        place = _string(data, place)[1]
    encoded = [text.encode() for text in texts]
    return data[start:place] + b"".join(struct.pack("<Q", len(text)) + text for text in encoded)


def with_more_tokens(model: Path, texts: list[str], kind: int, copy: Path) -> Path:
    """A copy of the vocabulary of `model` without its weights, with more tokens of one type behind its own."""
    data = model.read_bytes()
    (pairs,) = struct.unpack_from("<Q", data, 16)
    place, pieces = 24, []
    added = {
        b"tokenizer.ggml.tokens": b"".join(struct.pack("<Q", len(text)) + text.encode() for text in texts),
        b"tokenizer.ggml.token_type": struct.pack("<i", kind) * len(texts),
    }
    for _ in range(pairs):
        start = place
        key, place = _string(data, place)
        end = _skipped(data, place + 4, *struct.unpack_from("<I", data, place))
        if key in added:
            (count,) = struct.unpack_from("<Q", data, place + 8)
            head = data[start : place + 8] + struct.pack("<Q", count + len(texts))
            pieces.append(head + data[place + 16 : end] + added[key])
        else:
            pieces.append(data[start:end])
        place = end
    no_tensors = b"".join([data[:8], struct.pack("<Q", 0), data[16:24], *pieces])
    copy.write_bytes(no_tensors + bytes(-len(no_tensors) % _ALIGNMENT))
    return copy
