"""What a GGUF file is for, by its metadata: hybrid can run language models that write text, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping

WANTED = re.compile(
    rb"general\.(?:type|architecture)|split\.(?:count|no)|tokenizer\.ggml\.(?:model|pre)|clip\.has_vision_encoder"
    rb"|[\w.-]+\.(?:pooling_type|attention\.causal)",
    re.ASCII,
)
"""The keys of the metadata that are read here and for split models."""

PROJECTOR = "a projector for images (mmproj), a part of a multimodal model"
_EMBEDDING = "an embedding model, which turns text into numbers"
_ENCODERS = (
    "bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "modern-bert", "jina-bert-v2", "jina-bert-v3", "eurobert",
    "gemma-embedding", "t5encoder", "llama-embed",
)  # fmt: skip
_OTHERS = {
    "t5": "an encoder-decoder model (T5)",
    "clip": PROJECTOR,
    "wavtokenizer-dec": "a speech decoder",
    "diffusion": "an image model",
    "sd1": "an image model",
    "sdxl": "an image model",
    "flux": "an image model",
    "whisper": "a speech recogniser",
}
_TYPES = {
    "adapter": "a LoRA adapter, a change to another model",
    "mmproj": PROJECTOR,
    "projector": PROJECTOR,
    "imatrix": "an importance matrix, which helps to make models smaller",
    "vocab": "a vocabulary without weights",
    "controlvector": "a control vector, a change to another model",
}
_RANK = 4
"""llama.cpp's LLAMA_POOLING_TYPE_RANK; 1 to 3 pool for embeddings, 0 does not pool."""


def other_purpose(metadata: Mapping[str, int | str], tensors: int) -> str | None:
    """What the file is instead of a model that writes text, in plain words; None for such a model."""
    kind = str(metadata.get("general.type", "model")).lower()
    architecture = str(metadata.get("general.architecture", "")).lower()
    if kind in _TYPES:
        return _TYPES[kind]
    pooling = metadata.get(f"{architecture}.pooling_type", 0)
    if pooling == _RANK:
        return "a reranker, which scores texts"
    if (
        architecture in _ENCODERS
        or pooling in (1, 2, 3)
        or metadata.get(f"{architecture}.attention.causal") == 0
    ):
        return _EMBEDDING
    if architecture in _OTHERS:
        return _OTHERS[architecture]
    is_shard = int(metadata.get("split.count", 0) or 0) > 1  # the first one may hold no weights
    is_vocabulary = "tokenizer.ggml.model" in metadata and not tensors and not is_shard
    return _TYPES["vocab"] if is_vocabulary else None


def doubt(metadata: Mapping[str, int | str]) -> str | None:
    """What makes the answers of a model worse, or None. llama.cpp only logs it."""
    if metadata.get("tokenizer.ggml.model") == "gpt2" and not metadata.get("tokenizer.ggml.pre"):
        return "was converted without the rules of its tokenizer, so its answers may be worse; download a newer conversion"
    return None


def no_projector(metadata: Mapping[str, int | str], tensors: int) -> str | None:
    """What the file is instead of a projector for images, in plain words; None for such a projector."""
    other = other_purpose(metadata, tensors)
    if other == PROJECTOR:
        return None if metadata.get("clip.has_vision_encoder") else "a projector for audio"
    return other or "a model that writes text"
