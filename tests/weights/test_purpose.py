"""Files that are no language model are named before they are stored or loaded."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local import loading, memory
from hybrid_cli.weights.gguf import check_gguf
from hybrid_cli.weights.purpose import doubt
from hybrid_process import Hybrid


def gguf(path: Path, metadata: dict[str, Any], tensors: int = 1, order: str = "<") -> Path:
    """Write a header with this metadata, and room for its tensors."""

    def text(value: str) -> bytes:
        return struct.pack(f"{order}Q", len(value.encode())) + value.encode()

    def value(one: Any) -> bytes:
        if isinstance(one, bool):
            return struct.pack(f"{order}IB", 7, one)
        return (
            struct.pack(f"{order}II", 4, one)
            if isinstance(one, int)
            else struct.pack(f"{order}I", 8) + text(one)
        )

    pairs = b"".join(text(key) + value(one) for key, one in metadata.items())
    infos = b"".join(text(f"t{n}") + struct.pack(f"{order}IQIQ", 1, 8, 0, 0) for n in range(tensors))
    path.write_bytes(
        b"GGUF" + struct.pack(f"{order}IQQ", 3, tensors, len(metadata)) + pairs + infos + bytes(256)
    )
    return path


VOCABULARY = {"general.architecture": "llama", "tokenizer.ggml.model": "gpt2"}
OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "bge": ({"general.architecture": "bert", "bert.pooling_type": 2, "bert.attention.causal": False}, "an embedding model"),
    "nomic": ({"general.architecture": "nomic-bert"}, "an embedding model"),
    "qwen3-embedding": ({"general.architecture": "qwen3", "qwen3.pooling_type": 3}, "an embedding model"),
    "not causal": ({"general.architecture": "llama", "llama.attention.causal": False}, "an embedding model"),
    "reranker": ({"general.architecture": "bert", "bert.pooling_type": 4}, "a reranker"),
    "qwen3-reranker": ({"general.architecture": "qwen3", "qwen3.pooling_type": 4}, "a reranker"),
    "t5": ({"general.architecture": "t5"}, "an encoder-decoder model"),
    "lora": ({"general.type": "adapter", "general.architecture": "llama"}, "a LoRA adapter"),
    "projector": ({"general.type": "mmproj", "general.architecture": "clip"}, "a projector for images"),
    "old projector": ({"general.architecture": "clip"}, "a projector for images"),
    "importance matrix": ({"general.type": "imatrix"}, "an importance matrix"),
    "speech": ({"general.architecture": "whisper"}, "a speech recogniser"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_another_kind_of_file_is_named(tmp_path: Path, name: str) -> None:
    metadata, told = OTHERS[name]
    path = gguf(tmp_path / "file.gguf", {"general.name": name, **metadata})
    with pytest.raises(Failure, match=rf"is {told}.*; hybrid needs a model that writes text") as failure:
        check_gguf(path)
    assert failure.value.status is ExitStatus.WEIGHTS


def test_a_vocabulary_and_the_other_byte_order_are_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="is a vocabulary without weights"):
        check_gguf(gguf(tmp_path / "vocab.gguf", VOCABULARY, tensors=0))
    with pytest.raises(Failure, match="is big-endian"):
        check_gguf(gguf(tmp_path / "big.gguf", {"general.architecture": "llama"}, order=">"))


@pytest.mark.parametrize(
    "metadata",
    [
        {"general.architecture": "llama", "general.type": "model"},
        {"general.architecture": "qwen3", "qwen3.pooling_type": 0},
        {"general.architecture": "llama", "split.count": 3},
        {"general.architecture": "bert-like-but-new"},
        {},
    ],
)
def test_a_language_model_is_none_of_them(tmp_path: Path, metadata: dict[str, Any]) -> None:
    check_gguf(gguf(tmp_path / "model.gguf", metadata))


def test_the_first_shard_may_hold_no_weights(tmp_path: Path) -> None:
    check_gguf(gguf(tmp_path / "m.gguf", {**VOCABULARY, "split.count": 3}, tensors=0))


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        (b"# xet version 0\n", "a pointer of Xet"),
        (b"tjgg\3\0\0\0", "an old file of llama.cpp"),
        (b"\n <!DOCTYPE html><html>", "a web page; on Hugging Face, write /resolve/"),
        (b"\x1f\x8b\x08\0", "compressed"),
        (b"PK\3\4", "an archive"),
        (b"\x40\0\0\0\0\0\0\0{", "in the format safetensors"),
        (b"GGU", None),
        (b"plain text", None),
        (b"", None),
    ],
)
def test_what_people_take_for_a_model_is_named(tmp_path: Path, start: bytes, told: str | None) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(start + bytes(64 if told else 0))
    with pytest.raises(Failure, match="is not a GGUF model file" + (f"; it is {told}" if told else "$")):
        check_gguf(path)


def test_a_shard_is_used_by_its_first_file_and_with_all_others(hybrid: Hybrid, tmp_path: Path) -> None:
    paths = [tmp_path / f"m-0000{number}-of-00005.gguf" for number in range(1, 6)]
    for number, path in enumerate(paths[:2]):
        gguf(path, {**VOCABULARY, "split.count": 5, "split.no": number})
    renamed = gguf(tmp_path / "third.gguf", {**VOCABULARY, "split.count": 5, "split.no": 2})
    for path, told in (
        (paths[1], f"is a part of a split model; give the first one: -m {paths[0]}"),
        (paths[0], f"missing: {paths[2].name}, {paths[3].name}, {paths[4].name}"),
        (renamed, "is file 3 of a model split into 5; its name must end in -00003-of-00005.gguf"),
    ):
        done = hybrid("run", "-p", "offline", "-m", path, "hi")
        assert (done.returncode, done.stdout) == (6, b"")
        assert told in done.stderr.decode()


def test_a_tokenizer_without_rules_is_told_once(hybrid: Hybrid, tmp_path: Path) -> None:
    path = gguf(tmp_path / "old.gguf", {**VOCABULARY, "general.architecture": "x"})
    told = b"old.gguf was converted without the rules of its tokenizer"
    assert [hybrid("run", "-p", "offline", "-m", path, "hi").stderr.count(told) for _ in range(2)] == [1, 0]
    assert doubt({**VOCABULARY, "tokenizer.ggml.pre": "smollm"}) is None
    assert doubt({"tokenizer.ggml.model": "llama"}) is None


@pytest.mark.parametrize("arguments", [("pull",), ("run", "-p", "offline", "hi", "-m")])
def test_the_command_names_it(hybrid: Hybrid, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    path = gguf(tmp_path / "bge.gguf", OTHERS["bge"][0])
    done = hybrid(*arguments, path)
    assert (done.returncode, done.stdout) == (6, b""), done.stderr
    assert b"is an embedding model, which turns text into numbers" in done.stderr


def test_all_shards_count_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 50_000_000)  # a machine with little memory
    paths = [tmp_path / f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    for path in paths:
        path.write_bytes(b"")
        os.truncate(path, 30_000_000)
    with pytest.raises(Failure, match=r"needs 90 MB of memory, but only 50 MB are free; .*mmap_over_memory"):
        loading._refuse_too_large(str(paths[0]))
    paths[2].unlink()
    with pytest.raises(Failure, match="cannot read the model file"):
        loading._refuse_too_large(str(paths[0]))


def test_a_model_may_run_from_its_file(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 1_000_000)
    loader = loading.Loader()
    with pytest.raises(Failure, match="are free"):
        loader.load(str(model_file))
    loader.load(str(model_file), mmap_over_memory=True)
    assert loader.handle
