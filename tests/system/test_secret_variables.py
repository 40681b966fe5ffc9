"""Names of environment variables that probably hold a secret."""

from __future__ import annotations

import pytest

from hybrid_cli.system.secret_variables import is_secret_name


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("OPENAI_API_KEY", True),
        ("openai_api_key", True),
        ("GITHUB_TOKEN", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("DB_PASSWORD", True),
        ("MYSQL_PASSWD", True),
        ("GOOGLE_APPLICATION_CREDENTIALS", True),
        ("MYSQL_PWD", True),
        ("SSHPASS", True),
        ("GH_PAT", True),
        ("DATABASE_URL", True),
        ("DB_PASS", True),
        ("JWT", True),
        ("COOKIE", True),
        ("SENTRY_DSN", True),
        ("SSH_AUTH_SOCK", True),
        ("PWD", False),
        ("OLDPWD", False),
        ("PATH", False),
        ("HOME", False),
        ("HYBRID_HOME", False),
    ],
)
def test_names_of_secrets_are_recognised(name: str, is_secret: bool) -> None:
    assert is_secret_name(name) is is_secret
