"""The profile's schema: type, bounds, default and meaning of each key. The loader checks profiles against it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hybrid_cli.profile.cloud_section import Cloud
from hybrid_cli.profile.conditions import check_conditions, check_country
from hybrid_cli.profile.default_model import DEFAULT
from hybrid_cli.profile.keep_alive import PATTERN
from hybrid_cli.profile.modes import Mode, Tool
from hybrid_cli.profile.section import (
    PositiveInt,
    Section,
    Share,
    Usd,
    Words,
    given,
    if_wrong,
    require_one_of,
    says,
)

Kind = Literal["secret", "email", "phone", "card", "iban", "ip"]


_MAX_PROMPT_TOKENS = 4_000_000
"""No prompt has more: stdin is limited to 16 MB, which are 4 million tokens by hybrid's estimate."""


class Sampling(Section, frozen=True):
    """How the local model picks each token."""

    temperature: Annotated[float, Meta(ge=0, le=5), says("0 always picks the likeliest token.")] = 0.0
    max_tokens: Annotated[PositiveInt, says("Most tokens in an answer, thinking included.")] = 512
    seed: Annotated[int, Meta(ge=0, le=0xFFFFFFFF), says("Seed of random sampling.")] = 0
    repeat_penalty: Annotated[
        float,
        Meta(ge=1, le=2),
        says("Above 1, tokens that were used become less likely; this keeps very small models out of loops."),
    ] = 1.0


_RESERVED = ("messages", "tools", "add_generation_prompt", "bos_token", "eos_token")


class Template(Section, frozen=True):
    """The local model's chat template, which writes the prompt."""

    variables: Annotated[
        dict[str, str | bool | int | float],
        says(
            "Variables that the template knows, such as reasoning_effort; they win over `local.thinking`, but not over --think and --no-think."
        ),
    ] = {}

    def __post_init__(self) -> None:
        reserved = [name for name in self.variables if name in _RESERVED]
        if reserved:
            raise ValueError(f"variables: hybrid sets `{reserved[0]}` itself")


class Local(Section, frozen=True):
    """The model on this machine."""

    model: Annotated[
        str,
        Meta(min_length=1),
        says("default (see: hybrid models default), a name (hybrid models ls --all), or a GGUF file's path."),
    ] = DEFAULT
    projector: Annotated[
        str,
        Meta(min_length=1),
        says(
            "What reads images for the model: auto (the catalog's, or the only mmproj*.gguf beside the model's file), a"
            ' GGUF file\'s path, or "off".'
        ),
    ] = "auto"
    context: Annotated[
        PositiveInt | Literal["auto"],
        says("Context window in tokens; auto: what the prompt needs, up to what the model was trained for."),
    ] = "auto"
    threads: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | Literal["auto"],
        says("CPU threads; auto: by CPU affinity, container quota and the load of other programs."),
    ] = "auto"
    gpu_layers: Annotated[
        Annotated[int, Meta(ge=0, le=10_000)] | Literal["auto"],
        says("Layers that the GPU holds; auto: as many as fit into its free memory; 0: none."),
    ] = "auto"
    prefix_cache: Annotated[
        Literal["templates"] | bool,
        if_wrong("must be templates, true or false"),
        says(
            "Store the model's state after the beginning of a prompt on disk, unencrypted; the next prompt with it starts"
            " sooner. templates: after what the chat template and a prompt template (`-t`) write before your text; true:"
            " after every long prompt; false: never."
        ),
    ] = "templates"
    mmap_over_memory: Annotated[
        bool, says("Run a model that is larger than the free memory from its file on disk; slow.")
    ] = False
    lookup: Annotated[
        bool,
        says(
            "Draft text that repeats the prompt or the answer, or that a schema forces, and verify it; faster. Only where"
            " two tokens are as good as equal, an answer may go on with the other one."
        ),
    ] = True
    draft: Annotated[
        str,
        Meta(min_length=1),
        says(
            'A smaller model with the same vocabulary that drafts the answers of `hybrid run`: "off", auto (from the catalog,'
            " if it is downloaded and the measured speeds say that it pays), a name, or a GGUF file's path."
        ),
    ] = "off"
    keep_alive: Annotated[
        Annotated[str, Meta(pattern=PATTERN)] | Literal[0],
        if_wrong("must be 0, forever, or a time such as 30s, 5m or 1h"),
        says("How long the model stays loaded for later commands: 0, 30s, 5m, 1h or forever."),
    ] = 0
    thinking: Annotated[
        Annotated[int, Meta(ge=0, le=10_000_000)] | Literal["off", "on", "auto"] | bool | None,
        if_wrong('must be auto, "on", "off" or a number of tokens'),
        says(
            'Whether the model thinks before it answers: auto (as its template does by itself), "on", "off", or at most'
            " so many tokens; if not set, off for `hybrid pipe` and for models whose template can switch it off."
        ),
    ] = None
    template: Template = Template()
    sampling: Sampling = Sampling()


def as_thinking(value: int | Literal["off", "on", "auto"] | bool) -> int | Literal["off", "on", "auto"]:
    """Return a value of `local.thinking` without booleans, which are YAML's `on` and `off`."""
    return ("on" if value else "off") if isinstance(value, bool) else value


class Target(Section, frozen=True):
    """Which local answers are good enough to keep. Set exactly one."""

    threshold: Annotated[
        Share | None, says("Keep an answer if its mean token probability (geometric) is at least this.")
    ] = None
    escalate_at_most: Annotated[
        Share | None, says("Hand off at most this share of prompts. Needs a calibration.")
    ] = None
    quality_at_least: Annotated[
        Share | None, says("Keep at least this share of the cloud's quality. Needs a calibration.")
    ] = None
    wrong_at_most: Annotated[
        Share | None, says("At most this share of the kept answers is wrong. Needs a calibration.")
    ] = None

    def __post_init__(self) -> None:
        require_one_of(self)


class When(Section, frozen=True):
    """Conditions on a prompt. All of them must hold."""

    matches: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        says("Regular expression (RE2 syntax), searched in all texts that would leave."),
    ] = None
    tokens_over: Annotated[
        Annotated[int, Meta(ge=1, le=_MAX_PROMPT_TOKENS)] | None,
        says("The prompt has more tokens than this, estimated at four bytes a token."),
    ] = None
    secret: Annotated[bool | None, says("The prompt holds a credential (true), or none (false).")] = None
    language: Annotated[
        Words | None,
        says("The prompt is in one of these languages: codes or English names, such as de or German."),
    ] = None
    tools: Annotated[
        Annotated[list[Tool], Meta(min_length=1)] | None,
        says("The prompt asks for one of these hosted tools."),
    ] = None
    tags: Annotated[Words | None, says("--tag names one of these.")] = None

    def __post_init__(self) -> None:
        if not given(self):
            raise ValueError(f"set at least one of {', '.join(self.__struct_fields__)}")
        check_conditions(self.matches, self.language, self.tags)


class Rule(Section, frozen=True):
    """What happens to prompts that meet a condition."""

    when: When
    then: Annotated[
        Literal["forbid", "local", "ask", "force"],
        says(
            "forbid: run offline; local: keep the local answer; ask: confirm a handoff first;"
            " force: hand off at once."
        ),
    ]


class Escalation(Section, frozen=True):
    """When a prompt is handed off to the cloud."""

    mode: Annotated[
        Mode,
        says(
            "forbid: never; auto: if the local answer is not good enough; ask: as auto, but confirm each"
            " handoff; force: always."
        ),
    ] = "auto"
    target: Target = Target(threshold=0.5)
    rules: Annotated[
        Annotated[list[Rule], Meta(max_length=100)],
        says("The first rule that matches decides, before any model runs."),
    ] = []
    on_denied: Annotated[
        Literal["answer", "fail"],
        says("If a handoff is denied: give the local answer with a warning, or fail (exit code 3)."),
    ] = "answer"
    on_cloud_failure: Annotated[
        Literal["fail", "answer"],
        says("If the key, the budget or the cloud fails: fail, or give the local answer with a warning."),
    ] = "fail"
    handoff_tool: Annotated[
        bool,
        says(
            "Offer the local model a tool `handoff(reason)`; if it calls the tool, hybrid hands the prompt off."
            " For models that can call tools; adds about 200 tokens to each prompt."
        ),
    ] = False
    samples: Annotated[
        Literal[0, 2],
        says(
            "2: compare a long calculated answer near the threshold with up to two more samples, if a handoff is"
            " possible. More right answers are kept, but they take about twice as long. Needs a calibration with samples."
        ),
    ] = 0
    sticky: Annotated[
        bool, says("Hand off every turn of a conversation once a turn of it was handed off.")
    ] = False
    shadow: Annotated[
        Share,
        says(
            "Share of kept prompts that are also sent to the cloud, once the local answer is out."
            " `hybrid calibrate --from-ledger` uses how often both answers agree."
        ),
    ] = 0.0
    require_enforcement: Annotated[
        bool,
        says(
            "Refuse to run unless the kernel keeps the local model off the network, and under forbid the whole"
            " command."
        ),
    ] = False


class Privacy(Section, frozen=True):
    """What hybrid looks for in a prompt before it leaves."""

    redact: Annotated[
        list[Kind], says("Replaced by placeholders before a prompt leaves; the answer gets the values back.")
    ] = msgspec.field(default_factory=lambda: ["card", "iban"])
    on_secret: Annotated[
        Literal["forbid", "redact"],
        says(
            "If a prompt that would leave holds a credential: forbid the handoff, or redact the credential."
        ),
    ] = "forbid"  # noqa: S105  no password
    images: Annotated[
        Literal["forbid", "ask", "allow"],
        says(
            "Handoffs with images, which the scan cannot read: never, after a question on the terminal, or as"
            " for any prompt."
        ),
    ] = "ask"
    country: Annotated[
        Annotated[
            str,
            Meta(pattern="^[A-Z]{2}$"),
            if_wrong("must be a country code of two capital letters (ISO 3166), such as DE"),
        ]
        | None,
        says("Country (ISO 3166) of telephone numbers written without +. Needs the pii extra."),
    ] = None
    scanner: Annotated[
        Words | None,
        says(
            'Command of a second scanner: reads {"text", "kinds"} from stdin, prints {"findings": [{"kind",'
            ' "start", "end"}]}.'
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.country is not None:
            check_country(self.country)


Calls = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class Spending(Section, frozen=True):
    """Limits on clouds by calendar day and month, in UTC."""

    usd_per_day: Annotated[Usd | None, says("Most USD a day.")] = None
    usd_per_month: Annotated[Usd | None, says("Most USD a month.")] = None
    calls_per_day: Annotated[Calls | None, says("Most requests to clouds a day.")] = None
    calls_per_month: Annotated[Calls | None, says("Most requests to clouds a month.")] = None


class Limits(Spending, frozen=True):
    """Deadline and limits on clouds. Except for `of_profile`, they count all requests of this user."""

    seconds: Annotated[
        Annotated[float, Meta(gt=0, le=86_400)] | None, says("Deadline of a command (exit code 124).")
    ] = None
    usd_per_run: Annotated[Usd | None, says("Most USD for one command.")] = None
    calls_per_run: Annotated[Calls | None, says("Most requests to clouds for one command.")] = None
    of_profile: Annotated[
        Spending, says("The same limits, counting only requests made under this profile.")
    ] = Spending()
    tools: Annotated[
        list[Tool] | None,
        says("Hosted tools that are allowed, whatever the cloud; if not set, those in `cloud.tools`."),
    ] = None


class Checks(Section, frozen=True):
    """What every answer must pass."""

    schema: Annotated[str | None, says("File with a JSON Schema that the answer must match.")] = None
    verify: Annotated[
        Words | None,
        says("Command that must exit 0 to accept the answer. It gets the answer on stdin and as {file}."),
    ] = None


AGE_PATTERN = "^(forever|[1-9][0-9]{0,4}d)$"


class Log(Section, frozen=True):
    """What the ledger stores of each request, besides its figures."""

    prompts: Annotated[bool, says("Store the prompts and answers of requests to clouds.")] = False
    conversations: Annotated[
        Annotated[str, Meta(pattern=AGE_PATTERN)],
        says("Delete stored conversations after this time: 30d, 1d or forever."),
    ] = "30d"


class Profile(Section, frozen=True):
    version: Annotated[Literal[1], says("Version of the profile format.")]
    extends: Annotated[str | None, says("Base profile; supplies values not set here.")] = None
    local: Local = Local()
    cloud: Cloud | None = None
    escalation: Escalation = Escalation()
    privacy: Privacy = Privacy()
    limits: Limits = Limits()
    checks: Checks = Checks()
    log: Log = Log()
