"""What a request costs: by the profile's prices, or else by the table of `genai-prices`, offline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hybrid_cli.cloud.payload import MAX_TOOL_CALLS
from hybrid_cli.profile.modes import Tool
from hybrid_cli.profile.schema import Server

_MILLION = 1_000_000
_WORST_BYTES_A_TOKEN = 2
"""For reservations: text that takes more than one token for two bytes is hardly met."""
_BYTES_A_TOKEN = 4
"""For estimates of what was used: English text."""
_UNNAMED_TOOL_USD: dict[Tool, float] = {"web_search": 0.01, "image_generation": 0.25}
"""What a call of a hosted tool is taken to cost where the profile's prices name none."""
_USUAL_TIERS = ("auto", "default")
_TOOL_TOKENS = 16_000
"""For reservations: what a tool's result may add to a request's input, as that is paid for, too."""


@dataclass(frozen=True)
class Used:
    """Tokens and tools of one request. `cached` is part of `tokens_in`, `reasoning` of `tokens_out`."""

    tokens_in: int
    tokens_out: int
    cached: int = 0
    reasoning: int = 0
    tools: tuple[Tool, ...] = ()
    """One a call."""
    estimated: bool = False
    tier: str | None = None
    """The service tier, as the server names it; None for the usual one."""


def worst_case(payload_bytes: int, max_tokens: int, tools: tuple[Tool, ...], tier: str | None = None) -> Used:
    """The most that a request may use."""
    calls = tools * MAX_TOOL_CALLS
    tokens_in = payload_bytes // _WORST_BYTES_A_TOKEN + 1 + len(calls) * _TOOL_TOKENS
    return Used(tokens_in, max_tokens, tools=calls, tier=tier)


def estimate(payload_bytes: int, answer: str, tools: tuple[Tool, ...]) -> Used:
    """What a request has likely used, of a server that does not say."""
    out = -(-len(answer.encode()) // _BYTES_A_TOKEN)
    return Used(payload_bytes // _BYTES_A_TOKEN + 1, out, tools=tools, estimated=True)


def cost(server: Server, used: Used) -> float | None:
    """USD for `used` at `server`; None where no price is known."""
    tokens = _by_profile(server, used) if server.prices is not None else _by_table(server, used)
    if tokens is None:
        return None
    named = server.prices.tools if server.prices is not None else {}
    return tokens + sum(named.get(tool, _UNNAMED_TOOL_USD[tool]) for tool in used.tools)


def _by_profile(server: Server, used: Used) -> float | None:
    prices = server.prices
    if prices is None:
        return None
    cached_price = prices.input if prices.cached_input is None else prices.cached_input
    full = used.tokens_in - used.cached
    return (full * prices.input + used.cached * cached_price + used.tokens_out * prices.output) / _MILLION


def is_guess(server: Server, used: Used) -> bool:
    """Whether `used` was of a tier whose price is not known: then `cost` is that of another tier.

    The profile's prices are those of the tier that the profile asks for.
    """
    asked = server.extra.service_tier
    if server.prices is not None:
        return used.tier is not None and asked is not None and used.tier != asked
    if used.tier in (None, *_USUAL_TIERS):
        return False
    return cost(server, used) == cost(server, replace(used, tier=None))


def _by_table(server: Server, used: Used) -> float | None:
    """By the table that comes with the package; nothing is fetched."""
    import genai_prices

    usage = genai_prices.Usage(
        input_tokens=used.tokens_in, cache_read_tokens=used.cached, output_tokens=used.tokens_out
    )
    context: dict[str, Any] | None = (
        None if used.tier in (None, *_USUAL_TIERS) else {"service_tier": used.tier}
    )
    try:
        found = genai_prices.calc_price(
            usage, server.model, provider_api_url=server.base_url, price_context=context
        )
    except LookupError:
        return None
    return float(found.total_price)
