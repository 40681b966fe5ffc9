"""Hidden states of chosen layers at the end of a prompt, by llama.cpp's eval callback.

The callback is called for each node of each graph, about a thousand times a token. So only the prompt
runs under it, in a context of its own, whose state is then handed to the one that decodes.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.context import BATCH, Size, new_context
from hybrid_cli.local.loading import Loader
from hybrid_cli.local.model import Model


class _Reader:
    """Keeps the last row of each wanted tensor `l_out-LAYER`: that of the last token of the batch."""

    def __init__(self, layers: list[int], width: int) -> None:
        self._names = {f"l_out-{layer}".encode(): str(layer) for layer in layers}
        self._width = width
        self._library = _ggml()
        self.states: dict[str, list[float]] = {}
        self.callback = llama_cpp.ggml_backend_sched_eval_callback(self._look)

    def _look(self, tensor: int, asking: bool, _data: object) -> bool:
        name = self._library.ggml_get_name(tensor)
        if asking or name not in self._names:
            return name in self._names
        row = self._width * ctypes.sizeof(ctypes.c_float)
        size = self._library.ggml_nbytes(tensor)
        if size % row == 0:  # else it is no f32 tensor of this width
            buffer = (ctypes.c_float * self._width)()
            self._library.ggml_backend_tensor_get(tensor, buffer, size - row, row)
            self.states[self._names[name]] = list(buffer)
        return True


def _ggml() -> Any:
    """The part of ggml that llama.cpp is linked to, with the types of the calls used here."""
    library = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
    library.ggml_get_name.restype = ctypes.c_char_p
    library.ggml_get_name.argtypes = [ctypes.c_void_p]
    library.ggml_nbytes.restype = ctypes.c_size_t
    library.ggml_nbytes.argtypes = [ctypes.c_void_p]
    library.ggml_backend_tensor_get.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_size_t,
    ]
    return library


def prefill_and_read(
    model: Model, context: Any, prompt: list[int], slot: int, layers: list[int], loader: Loader
) -> tuple[int, dict[str, list[float]]]:
    """Decode `prompt`, put all but its last token into `slot` of `context`, and return how many these are.

    Also returns, by layer, the hidden state at the last token. Raises Failure (USAGE) for a layer that
    the model does not have.
    """
    count = llama_cpp.llama_model_n_layer(model.handle)
    if any(not 0 <= layer < count for layer in layers):
        raise Failure(ExitStatus.USAGE, f"the model has the layers 0 to {count - 1}")
    reader = _Reader(layers, llama_cpp.llama_model_n_embd(model.handle))
    size = Size.for_tasks([prompt], [0], len(prompt), None)
    threads = llama_cpp.llama_n_threads(context)
    probe = new_context(model, size, threads, loader, reader.callback)
    try:
        for start in range(0, len(prompt), BATCH):
            part = prompt[start : start + BATCH]
            array = (llama_cpp.llama_token * len(part))(*part)
            if llama_cpp.llama_decode(probe, llama_cpp.llama_batch_get_one(array, len(part))) != 0:
                raise Failure(ExitStatus.FAILURE, "llama.cpp cannot decode the prompt")
        llama_cpp.llama_memory_seq_rm(llama_cpp.llama_get_memory(probe), 0, len(prompt) - 1, -1)
        state = (ctypes.c_uint8 * llama_cpp.llama_state_seq_get_size(probe, 0))()
        llama_cpp.llama_state_seq_get_data(probe, state, len(state), 0)
        if not llama_cpp.llama_state_seq_set_data(context, state, len(state), slot):
            raise Failure(ExitStatus.FAILURE, "the prompt's state could not be handed over")
    finally:
        llama_cpp.llama_free(probe)
    return len(prompt) - 1, reader.states
