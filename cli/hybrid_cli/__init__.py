"""Run prompts on a local GGUF model; hand off to a cloud model only if the profile allows it."""

__version__ = "0.1.0"
