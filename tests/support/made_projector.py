"""A projector (mmproj) that llama.cpp loads: a tiny vision transformer with random weights, in GGUF (ggml's docs/gguf.md).

It proves that an image's way into the model works, not that the model sees anything. No package that tests may
download has a real one. Its kind, `mlp` of LLaVA, is the simplest that llama.cpp's tools/mtmd/clip.cpp knows.
"""

from __future__ import annotations

import random
import struct
from array import array
from pathlib import Path
from typing import Any

WIDTH = 576
"""Values for each token of SmolLM2."""
_UINT32, _FLOAT, _BOOL, _STRING, _ARRAY = 4, 6, 7, 8, 9
_ALIGNMENT = 32


def write_projector(
    path: Path,
    *,
    width: int = WIDTH,
    image: int = 28,
    hidden: int = 32,
    layers: int = 2,
    sees: bool = True,
    architecture: str = "clip",
) -> Path:
    """Write a projector to vectors of `width` values. It scales images to `image` pixels a side, patches have 14.

    More `hidden` values and `layers` make it slower. Without `sees` it says that it is for audio.
    """
    patch, feed = 14, 2 * hidden
    metadata: dict[str, tuple[int, Any]] = {
        "general.architecture": (_STRING, architecture),
        "clip.projector_type": (_STRING, "mlp"),
        "clip.has_vision_encoder": (_BOOL, sees),
        "clip.has_audio_encoder": (_BOOL, not sees),
        "clip.use_gelu": (_BOOL, True),
        "clip.vision.image_size": (_UINT32, image),
        "clip.vision.patch_size": (_UINT32, patch),
        "clip.vision.embedding_length": (_UINT32, hidden),
        "clip.vision.feed_forward_length": (_UINT32, feed),
        "clip.vision.block_count": (_UINT32, layers),
        "clip.vision.projection_dim": (_UINT32, width),
        "clip.vision.attention.head_count": (_UINT32, 2),
        "clip.vision.attention.layer_norm_epsilon": (_FLOAT, 1e-5),
        "clip.vision.image_mean": (_ARRAY, [0.5, 0.5, 0.5]),
        "clip.vision.image_std": (_ARRAY, [0.5, 0.5, 0.5]),
    }
    shapes = {
        "v.patch_embd.weight": (patch, patch, 3, hidden),
        "v.position_embd.weight": (hidden, (image // patch) ** 2),
        "mm.0.weight": (hidden, width),
        "mm.0.bias": (width,),
        "mm.2.weight": (width, width),
        "mm.2.bias": (width,),
    }
    for layer in range(layers):
        name = f"v.blk.{layer}"
        shapes |= {f"{name}.attn_{part}.weight": (hidden, hidden) for part in ("q", "k", "v", "out")}
        shapes |= {f"{name}.ln{number}.{part}": (hidden,) for number in (1, 2) for part in ("weight", "bias")}
        shapes |= {f"{name}.ffn_up.weight": (hidden, feed), f"{name}.ffn_down.weight": (feed, hidden)}
    path.write_bytes(_file(metadata, shapes))
    return path


def _file(metadata: dict[str, tuple[int, Any]], shapes: dict[str, tuple[int, ...]]) -> bytes:
    pairs = b"".join(
        _text(key) + struct.pack("<I", kind) + _value(kind, it) for key, (kind, it) in metadata.items()
    )
    infos, data, chance = b"", bytearray(), random.Random(1)
    some = array(
        "f", (chance.uniform(-0.2, 0.2) for _ in range(10_007))
    )  # repeated, as drawing all takes long
    for name, shape in shapes.items():
        infos += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        count = 1
        for size in shape:
            count *= size
        data += (some * (count // len(some) + 1))[:count].tobytes()
        data += bytes(-len(data) % _ALIGNMENT)
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(shapes), len(metadata)) + pairs + infos
    return head + bytes(-len(head) % _ALIGNMENT) + data


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _value(kind: int, value: Any) -> bytes:
    if kind == _STRING:
        return _text(value)
    if kind == _ARRAY:
        return struct.pack(f"<IQ{len(value)}f", _FLOAT, len(value), *value)
    return struct.pack({_UINT32: "<I", _FLOAT: "<f", _BOOL: "<?"}[kind], value)
