"""One GGUF model in memory: its vocabulary, its chat template and its metadata."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.chat_template import FALLBACK, Message, TemplateError, Tool, render, with_tool_note
from hybrid_cli.local.grammar_filter import Vocabulary
from hybrid_cli.local.protocol import Task, TemplateState
from hybrid_cli.local.tag_pattern import tag_pattern
from hybrid_cli.local.thinking import STYLES, style_of
from hybrid_cli.local.thinking_control import switch_variables

_BREAK = "\u200b"  # a zero-width space, which turns a control tag into plain text that looks the same
_BLANKS = " \t\r\n\u2581"  # the last is SentencePiece's blank; tokens of blanks control nothing
_TRIED_LENGTH = 20_000  # characters


class Model:
    """A loaded model. `handle` is llama.cpp's pointer."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.vocab: Any = llama_cpp.llama_model_get_vocab(handle)
        self.trained_context: int = llama_cpp.llama_model_n_ctx_train(handle)
        if self.trained_context <= 0:
            raise Failure(ExitStatus.WEIGHTS, "the model's header is damaged: its context length is invalid")
        own = llama_cpp.llama_model_chat_template(handle, None)
        self._template = FALLBACK if own is None else own.decode("utf-8", "replace")
        self.template_state: TemplateState = "missing" if own is None else "used"
        self.style: str = style_of(self._template)
        self._bos = self._text(llama_cpp.llama_vocab_bos(self.vocab))
        self._eos = self._text(llama_cpp.llama_vocab_eos(self.vocab))
        self._pieces: dict[int, bytes] = {}
        self.vocabulary = Vocabulary(self.vocab)

    @property
    def can_go_back(self) -> bool:
        """Whether the last tokens of a sequence can be forgotten; a recurrent state cannot be cut."""
        return not (
            llama_cpp.llama_model_is_recurrent(self.handle) or llama_cpp.llama_model_is_hybrid(self.handle)
        )

    @property
    def template(self) -> str:
        return self._template

    def prompt(self, task: Task, before_last: str = "") -> str:
        """The rendered chat; control tags inside messages become plain text, except in `before_last`.

        That text begins the last message. If the template ignores the tools, the system message gets a note on them.
        """
        plain = [{**message, "content": self._without_tags(message["content"])} for message in task.messages]
        plain[-1]["content"] = f"{before_last}{plain[-1]['content']}"
        if not task.tools:
            return self._rendered(plain, task)
        rendered = self._rendered(plain, task, task.tools)
        if all(tool["function"]["description"] in rendered for tool in task.tools):
            return rendered
        return self._rendered(with_tool_note(plain, task.tools), task)

    def _rendered(self, messages: list[Message], task: Task, tools: Sequence[Tool] = ()) -> str:
        own = task.template_variables
        switches = switch_variables(self._template, task.thinking)
        for variables in ({**switches, **own}, own) if switches else (own,):  # a switch may be refused
            try:
                prompt = render(
                    self._template, messages, bos=self._bos, eos=self._eos, tools=tools, variables=variables
                )
            except TemplateError:
                continue
            if prompt.strip():
                return prompt
        self.template_state = "broken"
        return render(FALLBACK, messages, bos=self._bos, eos=self._eos)

    def _without_tags(self, text: str) -> str:
        """`text` with every control tag broken, so that the tokenizer finds no control token in it.

        llama.cpp finds some tags (the user-defined ones) whatever it is asked to parse, so the text decides, not
        a comparison of tokens. Whether a short text has any is tried first, as the table of tags takes time.
        """
        if len(text) <= _TRIED_LENGTH:
            tokens = set(self._encode(text, add_special=False, parse_special=True))
            if not any(self.is_special(token) for token in tokens):
                return text
        return self._tags.sub(lambda found: f"{found[0]}{_BREAK}", text)

    @cached_property
    def _tags(self) -> re.Pattern[str]:
        """Matches the first character of each control tag."""
        texts = (self._text(token) for token in range(self.vocabulary.size) if self.is_special(token))
        return tag_pattern(text for text in texts if len(text) > 1 and text.strip(_BLANKS))

    def is_special(self, token: int) -> bool:
        normal, byte = 1 << 2, 1 << 5  # LLAMA_TOKEN_ATTR_NORMAL and _BYTE
        attributes: int = llama_cpp.llama_vocab_get_attr(self.vocab, token)
        return not attributes & (normal | byte)

    def tokens(self, prompt: str) -> list[int]:
        """The tokens of a rendered prompt, with BOS once: many templates write it themselves."""
        return self._encode(prompt, add_special=self.lacks_bos(prompt), parse_special=True)

    def lacks_bos(self, prompt: str) -> bool:
        """Whether the tokenizer has to add BOS to a rendered prompt, if the model wants it."""
        return not (self._bos and prompt.startswith(self._bos))

    def tokens_within(self, text: str) -> list[int]:
        """The tokens of a text that continues a prompt; tags in it become control tokens."""
        return self._encode(text, add_special=False, parse_special=True)

    def _encode(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        data = text.encode()
        size = len(data) + 8
        buffer = (llama_cpp.llama_token * size)()
        count = llama_cpp.llama_tokenize(
            self.vocab, data, len(data), buffer, size, add_special, parse_special
        )
        if count < 0:
            raise Failure(ExitStatus.FAILURE, "the prompt cannot be tokenized")
        return list(buffer[:count])

    def _text(self, token: int) -> str:
        if token < 0:
            return ""
        text: bytes = llama_cpp.llama_vocab_get_text(self.vocab, token)
        return text.decode("utf-8", "replace")

    def ends(self, token: int) -> bool:
        """Whether `token` ends the answer."""
        return bool(llama_cpp.llama_vocab_is_eog(self.vocab, token))

    def piece(self, token: int) -> bytes:
        """The bytes of `token`; empty for a control token, unless the thinking style needs its text."""
        found = self._pieces.get(token)
        if found is None:
            found = self._pieces[token] = self._read_piece(token)
        return found

    def by_piece(self, piece: bytes) -> list[int]:
        """The tokens whose bytes are exactly `piece`."""
        return self._index.get(piece, [])

    @cached_property
    def _index(self) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = {}
        longest = 64  # bytes; longer tokens do not matter for choices
        buffer = ctypes.create_string_buffer(longest)
        for token in range(self.vocabulary.size):
            length = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, longest, 0, False)
            if length > 0:  # a control token has no text
                found.setdefault(buffer.raw[:length], []).append(token)
        return found

    @cached_property
    def ends_of_answer(self) -> list[int]:
        """The tokens that end the answer."""
        return [token for token in range(self.vocabulary.size) if self.ends(token)]

    def _read_piece(self, token: int) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_token_to_piece(
                self.vocab, token, buffer, size, 0, STYLES[self.style].marks_are_tokens
            )
            if length >= 0:
                return buffer.raw[:length]
            size = -length
