"""The profile's section `cloud`: one model at one server, its key, prices and limits."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hybrid_cli.profile.clouds import CLOUDS, CloudName
from hybrid_cli.profile.modes import Tool
from hybrid_cli.profile.origin import OriginError, origin_of
from hybrid_cli.profile.section import PositiveInt, Section, Usd, Words, if_wrong, require_one_of, says

# A consent record joins models with line breaks, and `*` in it means all models: no name may hold either.
ModelName = Annotated[
    str,
    Meta(pattern=r"^(?!\*$)[^\x00-\x1f\x7f-\x9f]{1,200}$"),
    if_wrong("must be a model's name: 1 to 200 characters on one line, and not `*`"),
]


class Key(Section, frozen=True):
    """Where the API key is read from, never the key itself. Set exactly one."""

    env: Annotated[
        Annotated[
            str,
            Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$"),
            if_wrong("must be a variable's name, such as OPENAI_API_KEY; never the key itself"),
        ]
        | None,
        says("Name of an environment variable, such as OPENAI_API_KEY."),
    ] = None
    file: Annotated[str | None, says("File that only its owner can read (chmod 600).")] = None
    command: Annotated[Words | None, says("Command that prints the key.")] = None

    def __post_init__(self) -> None:
        require_one_of(self)


class Prices(Section, frozen=True):
    """Prices in USD. If not set, hybrid uses its price table."""

    input: Annotated[Usd, says("Per million tokens of the prompt.")]
    output: Annotated[Usd, says("Per million tokens of the answer, thinking included.")]
    cached_input: Annotated[
        Usd | None, says("Per million prompt tokens that the server had cached; if not set, as `input`.")
    ] = None
    tools: Annotated[dict[Tool, Usd], says("Per call of a hosted tool.")] = {}


DEFAULT_SILENCE = 60.0


class Timeouts(Section, frozen=True):
    """Longest waits for the cloud, in seconds."""

    connect: Annotated[float, Meta(gt=0, le=3600), says("To open a connection.")] = 10
    silent: Annotated[
        Annotated[float, Meta(gt=0, le=3600)] | None,
        says("For the first or the next token; if not set, 60, and 300 for reasoning models."),
    ] = None
    answer: Annotated[float, Meta(gt=0, le=86_400), says("For the whole answer.")] = 600


class Provider(Section, frozen=True):
    """How a router chooses among providers, in OpenRouter's terms."""

    data_collection: Annotated[Literal["allow", "deny"] | None, says("May providers keep prompts?")] = None
    zdr: Annotated[bool | None, says("Use only providers with zero data retention.")] = None
    allow_fallbacks: Annotated[bool | None, says("Try other providers if the first one fails.")] = None
    only: Annotated[Words | None, says("Use only these providers.")] = None
    ignore: Annotated[Words | None, says("Never use these providers.")] = None


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Extra(Section, frozen=True):
    """Request fields that are sent unchanged, for servers that know them."""

    reasoning_effort: Annotated[Effort | None, says("As `cloud.reasoning_effort`, which it overrides.")] = (
        None
    )
    service_tier: Annotated[
        Literal["auto", "default", "flex", "priority"] | None, says("Speed and price class.")
    ] = None
    verbosity: Annotated[Literal["low", "medium", "high"] | None, says("How long the answer is.")] = None
    provider: Provider | None = None


_ENDPOINTS = ("/chat/completions", "/completions", "/responses")
_MISSING = {
    "base_url": "needs `use`, such as openai, or `base_url`",
    "model": "needs `model`, the model's name at that server",
}


class Server(Section, frozen=True):
    """One model at one server."""

    base_url: Annotated[str, says("URL of an OpenAI-compatible API: https, or http on this machine.")] = ""
    model: Annotated[ModelName, says("The model's name at that server.")] = ""
    use: Annotated[CloudName | None, says("A cloud known by name, instead of `base_url` and `key`.")] = None
    api: Annotated[
        Literal["chat", "responses"],
        says("chat: Chat Completions; responses: the Responses API, which hosted tools need."),
    ] = "chat"
    key: Annotated[Key | None, if_wrong("never the key itself; write {env: OPENAI_API_KEY}")] = None
    max_tokens: Annotated[
        PositiveInt | None,
        says(
            "Most tokens in the cloud's answer, thinking included; if not set, 8192 for models that reason, else 2048."
        ),
    ] = None
    reasoning_effort: Annotated[
        Effort | None, says("How long a reasoning model thinks; if not set, the server decides.")
    ] = None
    tools: Annotated[
        list[Tool], says("Hosted tools that a prompt may be handed off for; none runs on this machine.")
    ] = []
    tool_context: Annotated[
        Literal["arguments", "full"],
        says(
            "What a handoff for a tool sends; arguments: what the tool is asked for;"
            " full: the piped text and the system message, too."
        ),
    ] = "arguments"
    prices: Prices | None = None
    timeouts: Timeouts = Timeouts()
    retries: Annotated[
        int,
        Meta(ge=0, le=10),
        says(
            "How many times hybrid repeats a request that failed for a passing reason, such as a rate limit."
        ),
    ] = 2
    extra: Extra = Extra()

    def __post_init__(self) -> None:
        if self.use is not None:
            if self.base_url:  # its key would go to another server
                raise ValueError("use: set `use` or `base_url`, not both")
            known = CLOUDS[self.use]
            msgspec.structs.force_setattr(self, "base_url", known.base_url)
            if self.key is None and known.key is not None:
                msgspec.structs.force_setattr(self, "key", Key(env=known.key))
        for name in ("base_url", "model"):
            if not getattr(self, name):
                raise ValueError(_MISSING[name])
        try:
            origin_of(self.base_url)
        except OriginError as error:
            raise ValueError(f"base_url: {error}") from None
        base, endpoint = _split_endpoint(self.base_url)
        if endpoint:
            raise ValueError(f"base_url: hybrid adds {endpoint} itself; write {base}")
        if self.tools and self.api != "responses":
            raise ValueError("tools: hosted tools need `api: responses`")


def _split_endpoint(url: str) -> tuple[str, str]:
    """The base of `url`, and the endpoint of the API at its end or ""."""
    url = url.strip().rstrip("/")
    endpoint = next((one for one in _ENDPOINTS if url.endswith(one)), "")
    return url.removesuffix(endpoint), endpoint


class Cloud(Server, frozen=True):
    """The cloud model. This section replaces an inherited one whole: a key is never sent to another server."""

    fallbacks: Annotated[
        list[Server], says("Tried in order if the server before is down; each needs its own consent.")
    ] = []
