"""Two layouts of a model's weights in memory: as in the file, or rearranged by llama.cpp.

Rearranged weights are a copy that its kernels decode with faster on some processors. It takes time to make, and with some
formats prompts are then read more slowly. So both are measured once on each machine (`layout_speeds`), and each request
loads the faster one.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Layout = Literal["in file", "rearranged"]

USUAL_PROMPT = USUAL_ANSWER = 100
"""Tokens. The 1,716 answers behind the gate's measurements have 56 on average, and people also ask for texts."""
_MARGIN = 1.03
"""Where both are about as fast, the error of the measurement must not decide: answers can differ between them."""
_CHOICE = 4
"""Tokens of an answer that is one of some choices."""
_CHARACTERS = 4
"""Of a prompt, for each token."""
_IMAGE = 500
"""Tokens."""


_Seconds = Annotated[float, Meta(gt=0)]


class Speed(msgspec.Struct, frozen=True):
    """What one layout takes, in seconds."""

    load: Annotated[float, Meta(ge=0)]
    prompt_token: _Seconds
    """For each token of a prompt, many at a time."""
    answer_token: _Seconds
    """For each token of one answer."""
    batched_token: _Seconds
    """For each token of an answer among 16 that are decoded together."""


class Layouts(msgspec.Struct, frozen=True):
    """The speeds of both layouts of a model."""

    in_file: Speed
    rearranged: Speed
    kernels: str = ""
    """llama.cpp's version and the processor that were measured."""

    def rearranging_pays_once(self, prompt: int, answer: int) -> bool:
        """Whether a load, a prompt and an answer of so many tokens are faster with rearranged weights."""
        return _seconds(self.rearranged, prompt, answer) < _MARGIN * _seconds(self.in_file, prompt, answer)

    def rearranging_pays(self, answer: int, *, batched: bool) -> bool:
        """Whether usual prompts, and answers of so many tokens, are faster; the load does not count among many."""
        in_file = _seconds_of_many(self.in_file, answer, batched)
        return _seconds_of_many(self.rearranged, answer, batched) < _MARGIN * in_file


UNMEASURED = Layouts(
    in_file=Speed(0.28, 0.0100, 0.046, 0.0167), rearranged=Speed(0.93, 0.0095, 0.038, 0.0148)
)
"""For weights that were not measured. The ratios are those of a Q4_K_M model of 1.1 GB on an x86 processor with AVX-512,
except that prompts are taken to be read a little faster with rearranged weights: on some processors they are."""


def tokens_of_prompt(characters: int, images: int) -> int:
    """Return an estimate; loading cannot wait until the prompt is tokenised, which needs the model."""
    return characters // _CHARACTERS + images * _IMAGE


def tokens_of_answer(max_tokens: int, *, is_choice: bool) -> int:
    """Return how long an answer is taken to be."""
    return _CHOICE if is_choice else min(max_tokens, USUAL_ANSWER)


def _seconds(speed: Speed, prompt: int, answer: int) -> float:
    return speed.load + prompt * speed.prompt_token + answer * speed.answer_token


def _seconds_of_many(speed: Speed, answer: int, batched: bool) -> float:
    token = speed.batched_token if batched else speed.answer_token
    return USUAL_PROMPT * speed.prompt_token + answer * token
