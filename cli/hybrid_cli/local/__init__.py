"""The local model: a guarded worker process, and the engine inside it."""
