"""Chat Completions on the `openai` SDK, for any compatible server. Imported by `handoff.egress` only."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hybrid_cli.environment import Environment
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.schema import Cloud

CONNECT_SECONDS = 10.0
SILENT_SECONDS = 60.0
"""How long the server may send nothing, before the first token and between two."""
MAX_RETRIES = 2

_OPENAI = "https://api.openai.com/"
_CODE = re.compile(r"[\w.-]{1,60}", re.ASCII)


@dataclass(frozen=True)
class Reply:
    """A whole answer; token counts are None where the server gave none."""

    text: str
    model: str
    finish_reason: str
    tokens_in: int | None
    tokens_out: int | None


def complete(
    cloud: Cloud,
    key: str | None,
    messages: list[dict[str, str]],
    parameters: dict[str, Any],
    environment: Environment,
    on_text: Callable[[str], None],
) -> Reply:
    """Send `messages` and return the whole reply, each piece of text also given to `on_text`.

    `parameters`: max_tokens and, if asked for, temperature. Raises Failure: KEY where the key is
    refused, FAILURE where the request is, CLOUD for everything that may pass.
    """
    # The SDK reads these itself, and OPENAI_CUSTOM_HEADERS is sent even beside an explicit key.
    for name in [name for name in environment.variables if name.startswith("OPENAI_")]:
        del environment.variables[name]
    import openai

    try:
        with _new_client(cloud, key) as client:
            stream = client.chat.completions.create(
                model=cloud.model,
                messages=messages,
                stream=True,
                stream_options={"include_usage": True},
                extra_headers={} if key is not None else {"Authorization": openai.omit},
                **_dialect(cloud, parameters),
            )
            return _gather(stream, cloud.model, on_text)
    except openai.APIStatusError as error:
        raise _status_failure(error, cloud) from None
    except openai.APITimeoutError:
        raise _failing(cloud, f"was silent for {SILENT_SECONDS:.0f} s") from None
    except openai.APIConnectionError as error:
        cause = error.__cause__
        raise _failing(cloud, f"cannot be reached ({cause or 'connection error'})") from None
    except (openai.APIError, ValueError, RuntimeError):  # a corrupt chunk, or an error inside the stream
        raise _failing(cloud, "sent a stream that cannot be read") from None


def _new_client(cloud: Cloud, key: str | None) -> Any:
    import openai

    return openai.OpenAI(
        api_key=key if key is not None else "none",
        base_url=cloud.base_url,
        organization=None,
        project=None,
        max_retries=MAX_RETRIES,
        timeout=openai.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS),
        # A redirect to another origin would take the prompt along.
        http_client=openai.DefaultHttpxClient(follow_redirects=False),
    )


def _dialect(cloud: Cloud, parameters: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's own servers take the newer name of the limit, and may be told to keep nothing."""
    if not cloud.base_url.startswith(_OPENAI):
        return parameters
    renamed = dict(parameters)
    renamed["max_completion_tokens"] = renamed.pop("max_tokens")
    return {**renamed, "store": False}


def _gather(stream: Any, model: str, on_text: Callable[[str], None]) -> Reply:
    text: list[str] = []
    finish_reason = None
    usage = None
    for chunk in stream:
        usage = chunk.usage or usage
        model = chunk.model or model
        if not chunk.choices:
            continue
        choice = chunk.choices[0]
        if choice.delta.content:
            text.append(choice.delta.content)
            on_text(choice.delta.content)
        finish_reason = choice.finish_reason or finish_reason
    if finish_reason is None:  # the SDK ends a cut stream without a word
        raise Failure(ExitStatus.CLOUD, "the cloud's stream was cut before its answer was whole")
    return Reply(
        "".join(text),
        model,
        finish_reason,
        usage.prompt_tokens if usage else None,
        usage.completion_tokens if usage else None,
    )


def _failing(cloud: Cloud, what: str) -> Failure:
    return Failure(ExitStatus.CLOUD, f"the cloud at {cloud.base_url} {what}")


def _status_failure(error: Any, cloud: Cloud) -> Failure:
    """The failure for an HTTP status. The body is not shown: servers repeat prompts and keys in it."""
    status: int = error.status_code
    code = f" ({error.code})" if isinstance(error.code, str) and _CODE.fullmatch(error.code) else ""
    if status in (401, 403):
        return Failure(ExitStatus.KEY, f"the cloud at {cloud.base_url} refused the key: {status}{code}")
    if 300 <= status < 400:
        return _failing(cloud, f"answered with a redirect ({status}), which is not followed")
    if status == 429:
        return _failing(cloud, f"limits the rate: 429{code}; try again later")
    if status in (408, 409) or status >= 500:
        return _failing(cloud, f"is failing: {status}{code}")
    return Failure(
        ExitStatus.FAILURE,
        f"the cloud at {cloud.base_url} refused the request: {status}{code};"
        f" is `{cloud.model}` one of its models?",
    )
