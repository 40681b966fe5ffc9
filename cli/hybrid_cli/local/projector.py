"""Images for a model with a projector: llama.cpp's libmtmd turns them into vectors in the place of tokens.

In llama-cpp-python 0.3.36 the signatures of all calls used here agree with its libmtmd. Its version of
`mtmd_helper_bitmap_init_from_buf` drops the handle of a video, which no image has.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.bindings import llama_cpp, low_level
from hybrid_cli.local.image_size import too_large
from hybrid_cli.local.loading import Loader
from hybrid_cli.local.threads import usable_cores

mtmd = low_level("mtmd_cpp")

_READABLE = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8")
_NO_FOLDER = b"/dev/null"
"""In the place of ffmpeg's folder: libmtmd would start ffmpeg for an image that it cannot read."""
_FUNCTION = re.compile(r"\A(\w+: )+(error: )?")
_unused_tokens = itertools.count(-2, -1)
"""Placeholders for an image's vectors in a list of tokens. Each number is used once, so no two images look alike."""


@dataclass(frozen=True)
class ImagePlace:
    """An image, or one of the tiles it is cut into, in a prompt."""

    start: int
    """Tokens of the prompt before it."""
    tokens: int
    """Cells of the context that it takes."""
    positions: int
    projector: Projector
    chunk: Any

    def decode(self, context: Any, position: int, slot: int) -> None:
        """Encode the image, and decode it at `position` of the sequence `slot`. Raises Failure."""
        self.projector.decode(self.chunk, context, position, slot)


@dataclass(frozen=True)
class PromptImages:
    """The images of one prompt. `owner` holds their native memory."""

    places: list[ImagePlace]
    owner: _Chunks


class _Chunks:
    """libmtmd's list of a prompt's texts and images."""

    def __init__(self) -> None:
        self.handle = mtmd.mtmd_input_chunks_init()
        weakref.finalize(self, mtmd.mtmd_input_chunks_free, self.handle)

    def __iter__(self) -> Iterator[Any]:
        count = mtmd.mtmd_input_chunks_size(self.handle)
        return (mtmd.mtmd_input_chunks_get(self.handle, place) for place in range(count))


class Projector:
    """The projector at `path`, loaded for the loader's model."""

    def __init__(self, path: str, loader: Loader) -> None:
        """Raises Failure (WEIGHTS) if it cannot be loaded, belongs to another model, or does not read images."""
        self.path = path
        self._loader = loader
        parameters = mtmd.mtmd_context_params_default()
        parameters.use_gpu = loader.gpu.layers > 0
        parameters.print_timings = False
        parameters.warmup = False  # it would encode an image of the largest size
        parameters.n_threads = usable_cores()
        with loader.recording(mtmd.mtmd_helper_log_set) as errors:
            self._handle = mtmd.mtmd_init_from_file(os.fsencode(path), loader.handle, parameters)
        if not self._handle:
            raise Failure(
                ExitStatus.WEIGHTS, f"llama.cpp cannot use the projector {path}: {_first_line(errors)}"
            )
        weakref.finalize(self, mtmd.mtmd_free, self._handle)
        if not mtmd.mtmd_support_vision(self._handle):
            raise Failure(ExitStatus.WEIGHTS, f"the projector {path} does not read images")

    def read(
        self, texts: Sequence[str], images: Sequence[bytes], *, adds_bos: bool
    ) -> tuple[list[int], PromptImages]:
        """Return the tokens of a prompt with `images` between its `texts`.

        Raises Failure (DENIED) for an image that cannot be read.
        """
        chunks = _Chunks()
        with self._bitmaps(images) as bitmaps:
            parts = []
            for number, text in enumerate(texts):
                data = text.encode()
                if data:
                    part = mtmd.mtmd_input_text(data, len(data), False, True)  # add_special, parse_special
                    parts.append(mtmd.mtmd_input_part(ctypes.pointer(part), None))
                parts += [mtmd.mtmd_input_part(None, bitmap) for bitmap in bitmaps[number : number + 1]]
            pointers = (ctypes.POINTER(mtmd.mtmd_input_part) * len(parts))(*map(ctypes.pointer, parts))
            with self._loader.recording(mtmd.mtmd_helper_log_set) as errors:
                status = mtmd.mtmd_tokenize_from_parts(
                    self._handle, chunks.handle, pointers, len(parts), adds_bos
                )
        if status != 0:
            raise _unreadable(_first_line(errors))
        tokens: list[int] = []
        places: list[ImagePlace] = []
        for chunk in chunks:
            size = mtmd.mtmd_input_chunk_get_n_tokens(chunk)
            if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
                found = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(ctypes.c_size_t()))
                tokens += found[:size]
            else:
                positions = mtmd.mtmd_input_chunk_get_n_pos(chunk)
                places.append(ImagePlace(len(tokens), size, positions, self, chunk))
                tokens += itertools.islice(_unused_tokens, size)
        return tokens, PromptImages(places, chunks)

    @contextmanager
    def _bitmaps(self, images: Sequence[bytes]) -> Iterator[list[Any]]:
        """Yield the pixels of `images`."""
        options = mtmd.mtmd_helper_init_opt_default()
        options.video_params.ffmpeg_bin_dir = _NO_FOLDER
        bitmaps: list[Any] = []
        try:
            for image in images:
                if not image.startswith(_READABLE):
                    raise _unreadable("it reads PNG, JPEG and GIF")
                refusal = too_large(image)
                if refusal is not None:
                    raise _unreadable(refusal)
                data = (ctypes.c_uint8 * len(image)).from_buffer_copy(image)
                bitmap = mtmd.mtmd_helper_bitmap_init_from_buf(self._handle, data, len(image), False, options)
                if not bitmap:
                    raise _unreadable("its pixels are damaged, or of a rare kind")
                bitmaps.append(bitmap)
            yield bitmaps
        finally:
            for bitmap in bitmaps:
                mtmd.mtmd_bitmap_free(bitmap)

    def decode(self, chunk: Any, context: Any, position: int, slot: int) -> None:
        """Encode `chunk`, and decode it at `position` of the sequence `slot`. Raises Failure."""
        size = llama_cpp.llama_n_ubatch(context)
        after = ctypes.byref(llama_cpp.llama_pos())
        status = mtmd.mtmd_helper_eval_chunk_single(
            self._handle, context, chunk, position, slot, size, False, after
        )
        if status != 0:
            raise Failure(ExitStatus.FAILURE, f"llama.cpp cannot decode an image: status {status}")


def _first_line(errors: list[str]) -> str:
    """llama.cpp's first error, without the names of its functions."""
    return _FUNCTION.sub("", errors[0]).partition("\n")[0] if errors else "no reason given"


def _unreadable(why: str) -> Failure:
    """The failure for an image; its status says that another model may be able to read it."""
    return Failure(ExitStatus.DENIED, f"the local model cannot read this image: {why}")
