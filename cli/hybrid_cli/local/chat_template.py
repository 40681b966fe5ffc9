"""Rendering of a GGUF's chat template, which is untrusted: in Jinja's immutable sandbox, with limits."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

Message = dict[str, str]
Tool = dict[str, Any]
"""A function tool in OpenAI's format."""

FALLBACK = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}<|im_start|>assistant\n"
)
"""ChatML, the most common format, for a model whose own template is missing or broken."""

_MAX_SOURCE = 256_000  # characters of a template; the longest in use have about 20,000
_MAX_ADDED = 1_000_000  # characters that a template may add to the messages
_MAX_SECONDS = 2.0
_MAX_MEMORY = 512 << 20  # bytes that rendering may allocate


_TRAINING_TAG = re.compile(r"({%[-+]?\s*)(end)?generation(\s*[-+]?%})")
"""Marks the assistant's text in templates that are also used for training; Jinja does not know it."""


class TemplateError(Exception):
    """The template cannot render these messages."""


class _OverLimitError(TemplateError):
    """The template takes too long or too much: rendering other messages would, too."""


_NOTE = """You may use these tools:
{tools}
To use one, answer with this alone: <tool_call>{{"name": "...", "arguments": {{...}}}}</tool_call>
Where no tool is needed, just answer."""


def with_tool_note(messages: list[Message], tools: Sequence[Tool]) -> list[Message]:
    """`messages` with a note on `tools` in the system message, for a template without tools."""
    note = _NOTE.format(tools="\n".join(json.dumps(tool["function"]) for tool in tools))
    if messages[0]["role"] != "system":
        return [{"role": "system", "content": note}, *messages]
    return [{"role": "system", "content": f"{messages[0]['content']}\n\n{note}"}, *messages[1:]]


def render(
    template: str,
    messages: list[Message],
    *,
    bos: str,
    eos: str,
    tools: Sequence[Tool] = (),
    variables: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """The prompt for `messages`, up to the start of the assistant's turn.

    The prompt holds the text of every message. Some templates want a message's content as a list of parts, and
    some drop a system message, which then becomes the start of the first user message. Raises TemplateError if
    the text is dropped all the same, or if the template takes too long or produces too much.
    """
    if len(template) > _MAX_SOURCE:
        raise TemplateError(f"it is over {_MAX_SOURCE} characters long")
    with _limits():
        try:
            compiled = _compiled(template)
        except (jinja2.TemplateError, RecursionError, MemoryError) as error:
            raise TemplateError(_reason(error)) from error
        given: dict[str, Any] = {
            **variables,
            "bos_token": bos,
            "eos_token": eos,
            "add_generation_prompt": True,
            "tools": list(tools) or None,
        }
        problem = TemplateError("it drops the text of a message")
        for form in _forms(messages):
            try:
                prompt = _fill(compiled, form, given)
            except _OverLimitError:
                raise
            except TemplateError as failed:
                problem = failed
                continue
            prints_parts = any(
                str(one["content"]) in prompt for one in form if isinstance(one["content"], list)
            )
            if not prints_parts and all(_holds(prompt, message["content"]) for message in messages):
                return prompt
        raise problem


def _forms(messages: list[Message]) -> Iterator[list[dict[str, Any]]]:
    """The forms in which templates take messages, the usual one first."""
    folded = _fold_system(messages) if messages[0]["role"] == "system" and len(messages) > 1 else messages
    for form in (messages, folded) if folded is not messages else (messages,):
        yield [*form]
        yield [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in form]


def _holds(prompt: str, text: str) -> bool:
    """Whether `prompt` contains `text`, which a template may strip or write as JSON."""
    return text.strip() in prompt or json.dumps(text.strip(), ensure_ascii=False)[1:-1] in prompt


@cache
def _compiled(template: str) -> jinja2.Template:
    """The compiled template; compiling takes a hundred times as long as rendering."""
    plain = _TRAINING_TAG.sub(lambda tag: f"{tag[1]}{'endif' if tag[2] else 'if true'}{tag[3]}", template)
    return _environment().from_string(plain)


def _fill(compiled: jinja2.Template, messages: list[dict[str, Any]], variables: dict[str, Any]) -> str:
    limit = _MAX_ADDED + sum(len(str(message["content"])) for message in messages)
    pieces, length = [], 0
    try:
        for piece in compiled.generate(messages=messages, **variables):
            pieces.append(piece)
            length += len(piece)
            if length > limit:
                raise _OverLimitError("it produces too much text")
    except TemplateError:
        raise
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise TemplateError(_reason(error)) from error
    except (AttributeError, RecursionError) as error:
        raise TemplateError(_reason(error)) from error
    except MemoryError as error:
        raise _OverLimitError(_reason(error)) from error
    return "".join(pieces)


def _reason(error: BaseException) -> str:
    """The error's message without values, which may come from the prompt."""
    return str(error)[:200] if isinstance(error, jinja2.TemplateError) else type(error).__name__


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_settings: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _fold_system(messages: list[Message]) -> list[Message]:
    system, first, *rest = messages
    return [{"role": first["role"], "content": f"{system['content']}\n\n{first['content']}"}, *rest]


@contextmanager
def _limits() -> Iterator[None]:
    """Limit time and memory of the block, which raises beyond them. On Linux and in the main thread only."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    def ring(_number: int, _frame: object) -> NoReturn:
        raise _OverLimitError(f"it took over {_MAX_SECONDS:.0f} s")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    ceiling = _address_space() + _MAX_MEMORY
    if soft != resource.RLIM_INFINITY:
        ceiling = min(ceiling, soft)
    # Native code, as of a huge power, runs no handler: then this timer's default action ends the process.
    profiling = signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, 2 * _MAX_SECONDS)
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, _MAX_SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, profiling)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int:
    """The size of this process's address space in bytes."""
    import os

    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  pathlib is not imported here
        return int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
