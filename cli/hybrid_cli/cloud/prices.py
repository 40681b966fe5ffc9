"""The cost of a request: by the profile's prices, or else by the offline table of `genai-prices`.

A server on this machine costs nothing unless the profile sets prices.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from hybrid_cli.cloud.payload import MAX_TOOL_CALLS
from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.profile.modes import Tool
from hybrid_cli.profile.origin import is_loopback

_MILLION = 1_000_000
_MIN_BYTES_PER_TOKEN = 2
"""For reservations. Text with more than one token for two bytes is very rare."""
_BYTES_PER_TOKEN = 4
"""For estimates. Typical of English text."""
_DEFAULT_TOOL_USD: dict[Tool, float] = {"web_search": 0.01, "image_generation": 0.25}
"""The price of one call of a hosted tool, if the profile sets none."""
_USUAL_TIERS = ("auto", "default")
_TOOL_TOKENS = 16_000
"""For reservations. A tool's result may add this many tokens to the input, which costs money, too."""


_IMAGE_TOKENS = ((re.compile("gpt-4o-mini|gemini"), 50_000), (re.compile(""), 16_000))
"""The most tokens of one image by the model's name, above what OpenAI, Anthropic and Google document.

gpt-4o-mini counts 2,833 and 5,667 for each of up to 8 tiles; Gemini 258 for each tile of 768 x 768 pixels. The
others count at most 10,000: patches of 32 x 32 pixels (OpenAI), or of 28 x 28 (Claude).
"""


def image_tokens(model: str, images: int) -> int:
    """The most tokens that `images` images may count as."""
    return images * next(tokens for pattern, tokens in _IMAGE_TOKENS if pattern.search(model.lower()))


@dataclass(frozen=True)
class Used:
    """The tokens and tools that one request used. `cached` is part of `tokens_in`, `reasoning` of `tokens_out`."""

    tokens_in: int
    tokens_out: int
    cached: int = 0
    reasoning: int = 0
    tools: tuple[Tool, ...] = ()
    """One entry for each call."""
    estimated: bool = False
    tier: str | None = None
    """The service tier, as the server names it, or None for the default."""


def worst_case(payload_bytes: int, max_tokens: int, tools: tuple[Tool, ...], tier: str | None = None) -> Used:
    """The most that a request can use."""
    calls = tools * MAX_TOOL_CALLS
    tokens_in = payload_bytes // _MIN_BYTES_PER_TOKEN + 1 + len(calls) * _TOOL_TOKENS
    return Used(tokens_in, max_tokens, tools=calls, tier=tier)


def estimate(payload_bytes: int, answer: str, tools: tuple[Tool, ...]) -> Used:
    """The likely use of a request whose server reports none."""
    out = -(-len(answer.encode()) // _BYTES_PER_TOKEN)
    return Used(payload_bytes // _BYTES_PER_TOKEN + 1, out, tools=tools, estimated=True)


def cost(server: Server, used: Used) -> float | None:
    """The cost of `used` at `server` in USD, or None if no price is known."""
    if server.prices is None and is_loopback(server.base_url):
        return 0.0
    tokens = _by_profile(server, used) if server.prices is not None else _by_table(server, used)
    if tokens is None:
        return None
    named = server.prices.tools if server.prices is not None else {}
    return tokens + sum(named.get(tool, _DEFAULT_TOOL_USD[tool]) for tool in used.tools)


def _by_profile(server: Server, used: Used) -> float | None:
    prices = server.prices
    if prices is None:
        return None
    cached_price = prices.input if prices.cached_input is None else prices.cached_input
    full = used.tokens_in - used.cached
    return (full * prices.input + used.cached * cached_price + used.tokens_out * prices.output) / _MILLION


def is_guess(server: Server, used: Used) -> bool:
    """Whether the price for the tier of `used` is unknown, so that `cost` uses that of another tier.

    The profile's prices apply to the tier that the profile asks for.
    """
    asked = server.extra.service_tier
    if server.prices is not None:
        return used.tier is not None and asked is not None and used.tier != asked
    if used.tier in (None, *_USUAL_TIERS):
        return False
    return cost(server, used) == cost(server, replace(used, tier=None))


def _by_table(server: Server, used: Used) -> float | None:
    """The cost by the table in the `genai-prices` package. Nothing is downloaded."""
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
