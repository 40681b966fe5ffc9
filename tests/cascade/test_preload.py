"""The model is loaded while the command still imports: only where the prompt is known, and without an event of its own."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_cli.app import invoke
from hybrid_cli.cascade.preload import preload
from hybrid_cli.cascade.run_options import RunOptions
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.protocol import Loaded, LocalRequest, Message, Preload, Task
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
from hybrid_cli.weights.store import Store

HI = RunOptions(
    "Hi", None, None, as_json=False, stream=False, may_read_stdin=True, dry_run=False, tags=frozenset()
)


@pytest.fixture
def worker() -> Iterator[Worker]:
    found = Worker.spawn()
    yield found
    found.stop()


@pytest.fixture
def sent(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What the worker gets."""
    messages: list[Message] = []
    send = worker.send

    def recorded(message: Message) -> None:
        messages.append(message)
        send(message)

    monkeypatch.setattr(worker, "send", recorded)
    return messages


@pytest.mark.parametrize("is_path", [True, False])
def test_weights_are_not_hashed_for_it(
    worker: Worker, sent: list[Message], weights_home: Path, tmp_path: Path, *, is_path: bool
) -> None:
    """Hashing takes seconds, which the deadline would not limit, and the run itself would hash them again."""
    store = tmp_path / "data"
    shutil.copytree(weights_home / "data", store)  # files with other stamps than those of their records
    (blob,) = (store / "blobs").glob("*.gguf")
    environment = Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(tmp_path)})
    flags = Flags(profile="offline", model=str(blob) if is_path else "smollm2-135m")
    policy = merge_policy(flags, environment)
    for is_known in (False, True):
        preload(policy, HI, worker, environment)
        assert len(sent) == is_known
        Store(environment).locate(policy.local.model)


def request_for(path: Path) -> LocalRequest:
    return LocalRequest(str(path), [Task([{"role": "user", "content": "Hi"}], 2)])


def test_the_request_finds_the_model_loaded(worker: Worker, model_file: Path) -> None:
    worker.send(Preload(request_for(model_file)))
    for expected in (True, False):  # the seconds of a load are reported once
        events = list(worker.events(request_for(model_file)))
        (loaded,) = [event for event in events if isinstance(event, Loaded)]
        assert (loaded.load_seconds > 0) is expected


def test_a_load_that_fails_is_reported_by_the_request(worker: Worker, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF" + bytes(100))
    worker.send(Preload(request_for(damaged)))
    for _ in range(2):
        with pytest.raises(Failure, match="cannot load") as failed:
            list(worker.events(request_for(damaged)))
        assert failed.value.status is ExitStatus.WEIGHTS


@pytest.mark.parametrize(
    ("profile", "is_sent"),
    [
        ("", True),
        ("escalation: {mode: forbid}\n", True),
        ("escalation: {mode: force}\ncloud: {model: m, base_url: 'http://127.0.0.1:9/v1'}\n", False),
        ("local: {keep_alive: 5m}\n", False),  # an engine that stays answers
        ("local: {model: /no/such/model.gguf}\n", False),
        ("local: {model: qwen3-8b}\n", False),  # not pulled; the run says so
    ],
)
def test_it_is_sent_where_the_worker_will_answer(
    worker: Worker, sent: list[Message], home: Path, tmp_path: Path, profile: str, *, is_sent: bool
) -> None:
    environment = Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(home)})
    path = tmp_path / "own.yaml"
    path.write_text(f"version: 1\n{profile}")
    preload(merge_policy(Flags(profile=str(path)), environment), HI, worker, environment)
    assert [type(message) for message in sent] == ([Preload] if is_sent else [])


@pytest.mark.parametrize(
    ("arguments", "stdin", "is_sent"),
    [
        (["Hi"], None, True),
        (["Hi"], b"a text of unknown length", False),
        (["--no-stdin", "Hi"], b"a text that is not read", True),
        ([], b"Hi", False),
        (["-f", "{file}", "Hi"], None, False),
        (["@{file}"], None, False),
        (["-c", "talk", "Hi"], None, False),
        (["--dry-run", "Hi"], None, False),
        (["-t", "none", "Hi"], None, False),
        (["--editor", "Hi"], None, False),
        (["--image", "{file}", "Hi"], None, False),
    ],
)
def test_it_is_sent_where_the_whole_prompt_is_known(
    worker: Worker,
    sent: list[Message],
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    stdin: bytes | None,
    *,
    is_sent: bool,
) -> None:
    """The length of the prompt decides on the layout of the weights."""
    # A run in this process would put it under the guard; what comes before is the point here.
    monkeypatch.setattr("hybrid_cli.cascade.run_prompt.run_prompt", lambda *_arguments: 0)
    given = tmp_path / "given"
    given.write_bytes(stdin or b"Hello")
    own = ["run", "-p", "offline", *(one.replace("{file}", str(given)) for one in arguments)]
    with given.open("rb") as piped:
        environment = Environment(
            None if stdin is None else piped, io.BytesIO(), io.StringIO(), {"HYBRID_HOME": str(home)}
        )
        invoke(own, environment, worker, Stopwatch())
    prompts = [one.request.tasks[0].messages for one in sent if isinstance(one, Preload)]
    assert prompts == ([[{"role": "user", "content": "  "}]] if is_sent else [])
