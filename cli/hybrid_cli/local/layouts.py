"""Two layouts of a model's weights in memory: as in the file, or rearranged by llama.cpp.

Rearranged weights are a copy that its kernels decode with faster on some processors. It takes time to make, and with some
formats prompts are then read more slowly. So both are measured once on each machine (`layout_speeds`), and each request
loads the faster one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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


USUAL_SLOTS = 16
MOST_SLOTS = 64
"""Kernels take rows by 16. More of them gain little, and each needs memory."""
_LEAST_GAIN = 0.75
"""Of the time for a token. More answers at once take more memory, and each of them is complete later; and the time for a
prompt's token leaves out reading logits, which is up to a quarter of it with a small model."""
_SHARE_OF_LIMIT = 0.5
"""How much of a time limit usual prompts and their answers may take: longer prompts, a slower machine and samples come on
top."""

_Seconds = Annotated[float, Meta(gt=0)]


class Speed(msgspec.Struct, frozen=True):
    """What one layout takes, in seconds."""

    load: Annotated[float, Meta(ge=0)]
    prompt_token: _Seconds
    """For each token of a prompt, 64 at a time. Each of 64 answers that are decoded together takes about as much."""
    answer_token: _Seconds
    """For each token of one answer."""
    batched_token: _Seconds
    """For each token of an answer among 16 that are decoded together."""

    def answer_token_among(self, count: int) -> float:
        """Seconds for each token of one of `count` answers, 1 to 64, that are decoded together.

        Between two measured passes, the time of a pass is taken to grow evenly.
        """
        one, usual, most = self.answer_token, 16 * self.batched_token, 64 * self.prompt_token
        if count <= USUAL_SLOTS:
            return (one + (usual - one) * (count - 1) / 15) / count
        return (usual + (most - usual) * (count - 16) / 48) / count


class Layouts(msgspec.Struct, frozen=True):
    """The speeds of both layouts of a model."""

    in_file: Speed
    rearranged: Speed
    kernels: str = ""
    """llama.cpp's version and the processor that were measured."""

    def of(self, layout: Layout) -> Speed:
        """Return the speed of `layout`."""
        return self.in_file if layout == "in file" else self.rearranged

    def rearranging_pays_once(self, prompt: int, answer: int) -> bool:
        """Whether a load, a prompt and an answer of so many tokens are faster with rearranged weights."""
        return _seconds(self.rearranged, prompt, answer) < _MARGIN * _seconds(self.in_file, prompt, answer)

    def rearranging_pays(self, answer: int, slots: Callable[[Speed], int]) -> bool:
        """Whether usual prompts, and answers of so many tokens, are faster; the load does not count among many.

        `slots` says how many answers are decoded together at a speed.
        """
        in_file, rearranged = (
            USUAL_PROMPT * speed.prompt_token + answer * speed.answer_token_among(slots(speed))
            for speed in (self.in_file, self.rearranged)
        )
        return rearranged < _MARGIN * in_file

    def slots(self, speed: Speed, answer: int, seconds: float | None) -> int:
        """How many answers of at most so many tokens to decode together.

        More than the usual number only if they are faster, and still complete within the time limit of `seconds`. Their
        prompts are read within that time, too.
        """
        usual = speed.answer_token_among(USUAL_SLOTS)
        if not self.kernels or speed.answer_token_among(MOST_SLOTS) > _LEAST_GAIN * usual:
            return USUAL_SLOTS
        most = math.inf if seconds is None else _SHARE_OF_LIMIT * seconds
        counts = range(MOST_SLOTS, USUAL_SLOTS, -16)
        prompt = USUAL_PROMPT * speed.prompt_token
        fitting = (
            count for count in counts if count * (prompt + answer * speed.answer_token_among(count)) <= most
        )
        return next(fitting, USUAL_SLOTS)


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
