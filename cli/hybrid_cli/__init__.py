"""Run prompts on a local GGUF model; hand off to a cloud model only when the profile allows it."""

__version__ = "0.1.0"
