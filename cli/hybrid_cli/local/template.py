"""Rendering a GGUF's chat template. The template is untrusted: it runs in Jinja's sandbox only."""

from __future__ import annotations

import jinja2
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

Message = dict[str, str]


class TemplateError(Exception):
    """The template cannot be rendered with these messages."""


def render(template: str, messages: list[Message], *, bos: str, eos: str) -> str:
    """The prompt for `messages`, ending where the assistant's turn begins.

    A template that refuses a system message gets it as the start of the first user turn.
    """
    try:
        formatter = Jinja2ChatFormatter(template, eos_token=eos, bos_token=bos)
    except jinja2.TemplateError as error:
        raise TemplateError(str(error)) from error
    if messages[0]["role"] == "system":
        try:
            return _format(formatter, messages)
        except TemplateError:
            messages = _fold_system(messages)
    return _format(formatter, messages)


def _format(formatter: Jinja2ChatFormatter, messages: list[Message]) -> str:
    try:
        prompt: str = formatter(messages=messages).prompt
    except (jinja2.TemplateError, ValueError, TypeError) as error:
        raise TemplateError(str(error)) from error
    return prompt


def _fold_system(messages: list[Message]) -> list[Message]:
    system, first, *rest = messages
    return [{"role": first["role"], "content": f"{system['content']}\n\n{first['content']}"}, *rest]
