"""One sequence of the decode loop, and the listener that receives its tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hybrid_cli.local.choice_paths import Choices
from hybrid_cli.local.forced_text import ForcedText
from hybrid_cli.local.lookup import Drafter
from hybrid_cli.local.protocol import TokenLogprobs, TokenSignal
from hybrid_cli.local.sampler import Sampler
from hybrid_cli.local.stream import AnswerStream
from hybrid_cli.local.thinking import Split
from hybrid_cli.local.thinking_control import ThinkingBudget

if TYPE_CHECKING:  # late, as few prompts have images
    from hybrid_cli.local.projector import PromptImages


@dataclass
class SequenceJob:
    """One sequence: its prompt, its sampler and stream, and how far it is decoded."""

    number: int
    prompt: list[int]
    max_tokens: int
    sampler: Sampler
    stream: AnswerStream
    budget: ThinkingBudget
    produced: list[int] = field(default_factory=list)
    position: int = 0
    """Number of its tokens in the context."""
    slot: int = -1
    choices: Choices | None = None
    drafter: Drafter | None = None
    """None if nothing is drafted."""
    forced: ForcedText | None = None
    """None without a grammar."""
    draft: list[int] = field(default_factory=list)
    """Tokens that probably follow, to be verified in the next step."""
    is_close: bool = False
    """Whether the last pass left the next token to a pass of its own."""
    top_logprobs: int | None = None
    """See `Task`."""
    images: PromptImages | None = None
    """The images of the prompt that are still to be decoded."""
    saved: int = 0
    """How many positions fewer than tokens the images took: with M-RoPE, many tokens share one."""

    def pending(self, room: int) -> list[int]:
        """The next tokens to decode, at most `room` of them."""
        if self.left > 0:
            return self.prompt[self.position : self.position + room]
        return [*self.produced[-1:], *self.draft]

    @property
    def left(self) -> int:
        """Tokens of the prompt that are still to be decoded; negative once it is complete."""
        return len(self.prompt) - self.position

    @property
    def cells(self) -> int:
        """Cells of the context that it needs at most."""
        return len(self.prompt) + self.max_tokens


class Listener:
    """Callbacks of the decode loop. The methods here do nothing."""

    def prefilled(self, job: SequenceJob) -> None:
        """The prompt of `job` is decoded, and no token of the answer yet."""

    def token(
        self, job: SequenceJob, split: Split, signal: TokenSignal, logprobs: TokenLogprobs | None
    ) -> None:
        """A token was generated. `logprobs` is None if the task does not ask, or for a hidden token."""

    def finished(self, job: SequenceJob, reason: str, rest: Split) -> None:
        """The sequence ended; `reason` is stop, length or loop, and `rest` the remaining text."""
