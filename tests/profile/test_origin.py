"""Origins of URLs."""

from __future__ import annotations

import pytest

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.origin import origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com"),
        ("HTTPS://API.OpenAI.com:443", "https://api.openai.com"),
        ("https://example.com:8443/v1/", "https://example.com:8443"),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://localhost", "http://localhost"),
        ("http://example.com", None),
        ("http://127.0.0.1.example.com", None),
        ("http://localhost@example.com", None),
        ("https://user:password@example.com", None),
        ("ftp://example.com", None),
        ("https://", None),
        ("https://example.com:port", None),
        ("example.com", None),
        ("", None),
    ],
)
def test_origins_are_normalised(url: str, origin: str | None) -> None:
    if origin is None:
        with pytest.raises(Failure) as raised:
            origin_of(url)
        assert raised.value.status is ExitStatus.USAGE
    else:
        assert origin_of(url) == origin
