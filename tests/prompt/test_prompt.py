"""The messages that a prompt becomes."""

from __future__ import annotations

from hybrid_cli.prompt import Question, Request


def test_messages_put_context_before_the_prompt() -> None:
    request = Request(Question("Which city?", "In Paris.\n"), "Be brief.")
    assert request.messages() == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "In Paris.\n\nWhich city?"},
    ]
    assert Request(Question("Hi", " \n"), None).messages() == [{"role": "user", "content": "Hi"}]
