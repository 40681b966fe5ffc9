"""A prompt's route, before anything is asked or sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hybrid_cli.cascade.local_answer import LocalAnswer
from hybrid_cli.egress.permission import Permission
from hybrid_cli.gate.verdict import Verdict
from hybrid_cli.ledger.database import Observation


class Route(Enum):
    """Where a prompt goes."""

    KEEP = "keep"
    """Deliver the local answer."""
    CLOUD = "cloud"
    """Hand off without a local answer: the mode, a rule or a hosted tool demands it."""
    CLOUD_IF_ALLOWED = "cloud if allowed"
    """Hand off; if that is denied, the local answer may still serve."""


@dataclass(frozen=True)
class Decision:
    """A prompt's route, and why. It can be pickled, so that another process may settle it."""

    route: Route
    verdict: Verdict
    permission: Permission
    local: LocalAnswer | None = None
    """None if the local model was not asked."""
    seconds: float = 0.0
    """Seconds until this decision."""

    @property
    def observation(self) -> Observation | None:
        """The local answer in numbers, if this prompt was sampled for shadow mode."""
        return None if self.local is None else self.local.observation

    @property
    def needs_cloud(self) -> bool:
        """Whether `settle` waits for the user or a cloud."""
        return self.route is not Route.KEEP and self.permission.denied is None
