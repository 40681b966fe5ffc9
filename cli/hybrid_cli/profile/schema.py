"""The profile's schema: each field's type, bounds, default and meaning. The loader checks against it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from hybrid_cli.profile.origin import OriginError, origin_of

Mode = Literal["forbid", "auto", "force", "ask"]
MODES: tuple[Mode, ...] = get_args(Mode)
Tool = Literal["web_search", "image_generation"]
Kind = Literal["secret", "email", "phone", "card", "iban", "ip"]

PositiveInt = Annotated[int, Meta(ge=1, le=10_000_000)]
Usd = Annotated[float, Meta(ge=0, le=1_000_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
# No name of a model is a star, which stands for all of them, or breaks a line.
ModelName = Annotated[str, Meta(pattern=r"^(?!\*$)[^\x00-\x1f\x7f-\x9f]{1,200}$")]
Words = Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1)]


def _says(description: str) -> Meta:
    return Meta(description=description)


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping of the profile; a key it does not name is an error."""


def _given(section: msgspec.Struct) -> list[str]:
    return [name for name in section.__struct_fields__ if getattr(section, name) is not None]


def _require_one_of(section: msgspec.Struct) -> None:
    if len(_given(section)) != 1:
        raise ValueError(f"Expected exactly one of {', '.join(section.__struct_fields__)}")


class Sampling(_Section, frozen=True):
    temperature: Annotated[float, Meta(ge=0, le=5), _says("0 is greedy and repeatable.")] = 0.0
    max_tokens: Annotated[PositiveInt, _says("The most tokens of an answer, thinking included.")] = 512
    seed: Annotated[int, Meta(ge=0, le=0xFFFFFFFF), _says("The seed of local sampling.")] = 0
    repeat_penalty: Annotated[
        float,
        Meta(ge=1, le=2),
        _says("Over 1, what was said becomes less likely: it keeps very small models out of loops."),
    ] = 1.0


class Local(_Section, frozen=True):
    model: Annotated[str, Meta(min_length=1), _says("A catalog name, or a path.")] = "smollm2-135m"
    context: Annotated[
        PositiveInt | Literal["auto"],
        _says("Tokens; auto is what the prompt needs, up to what the model was trained for."),
    ] = "auto"
    threads: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | Literal["auto"],
        _says("auto goes by affinity, quota and what else the machine is doing."),
    ] = "auto"
    prefix_cache: Annotated[
        bool,
        _says(
            "Keep the state of long prompts on disk, in clear, so that one that comes again starts at once."
        ),
    ] = False
    sampling: Sampling = Sampling()


class Key(_Section, frozen=True):
    """Where the key is read from; never the key itself. Exactly one is set."""

    env: Annotated[
        Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")] | None, _says("A variable's name.")
    ] = None
    file: Annotated[str | None, _says("A file that only its owner may read (0600).")] = None
    command: Words | None = None

    def __post_init__(self) -> None:
        _require_one_of(self)


class Prices(_Section, frozen=True):
    """USD per million tokens; of a tool, per call."""

    input: Usd
    output: Usd
    cached_input: Usd | None = None
    tools: dict[Tool, Usd] = {}


class Timeouts(_Section, frozen=True):
    """Seconds."""

    connect: Annotated[float, Meta(gt=0, le=3600)] = 10
    silent: Annotated[float, Meta(gt=0, le=3600), _says("Before the first token, and between two.")] = 60
    answer: Annotated[float, Meta(gt=0, le=86_400), _says("For the whole answer.")] = 600


class Provider(_Section, frozen=True):
    """A router's choice among providers, as OpenRouter takes it."""

    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    allow_fallbacks: bool | None = None
    only: Words | None = None
    ignore: Words | None = None


class Extra(_Section, frozen=True):
    """Hints that are sent as they are, to servers that know them."""

    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    provider: Provider | None = None


class Server(_Section, frozen=True):
    """One model at one origin."""

    base_url: Annotated[str, _says("Any OpenAI-compatible server: https, or http on loopback.")]
    model: ModelName
    api: Annotated[Literal["chat", "responses"], _says("responses is needed for hosted tools.")] = "chat"
    key: Key | None = None
    tools: Annotated[
        list[Tool], _says("Hosted tools that a prompt may be handed off for; never run locally.")
    ] = []
    tool_context: Annotated[
        Literal["arguments", "full"],
        _says(
            "What goes out for a tool: what it is asked for, or the piped text and the system message too."
        ),
    ] = "arguments"
    prices: Prices | None = None
    timeouts: Timeouts = Timeouts()
    retries: Annotated[
        int, Meta(ge=0, le=10), _says("How often a request that failed for the moment is sent again.")
    ] = 2
    extra: Extra = Extra()

    def __post_init__(self) -> None:
        try:
            origin_of(self.base_url)
        except OriginError as error:
            raise ValueError(f"base_url: {error}") from None
        if self.tools and self.api != "responses":
            raise ValueError("tools: they need `api: responses`")


class Cloud(Server, frozen=True):
    fallbacks: Annotated[
        list[Server], _says("Tried in order where the one before is down; each needs consent of its own.")
    ] = []


class Target(_Section, frozen=True):
    """When the local answer is good enough. Exactly one is set."""

    threshold: Annotated[
        Share | None, _says("The least mean token probability (geometric) of an answer that is kept.")
    ] = None
    escalate_at_most: Annotated[
        Share | None, _says("The share of prompts handed off; like the next two it needs a calibration.")
    ] = None
    quality_at_least: Share | None = None
    wrong_at_most: Share | None = None

    def __post_init__(self) -> None:
        _require_one_of(self)


class When(_Section, frozen=True):
    """What a rule looks for in a prompt. All that are set must hold."""

    matches: Annotated[
        str | None, _says("A regular expression of RE2's syntax, searched in the prompt and its context.")
    ] = None
    tokens_over: Annotated[
        PositiveInt | None,
        _says("By an estimate of a token for four bytes, made before any model is loaded."),
    ] = None
    secret: bool | None = None
    language: Annotated[Words | None, _says("ISO 639-1 codes.")] = None
    tools: list[Tool] | None = None
    tags: Annotated[Words | None, _says("Given by --tag.")] = None

    def __post_init__(self) -> None:
        if not _given(self):
            raise ValueError(f"Expected at least one of {', '.join(self.__struct_fields__)}")
        if self.matches is not None:
            _check_pattern(self.matches)


def _check_pattern(pattern: str) -> None:
    import re2

    try:
        re2.compile(pattern, quiet_options())
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error.args[0]
        raise ValueError(f"matches: RE2 cannot read it ({reason})") from None


def quiet_options() -> Any:
    """RE2's options: its own log to stderr switched off, and a bound on what a pattern may cost."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1_000_000  # a pattern of a rule is small; large ones take long to compile
    return options


class Rule(_Section, frozen=True):
    when: When
    then: Literal["forbid", "local", "ask", "force"]


class Escalation(_Section, frozen=True):
    mode: Mode = "auto"
    target: Target = Target(threshold=0.5)
    rules: Annotated[
        Annotated[list[Rule], Meta(max_length=100)],
        _says("The first that matches decides, before any model runs."),
    ] = []
    on_denied: Literal["answer", "fail"] = "answer"
    on_cloud_failure: Literal["fail", "answer"] = "fail"
    handoff_tool: Annotated[
        bool,
        _says(
            "Offer the local model a tool `handoff(reason)`: where it calls it, the prompt is handed off."
            " For models that can call tools; it makes each prompt some 200 tokens longer."
        ),
    ] = False
    shadow: Annotated[
        Share,
        _says(
            "The share of kept prompts that are sent to the cloud too, once the local answer is out: how often"
            " both agree is what `hybrid calibrate --from-ledger` goes by."
        ),
    ] = 0.0
    require_enforcement: Annotated[
        bool,
        _says(
            "Refuse to run where the kernel cannot keep the local model, and under forbid the whole command,"
            " from the network."
        ),
    ] = False


class Privacy(_Section, frozen=True):
    redact: Annotated[
        list[Kind], _says("Replaced by placeholders before a prompt leaves, and restored in the answer.")
    ] = msgspec.field(default_factory=lambda: ["card", "iban"])
    on_secret: Annotated[
        Literal["forbid", "redact"], _says("What a credential does to a prompt that would leave.")
    ] = "forbid"  # noqa: S105  a word, no password
    country: Annotated[
        Annotated[str, Meta(pattern="^[A-Z]{2}$")] | None,
        _says("ISO 3166: whose telephone numbers are found without +; needs the pii extra."),
    ] = None
    scanner: Annotated[
        Words | None,
        _says('A second scanner: {"text", "kinds"} on stdin, {"findings": [{"kind", "start", "end"}]} out.'),
    ] = None


Calls = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class Spending(_Section, frozen=True):
    """What may be spent on clouds, by calendar day and month in UTC."""

    usd_per_day: Usd | None = None
    usd_per_month: Usd | None = None
    calls_per_day: Calls | None = None
    calls_per_month: Calls | None = None


class Limits(Spending, frozen=True):
    """These count all that this user sends, but for `of_profile`."""

    seconds: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    usd_per_run: Usd | None = None
    calls_per_run: Calls | None = None
    of_profile: Annotated[Spending, _says("Counts only what is sent under the same profile.")] = Spending()
    tools: Annotated[
        list[Tool] | None,
        _says("The hosted tools that are allowed, of whatever cloud; not set: those that the cloud has."),
    ] = None


class Checks(_Section, frozen=True):
    schema: Annotated[str | None, _says("A file with a JSON Schema that the answer must fit.")] = None
    verify: Annotated[Words | None, _says("A command that must end with 0 for the answer to count.")] = None


class Log(_Section, frozen=True):
    prompts: bool = False


class Profile(_Section, frozen=True):
    version: Literal[1]
    extends: Annotated[
        str | None, _says("A profile, by name or path, whose words hold where this one has none.")
    ] = None
    local: Local = Local()
    cloud: Cloud | None = None
    escalation: Escalation = Escalation()
    privacy: Privacy = Privacy()
    limits: Limits = Limits()
    checks: Checks = Checks()
    log: Log = Log()


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a profile, for editors and other validators."""
    schema = msgspec.json.schema(Profile)
    for section in (Key, Target):  # what their own checks ask for, in words that a JSON Schema has
        schema["$defs"][section.__name__].update(minProperties=1, maxProperties=1)
    schema["$defs"][When.__name__].update(minProperties=1)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "hybrid profile", **schema}
