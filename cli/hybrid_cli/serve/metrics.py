"""Counters of the server in Prometheus' text format (exposition format 0.0.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hybrid_cli.cascade.answer import Answer

_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds."""


class Metrics:
    """Counts outcomes. Only the event loop uses it. Texts, and what a client may choose freely, are no labels."""

    def __init__(
        self, *, in_flight: Callable[[], int], queued: Callable[[], int], cost: Callable[[], float]
    ) -> None:
        self._in_flight, self._queued, self._cost = in_flight, queued, cost
        self._requests: Counter[tuple[str, str]] = Counter()
        self._failures: Counter[str] = Counter()
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._first: Counter[float] = Counter()
        self._first_sum, self._first_count = 0.0, 0

    def answered(self, answer: Answer) -> None:
        """Count one answer."""
        self._requests[answer.handoff.decision, answer.handoff.reason] += 1
        for side, counts in (("local", answer.usage.local), ("cloud", answer.usage.cloud)):
            self._tokens[side, "in"] += counts.in_ or 0
            self._tokens[side, "out"] += counts.out or 0
        self._tokens["local", "in"] += answer.samples.in_
        self._tokens["local", "out"] += answer.samples.out
        if answer.timings.first_token is not None:
            seconds = answer.timings.first_token
            self._first_sum += seconds
            self._first_count += 1
            for bound in _BUCKETS:
                self._first[bound] += seconds <= bound

    def failed(self, code: str) -> None:
        """Count one error, by its code."""
        self._failures[code] += 1

    def text(self) -> str:
        """Return the page for Prometheus."""
        first = "hybrid_first_token_seconds"
        lines = [
            *_head("hybrid_requests_total", "counter", "Answers by decision and reason."),
            *(
                f'hybrid_requests_total{{decision="{decision}",reason="{reason}"}} {count}'
                for (decision, reason), count in sorted(self._requests.items())
            ),
            *_head("hybrid_failures_total", "counter", "Requests without an answer, by the error's code."),
            *(
                f'hybrid_failures_total{{code="{code}"}} {count}'
                for code, count in sorted(self._failures.items())
            ),
            *_head("hybrid_tokens_total", "counter", "Tokens of the local and the cloud model."),
            *(
                f'hybrid_tokens_total{{side="{side}",direction="{direction}"}} {count}'
                for (side, direction), count in sorted(self._tokens.items())
            ),
            *_head(
                "hybrid_cost_usd_total", "counter", "Cost of the handoffs in USD, with or without an answer."
            ),
            f"hybrid_cost_usd_total {self._cost():.9f}",
            *_head("hybrid_requests_in_flight", "gauge", "Requests that are being answered."),
            f"hybrid_requests_in_flight {self._in_flight()}",
            *_head("hybrid_requests_queued", "gauge", "Requests that wait."),
            f"hybrid_requests_queued {self._queued()}",
            *_head(first, "histogram", "Seconds to the first token."),
            *(f'{first}_bucket{{le="{bound}"}} {self._first[bound]}' for bound in _BUCKETS),
            f'{first}_bucket{{le="+Inf"}} {self._first_count}',
            f"{first}_sum {self._first_sum:.4f}",
            f"{first}_count {self._first_count}",
        ]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
