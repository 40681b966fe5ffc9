"""llama-cpp-python's own server, with the engine's choice of buffers, for which the server has no option."""

from __future__ import annotations

import llama_cpp.llama_cpp as low_level
from llama_cpp.server.__main__ import main

from hybrid_cli.local.loading import has_sound_kernels

if __name__ == "__main__":
    parameters = low_level.llama_model_default_params()
    parameters.use_extra_bufts = has_sound_kernels()
    low_level.llama_model_default_params = lambda: parameters
    main()
