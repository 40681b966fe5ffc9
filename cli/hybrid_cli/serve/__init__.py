"""The cascade for other programs: OpenAI's endpoints over HTTP, and tools for agents over stdio."""
