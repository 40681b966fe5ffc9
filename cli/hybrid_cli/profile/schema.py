"""The profile's schema: type, bounds, default and meaning of each key. The loader checks profiles against it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hybrid_cli.profile.conditions import check_conditions, check_country
from hybrid_cli.profile.default_model import DEFAULT
from hybrid_cli.profile.modes import Mode, Tool
from hybrid_cli.profile.origin import OriginError, origin_of

Kind = Literal["secret", "email", "phone", "card", "iban", "ip"]


def _says(description: str) -> Meta:
    """The meaning of a key, for editors and docs/profiles.md."""
    return Meta(description=description)


def _if_wrong(message: str) -> Meta:
    """What `hybrid profile check` says of a wrong value; without it, the message is made from the type."""
    return Meta(extra={"mistake": message})


PositiveInt = Annotated[int, Meta(ge=1, le=10_000_000)]
Usd = Annotated[float, Meta(ge=0, le=1_000_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
# A consent record joins models with line breaks, and `*` in it means all models: no name may hold either.
ModelName = Annotated[
    str,
    Meta(pattern=r"^(?!\*$)[^\x00-\x1f\x7f-\x9f]{1,200}$"),
    _if_wrong("must be a model's name: 1 to 200 characters on one line, and not `*`"),
]
_MAX_PROMPT_TOKENS = 4_000_000
"""No prompt has more: stdin is limited to 16 MB, which are 4 million tokens by hybrid's estimate."""
Words = Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping in the profile; unknown keys in it are errors."""


def _given(section: msgspec.Struct) -> list[str]:
    return [name for name in section.__struct_fields__ if getattr(section, name) is not None]


def _require_one_of(section: msgspec.Struct) -> None:
    if len(_given(section)) != 1:
        raise ValueError(f"set exactly one of {', '.join(section.__struct_fields__)}")


class Sampling(_Section, frozen=True):
    """How the local model picks each token."""

    temperature: Annotated[float, Meta(ge=0, le=5), _says("0 always picks the likeliest token.")] = 0.0
    max_tokens: Annotated[PositiveInt, _says("Most tokens in an answer, thinking included.")] = 512
    seed: Annotated[int, Meta(ge=0, le=0xFFFFFFFF), _says("Seed of random sampling.")] = 0
    repeat_penalty: Annotated[
        float,
        Meta(ge=1, le=2),
        _says(
            "Above 1, tokens that were used become less likely; this keeps very small models out of loops."
        ),
    ] = 1.0


class Local(_Section, frozen=True):
    """The model on this machine."""

    model: Annotated[
        str,
        Meta(min_length=1),
        _says(
            "default (see: hybrid models default), a name (hybrid models ls --all), or a GGUF file's path."
        ),
    ] = DEFAULT
    context: Annotated[
        PositiveInt | Literal["auto"],
        _says("Context window in tokens; auto: what the prompt needs, up to what the model was trained for."),
    ] = "auto"
    threads: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | Literal["auto"],
        _says("CPU threads; auto: by CPU affinity, container quota and the load of other programs."),
    ] = "auto"
    prefix_cache: Annotated[
        bool,
        _says(
            "Store the state after a long prompt on disk, unencrypted; the same prompt then starts at once."
        ),
    ] = False
    sampling: Sampling = Sampling()


class Key(_Section, frozen=True):
    """Where the API key is read from, never the key itself. Set exactly one."""

    env: Annotated[
        Annotated[
            str,
            Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$"),
            _if_wrong("must be a variable's name, such as OPENAI_API_KEY; never the key itself"),
        ]
        | None,
        _says("Name of an environment variable, such as OPENAI_API_KEY."),
    ] = None
    file: Annotated[str | None, _says("File that only its owner can read (chmod 600).")] = None
    command: Annotated[Words | None, _says("Command that prints the key.")] = None

    def __post_init__(self) -> None:
        _require_one_of(self)


class Prices(_Section, frozen=True):
    """Prices in USD. If not set, hybrid uses its price table."""

    input: Annotated[Usd, _says("Per million tokens of the prompt.")]
    output: Annotated[Usd, _says("Per million tokens of the answer, thinking included.")]
    cached_input: Annotated[
        Usd | None, _says("Per million prompt tokens that the server had cached; if not set, as `input`.")
    ] = None
    tools: Annotated[dict[Tool, Usd], _says("Per call of a hosted tool.")] = {}


class Timeouts(_Section, frozen=True):
    """Longest waits for the cloud, in seconds."""

    connect: Annotated[float, Meta(gt=0, le=3600), _says("To open a connection.")] = 10
    silent: Annotated[float, Meta(gt=0, le=3600), _says("For the first or the next token.")] = 60
    answer: Annotated[float, Meta(gt=0, le=86_400), _says("For the whole answer.")] = 600


class Provider(_Section, frozen=True):
    """How a router chooses among providers, in OpenRouter's terms."""

    data_collection: Annotated[Literal["allow", "deny"] | None, _says("May providers keep prompts?")] = None
    zdr: Annotated[bool | None, _says("Use only providers with zero data retention.")] = None
    allow_fallbacks: Annotated[bool | None, _says("Try other providers if the first one fails.")] = None
    only: Annotated[Words | None, _says("Use only these providers.")] = None
    ignore: Annotated[Words | None, _says("Never use these providers.")] = None


class Extra(_Section, frozen=True):
    """Request fields that are sent unchanged, for servers that know them."""

    reasoning_effort: Annotated[
        Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None,
        _says("How long a reasoning model thinks."),
    ] = None
    service_tier: Annotated[
        Literal["auto", "default", "flex", "priority"] | None, _says("Speed and price class.")
    ] = None
    verbosity: Annotated[Literal["low", "medium", "high"] | None, _says("How long the answer is.")] = None
    provider: Provider | None = None


class Server(_Section, frozen=True):
    """One model at one server."""

    base_url: Annotated[str, _says("URL of an OpenAI-compatible API: https, or http on this machine.")]
    model: Annotated[ModelName, _says("The model's name at that server.")]
    api: Annotated[
        Literal["chat", "responses"],
        _says("chat: Chat Completions; responses: the Responses API, which hosted tools need."),
    ] = "chat"
    key: Annotated[Key | None, _if_wrong("never the key itself; write {env: OPENAI_API_KEY}")] = None
    tools: Annotated[
        list[Tool], _says("Hosted tools that a prompt may be handed off for; none runs on this machine.")
    ] = []
    tool_context: Annotated[
        Literal["arguments", "full"],
        _says(
            "What a handoff for a tool sends; arguments: what the tool is asked for;"
            " full: the piped text and the system message, too."
        ),
    ] = "arguments"
    prices: Prices | None = None
    timeouts: Timeouts = Timeouts()
    retries: Annotated[
        int,
        Meta(ge=0, le=10),
        _says(
            "How many times hybrid repeats a request that failed for a passing reason, such as a rate limit."
        ),
    ] = 2
    extra: Extra = Extra()

    def __post_init__(self) -> None:
        try:
            origin_of(self.base_url)
        except OriginError as error:
            raise ValueError(f"base_url: {error}") from None
        if self.tools and self.api != "responses":
            raise ValueError("tools: hosted tools need `api: responses`")


class Cloud(Server, frozen=True):
    """The cloud model. This section replaces an inherited one whole: a key is never sent to another server."""

    fallbacks: Annotated[
        list[Server], _says("Tried in order if the server before is down; each needs its own consent.")
    ] = []


class Target(_Section, frozen=True):
    """Which local answers are good enough to keep. Set exactly one."""

    threshold: Annotated[
        Share | None, _says("Keep an answer if its mean token probability (geometric) is at least this.")
    ] = None
    escalate_at_most: Annotated[
        Share | None, _says("Hand off at most this share of prompts. Needs a calibration.")
    ] = None
    quality_at_least: Annotated[
        Share | None, _says("Keep at least this share of the cloud's quality. Needs a calibration.")
    ] = None
    wrong_at_most: Annotated[
        Share | None, _says("At most this share of the kept answers is wrong. Needs a calibration.")
    ] = None

    def __post_init__(self) -> None:
        _require_one_of(self)


class When(_Section, frozen=True):
    """Conditions on a prompt. All of them must hold."""

    matches: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        _says("Regular expression (RE2 syntax), searched in prompt, context and system message."),
    ] = None
    tokens_over: Annotated[
        Annotated[int, Meta(ge=1, le=_MAX_PROMPT_TOKENS)] | None,
        _says("The prompt has more tokens than this, estimated at four bytes a token."),
    ] = None
    secret: Annotated[bool | None, _says("The prompt holds a credential (true), or none (false).")] = None
    language: Annotated[
        Words | None,
        _says("The prompt is in one of these languages: codes or English names, such as de or German."),
    ] = None
    tools: Annotated[
        Annotated[list[Tool], Meta(min_length=1)] | None,
        _says("The prompt asks for one of these hosted tools."),
    ] = None
    tags: Annotated[Words | None, _says("--tag names one of these.")] = None

    def __post_init__(self) -> None:
        if not _given(self):
            raise ValueError(f"set at least one of {', '.join(self.__struct_fields__)}")
        check_conditions(self.matches, self.language, self.tags)


class Rule(_Section, frozen=True):
    """What happens to prompts that meet a condition."""

    when: When
    then: Annotated[
        Literal["forbid", "local", "ask", "force"],
        _says(
            "forbid: run offline; local: keep the local answer; ask: confirm a handoff first;"
            " force: hand off at once."
        ),
    ]


class Escalation(_Section, frozen=True):
    """When a prompt is handed off to the cloud."""

    mode: Annotated[
        Mode,
        _says(
            "forbid: never; auto: if the local answer is not good enough; ask: as auto, but confirm each"
            " handoff; force: always."
        ),
    ] = "auto"
    target: Target = Target(threshold=0.5)
    rules: Annotated[
        Annotated[list[Rule], Meta(max_length=100)],
        _says("The first rule that matches decides, before any model runs."),
    ] = []
    on_denied: Annotated[
        Literal["answer", "fail"],
        _says("If a handoff is denied: give the local answer with a warning, or fail (exit code 3)."),
    ] = "answer"
    on_cloud_failure: Annotated[
        Literal["fail", "answer"], _says("If the cloud fails: fail, or give the local answer with a warning.")
    ] = "fail"
    handoff_tool: Annotated[
        bool,
        _says(
            "Offer the local model a tool `handoff(reason)`; if it calls the tool, hybrid hands the prompt off."
            " For models that can call tools; adds about 200 tokens to each prompt."
        ),
    ] = False
    shadow: Annotated[
        Share,
        _says(
            "Share of kept prompts that are also sent to the cloud, once the local answer is out."
            " `hybrid calibrate --from-ledger` uses how often both answers agree."
        ),
    ] = 0.0
    require_enforcement: Annotated[
        bool,
        _says(
            "Refuse to run unless the kernel keeps the local model off the network, and under forbid the whole"
            " command."
        ),
    ] = False


class Privacy(_Section, frozen=True):
    """What hybrid looks for in a prompt before it leaves."""

    redact: Annotated[
        list[Kind], _says("Replaced by placeholders before a prompt leaves; the answer gets the values back.")
    ] = msgspec.field(default_factory=lambda: ["card", "iban"])
    on_secret: Annotated[
        Literal["forbid", "redact"],
        _says(
            "If a prompt that would leave holds a credential: forbid the handoff, or redact the credential."
        ),
    ] = "forbid"  # noqa: S105  no password
    country: Annotated[
        Annotated[
            str,
            Meta(pattern="^[A-Z]{2}$"),
            _if_wrong("must be a country code of two capital letters (ISO 3166), such as DE"),
        ]
        | None,
        _says("Country (ISO 3166) of telephone numbers written without +. Needs the pii extra."),
    ] = None
    scanner: Annotated[
        Words | None,
        _says(
            'Command of a second scanner: reads {"text", "kinds"} from stdin, prints {"findings": [{"kind",'
            ' "start", "end"}]}.'
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.country is not None:
            check_country(self.country)


Calls = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class Spending(_Section, frozen=True):
    """Limits on clouds by calendar day and month, in UTC."""

    usd_per_day: Annotated[Usd | None, _says("Most USD a day.")] = None
    usd_per_month: Annotated[Usd | None, _says("Most USD a month.")] = None
    calls_per_day: Annotated[Calls | None, _says("Most requests to clouds a day.")] = None
    calls_per_month: Annotated[Calls | None, _says("Most requests to clouds a month.")] = None


class Limits(Spending, frozen=True):
    """Deadline and limits on clouds. Except for `of_profile`, they count all requests of this user."""

    seconds: Annotated[
        Annotated[float, Meta(gt=0, le=86_400)] | None, _says("Deadline of a command (exit code 124).")
    ] = None
    usd_per_run: Annotated[Usd | None, _says("Most USD for one command.")] = None
    calls_per_run: Annotated[Calls | None, _says("Most requests to clouds for one command.")] = None
    of_profile: Annotated[
        Spending, _says("The same limits, counting only requests made under this profile.")
    ] = Spending()
    tools: Annotated[
        list[Tool] | None,
        _says("Hosted tools that are allowed, whatever the cloud; if not set, those in `cloud.tools`."),
    ] = None


class Checks(_Section, frozen=True):
    """What every answer must pass."""

    schema: Annotated[str | None, _says("File with a JSON Schema that the answer must match.")] = None
    verify: Annotated[
        Words | None,
        _says("Command that must exit 0 to accept the answer. It gets the answer on stdin and as {file}."),
    ] = None


class Log(_Section, frozen=True):
    """What the ledger stores of each request, besides its figures."""

    prompts: Annotated[bool, _says("Store the prompts and answers of requests to clouds.")] = False


class Profile(_Section, frozen=True):
    version: Annotated[Literal[1], _says("Version of the profile format.")]
    extends: Annotated[str | None, _says("Base profile; supplies values not set here.")] = None
    local: Local = Local()
    cloud: Cloud | None = None
    escalation: Escalation = Escalation()
    privacy: Privacy = Privacy()
    limits: Limits = Limits()
    checks: Checks = Checks()
    log: Log = Log()
