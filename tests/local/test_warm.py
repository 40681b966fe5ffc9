"""Models that stay loaded: real engine processes, their callers, and what is left when either is killed."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.local.context import Size
from hybrid_cli.local.protocol import Event, Finished, Task
from hybrid_process import REFUSED, Hybrid, environment
from ways_out import ATTEMPTS, attempt

KEEP = ("-p", "offline", "--keep-alive", "60s", "--max-tokens", "16", "--allow-truncated")


@pytest.fixture
def short_home(home: Path, tmp_path: Path) -> Iterator[Path]:
    """The home, whose engines are ended after the test."""
    yield home
    for engine in loaded(home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(engine["pid"], signal.SIGKILL)


def loaded(home: Path) -> list[dict[str, Any]]:
    """What `models ps` lists."""
    from hybrid_cli.cascade.warm_models import loaded_models
    from hybrid_cli.ui.environment import Environment

    variables = {"HYBRID_HOME": str(home)}
    return loaded_models(Environment(None, None, None, variables))


def socket_of(home: Path) -> Path:
    (found,) = (home / "state" / "run").glob("*.socket")
    return found


def connected(home: Path) -> socket.socket:
    """A connection to the only engine, by an address that is short enough for any folder."""
    door = socket.socket(socket.AF_UNIX)
    folder = os.open(home / "state" / "run", os.O_RDONLY)
    door.connect(f"/proc/self/fd/{folder}/{socket_of(home).name}")
    os.close(folder)
    return door


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False


def test_options_that_no_run_can_use_load_no_model(hybrid: Hybrid, short_home: Path) -> None:
    for refused in REFUSED:
        assert hybrid("run", *KEEP, *refused, "hi").returncode != 0
    for given, code in (
        (("-o", "a", "--resume", "b"), 2),
        (("-o", "/nowhere/a"), 1),
        (("--resume", "/dev"), 2),
    ):
        assert hybrid("pipe", *KEEP, *given, "hi", stdin=b"x").returncode == code
    assert loaded(short_home) == []


def test_a_second_run_uses_the_model_that_the_first_one_loaded(hybrid: Hybrid, short_home: Path) -> None:
    cold = json.loads(hybrid("run", "-p", "offline", *KEEP[4:], "--json", "Name a colour.").stdout)
    first = hybrid("run", *KEEP, "--json", "Name a colour.")
    (engine,) = loaded(short_home)
    second = hybrid("run", "-p", "offline", *KEEP[4:], "--json", "Name a colour.")  # without the option
    answers = [json.loads(done.stdout) for done in (first, second)]
    assert [answer["answer"] for answer in answers] == [cold["answer"]] * 2
    assert [answer["policy"]["enforcement"] for answer in answers] == ["seccomp"] * 2
    assert answers[1]["timings"]["load"] == 0
    assert [one["pid"] for one in loaded(short_home)] == [engine["pid"]]
    assert engine["name"] == "smollm2-135m"
    assert not is_private_to_others(socket_of(short_home))


def is_private_to_others(path: Path) -> int:
    """The rights that others have on `path` and its folder."""
    return (path.stat().st_mode | path.parent.stat().st_mode) & 0o077


def test_pipe_answers_from_the_loaded_model_as_without_it(hybrid: Hybrid, short_home: Path) -> None:
    records = "".join(f"the {animal}\n" for animal in ("cat", "dog", "horse", "owl")).encode()
    arguments = ("pipe", "-p", "offline", "--max-tokens", "6", "--allow-truncated", "Name the animal.")
    cold = hybrid(*arguments, stdin=records).stdout
    hybrid("run", *KEEP, "Hi")
    (engine,) = loaded(short_home)
    assert hybrid(*arguments, stdin=records).stdout == cold
    assert [one["pid"] for one in loaded(short_home)] == [engine["pid"]]


def test_choices_and_schemas_hold_in_the_loaded_model(hybrid: Hybrid, short_home: Path) -> None:
    question = ("run", *KEEP, "Is ice cold?")
    assert hybrid(*question, "--choices", "yes,no").stdout in (b"yes\n", b"no\n")
    schema = '{"type": "object", "properties": {"cold": {"type": "boolean"}}, "required": ["cold"]}'
    assert isinstance(json.loads(hybrid(*question, "--schema", schema).stdout)["cold"], bool)
    refused = hybrid(*question, "--schema", '{"type": "string", "pattern": "(?<=a)b"}')
    assert refused.returncode == 2


def test_an_overlong_prompt_is_told_with_both_numbers(
    hybrid: Hybrid, short_home: Path, profile: Callable[..., Path]
) -> None:
    path = profile("local: {context: 64, keep_alive: 60s}\nescalation: {mode: forbid}\n")
    done = hybrid("run", "-p", path, "word " * 90)
    assert done.returncode == 3
    assert b"the local context window holds 64" in done.stderr


def test_unload_ends_the_process_and_leaves_no_socket(hybrid: Hybrid, short_home: Path) -> None:
    hybrid("run", *KEEP, "Hi")
    (engine,) = loaded(short_home)
    assert b"unloaded smollm2-135m" in hybrid("models", "unload").stderr
    until(lambda: not is_alive(engine["pid"]))
    assert not list((short_home / "state" / "run").glob("*.socket"))
    assert hybrid("models", "unload", "smollm2-135m").returncode == 2
    assert b"no model is loaded" in hybrid("models", "ps").stderr


def test_a_model_nobody_calls_is_unloaded(hybrid: Hybrid, short_home: Path) -> None:
    hybrid("run", *KEEP[:3], "1s", *KEEP[4:], "Hi")
    (engine,) = loaded(short_home)
    until(lambda: not is_alive(engine["pid"]))
    assert not list((short_home / "state" / "run").glob("*.socket"))


def test_an_engine_ends_when_its_socket_is_gone(hybrid: Hybrid, short_home: Path) -> None:
    """As at the end of the user's last session, which removes XDG_RUNTIME_DIR."""
    hybrid("run", *KEEP, "Hi")
    (engine,) = loaded(short_home)
    socket_of(short_home).unlink()
    until(lambda: not is_alive(engine["pid"]))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
def test_a_run_works_whatever_became_of_the_engine(
    hybrid: Hybrid, short_home: Path, number: signal.Signals
) -> None:
    hybrid("run", *KEEP, "Hi")
    (engine,) = loaded(short_home)
    os.kill(engine["pid"], number)
    if number is not signal.SIGSTOP:
        until(lambda: not is_alive(engine["pid"]))
    try:
        assert hybrid("run", "-p", "offline", "Hi").stdout == hybrid("run", *KEEP, "Hi").stdout
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(engine["pid"], signal.SIGKILL)


def started(home: Path, command: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [command, "run", *arguments],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_loaded_model_that_does_not_reply_is_named(hybrid: Hybrid, short_home: Path) -> None:
    hybrid("run", *KEEP, "Hi")
    (engine,) = loaded(short_home)
    os.kill(engine["pid"], signal.SIGSTOP)
    try:
        told = hybrid("models", "ps").stderr.decode()
        assert f"does not reply; to let it end once it can: rm {socket_of(short_home)}" in told
        socket_of(short_home).unlink()
    finally:
        os.kill(engine["pid"], signal.SIGCONT)
    until(lambda: not is_alive(engine["pid"]))


def test_the_time_limit_counts_while_a_loaded_model_does_not_reply(hybrid: Hybrid, short_home: Path) -> None:
    """A command that waits for the engine before its limit begins would replace the engine after two seconds."""
    hybrid("run", *KEEP, "Hi")
    (engine,) = loaded(short_home)
    before = socket_of(short_home).stat()
    os.kill(engine["pid"], signal.SIGSTOP)
    try:
        done = hybrid("run", *KEEP, "--timeout", "0.6", "Hi")
        assert (done.returncode, done.stdout) == (124, b"")
        assert socket_of(short_home).stat().st_ino == before.st_ino
    finally:
        os.kill(engine["pid"], signal.SIGCONT)


LONG = ("-p", "offline", "--keep-alive", "60s", "--max-tokens", "4000", "--temperature", "3", "Tell a story.")


def test_a_crash_in_mid_answer_is_told(hybrid: Hybrid, short_home: Path, command: str) -> None:
    hybrid("run", *KEEP, "Hi")
    (engine,) = loaded(short_home)
    run = started(short_home, command, *LONG, "--stream")
    assert run.stdout is not None
    run.stdout.read(1)
    os.kill(engine["pid"], signal.SIGKILL)
    _, errors = run.communicate(timeout=30)
    assert run.returncode == 1
    assert b"the warm engine ended; run the command again" in errors


def test_a_caller_that_is_killed_frees_its_place(hybrid: Hybrid, short_home: Path, command: str) -> None:
    hybrid("run", *KEEP, "Hi")
    run = started(short_home, command, *LONG, "--stream")
    assert run.stdout is not None
    run.stdout.read(1)
    assert [one["callers"] for one in loaded(short_home)] == [1]
    run.kill()
    run.communicate()
    until(lambda: [one["callers"] for one in loaded(short_home)] == [0])
    assert hybrid("run", *KEEP, "Hi").returncode == 0


def test_an_engine_that_dies_with_a_message_unread_is_gone() -> None:
    """The kernel reports a reset then, not an end."""
    from hybrid_cli.exit_status import Failure
    from hybrid_cli.local.protocol import Keep
    from hybrid_cli.local.warm import WarmEngine

    door, other = socket.socketpair()
    engine = WarmEngine(door)
    engine.send(Keep(1.0))
    other.close()
    with pytest.raises(Failure, match="the warm engine ended; run the command again"):
        next(engine.received())
    engine.stop()


def test_a_start_that_was_killed_does_not_prevent_the_next(hybrid: Hybrid, short_home: Path) -> None:
    hybrid("run", *KEEP, "Hi")
    path = socket_of(short_home)
    hybrid("models", "unload")
    path.with_name(f"{path.name}.new").touch()
    hybrid("run", *KEEP, "Hi")
    assert len(loaded(short_home)) == 1


def test_many_callers_at_once_each_get_their_own_answer(
    hybrid: Hybrid, short_home: Path, command: str
) -> None:
    hybrid("run", *KEEP, "Hi")
    words = ["red", "green", "blue", "black", "white", "pink"]
    runs = {
        word: started(short_home, command, *KEEP, "--schema", f'{{"enum": ["{word}"]}}', "Which?")
        for word in words
    }
    assert {word: run.communicate(timeout=60)[0] for word, run in runs.items()} == {
        word: f'"{word}"\n'.encode() for word in words
    }
    assert len(loaded(short_home)) == 1


def test_nonsense_on_the_socket_harms_nobody(hybrid: Hybrid, short_home: Path) -> None:
    hybrid("run", *KEEP, "Hi")
    (engine,) = loaded(short_home)
    deep = b"[" * 100_000 + b"]" * 100_000
    task = b'{"messages": [], "max_tokens": 1, "template_variables": {"a": %s}}' % deep
    begin = b'{"message": "Begin", "sequence": 1, "task": %s}\n' % task
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 1000 + b"\n", b'{"message": "Begin"}\n', b"{", begin):
        with connected(short_home) as door:
            door.sendall(data)
    half_open = connected(short_home)
    assert hybrid("run", *KEEP, "Hi").returncode == 0
    assert [one["pid"] for one in loaded(short_home)] == [engine["pid"]]
    half_open.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_user_is_not_served(hybrid: Hybrid, short_home: Path) -> None:
    hybrid("run", *KEEP, "Hi")
    path = socket_of(short_home)
    path.chmod(0o666)
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(10)
        pid = os.fork()
        if pid == 0:  # connect as the user nobody, whatever the folders' rights are
            code = 1
            with contextlib.suppress(OSError):
                folder = os.open(path.parent, os.O_RDONLY)
                os.fchdir(folder)
                os.setresuid(65534, 65534, 65534)
                door.connect(path.name)
                code = 0 if door.recv(100) == b"" else 2
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in (0, 1)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_engine_opens_no_socket_after_its_guard(hybrid: Hybrid, short_home: Path, tmp_path: Path) -> None:
    hybrid("run", *KEEP, "Hi")
    (engine,) = loaded(short_home)
    trace = tmp_path / "trace"
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-e", "trace=socket,connect,accept4", "-o", trace, "-p", str(engine["pid"])],
        stderr=subprocess.DEVNULL,
    )
    try:
        until(
            lambda: "TracerPid:\t0" not in Path(f"/proc/{engine['pid']}/status").read_text(encoding="utf-8")
        )
        assert hybrid("run", *KEEP, "Hi").returncode == 0
        until(lambda: "accept4" in trace.read_text(encoding="utf-8"))
        calls = trace.read_text(encoding="utf-8")
        assert "socket(" not in calls
        assert "connect(" not in calls
    finally:
        tracer.terminate()
        tracer.wait()


def test_the_engine_cannot_leave_and_holds_no_secret(hybrid: Hybrid, short_home: Path) -> None:
    hybrid("run", *KEEP, "Hi", OPENAI_API_KEY="sk-of-the-starter")
    (engine,) = loaded(short_home)
    status = Path(f"/proc/{engine['pid']}/status").read_text(encoding="utf-8")
    assert "Seccomp:\t2" in status
    assert b"sk-of-the-starter" not in Path(f"/proc/{engine['pid']}/environ").read_bytes()
    assert Path(f"/proc/{engine['pid']}/cwd").resolve() == Path("/")
    sockets = []
    for one in Path(f"/proc/{engine['pid']}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed in between
            sockets.append(str(one.readlink()))
    assert sum(one.startswith("socket:") for one in sockets) <= 2  # its own, and that of this question


def test_a_connection_to_the_engine_opens_no_way_out(hybrid: Hybrid, short_home: Path) -> None:
    """It is made before the guard of a run under forbid. Each attempt is a process of its own."""
    hybrid("run", *KEEP, "Hi")
    path = socket_of(short_home)
    connect = (
        f"import os; folder = os.open({str(path.parent)!r}, os.O_RDONLY); engine = socket.socket(socket.AF_UNIX)\n"
        f"engine.connect(f'/proc/self/fd/{{folder}}/{path.name}'); assert b'Ready' in engine.recv(1000)"
    )
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        other = Path(os.environ.get("TMPDIR", "/tmp")) / f"hybrid-test-{os.getpid()}"  # noqa: S108  a short address
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as unix:
            unix.bind(str(other))
            unix.listen()
            port = tcp.getsockname()[1]
            ways = {name: attempt(name, "seccomp", port, str(other), connect) for name in ATTEMPTS}
            other.unlink()
    assert ways == dict.fromkeys(ATTEMPTS, "blocked")


def test_without_a_private_folder_nothing_stays(hybrid: Hybrid, home: Path) -> None:
    folder = home / "state" / "run"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert hybrid("run", *KEEP, "Hi").returncode == 0
    assert not list(folder.glob("*.socket"))


def test_a_folder_that_cannot_be_used_costs_nothing_but_the_time(hybrid: Hybrid, home: Path) -> None:
    """As on a full disk, or one that is only to be read."""
    (home / "state" / "run" / "lock").mkdir(parents=True)
    (home / "state" / "run").chmod(0o700)
    done = hybrid("run", *KEEP, "Hi")
    assert (done.returncode, loaded(home)) == (0, [])


def test_keep_alive_0_ends_a_loaded_model(hybrid: Hybrid, short_home: Path) -> None:
    hybrid("run", *KEEP, "Hi")
    (engine,) = loaded(short_home)
    hybrid("run", *KEEP[:3], "0", *KEEP[4:], "Hi")
    until(lambda: not is_alive(engine["pid"]))


def test_looking_at_a_loaded_model_does_not_keep_it(hybrid: Hybrid, short_home: Path) -> None:
    hybrid("run", *KEEP[:3], "1s", *KEEP[4:], "Hi")
    (engine,) = loaded(short_home)
    until(lambda: not loaded(short_home) and not is_alive(engine["pid"]))  # it asks every few milliseconds


@pytest.mark.slow
def test_a_hundred_requests_with_random_kills(hybrid: Hybrid, short_home: Path, command: str) -> None:
    """Each ends with the right answer or says that its engine is gone; nothing stays that nobody uses."""
    chance = random.Random(7)
    right = hybrid("run", "-p", "offline", *KEEP[4:], "Name a colour.").stdout
    codes: list[int] = []
    for _ in range(25):
        runs = [started(short_home, command, *KEEP, "Name a colour.") for _ in range(4)]
        time.sleep(chance.random() * 1.5)
        victim = chance.choice(["engine", "caller", "nobody"])
        if victim == "caller":
            killed = runs.pop()
            killed.kill()
            killed.communicate()
        elif victim == "engine":
            for engine in loaded(short_home):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(engine["pid"], signal.SIGKILL)
        for run in runs:
            answer, errors = run.communicate(timeout=60)
            codes.append(run.returncode)
            if run.returncode == 0:
                assert answer == right
            else:
                assert (run.returncode, answer) == (1, b""), errors
                assert b"the warm engine ended; run the command again" in errors
    assert codes.count(0) > 50
    engines = loaded(short_home)
    assert len(engines) <= 1
    assert all(engine["callers"] == 0 for engine in engines)


def test_a_project_cannot_keep_a_model_loaded(hybrid: Hybrid, home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    (project / ".hybrid.yaml").write_text("version: 1\nlocal: {keep_alive: forever}\n", encoding="utf-8")
    assert hybrid("run", "-p", "offline", "Hi", cwd=project).returncode == 3
    assert not (home / "state" / "run").exists()


# ---- the scheduler of a warm engine, in this process ----------------------------------------------------


def script(tasks: list[Task]) -> Any:
    """An inbox that gives one task after another, each when the one before is complete."""
    from hybrid_cli.local.scheduler import Inbox

    class Script(Inbox):
        def poll(self) -> None:
            """Nothing arrives by itself."""

        def _wait(self) -> None:
            if tasks:
                self._begin(len(tasks), tasks.pop(0))
            else:
                self.ended = True

    return Script()


def test_a_following_turn_decodes_only_what_is_new(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hybrid_cli.local.decode import Decoder
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.protocol import SchedulerRequest
    from hybrid_cli.local.warm_scheduler import WarmScheduler

    first = [{"role": "user", "content": "Remember these words: " + "apple pear plum " * 60}]
    second = [
        *first,
        {"role": "assistant", "content": "I will."},
        {"role": "user", "content": "Which was first?"},
    ]
    decoded: list[int] = []
    whole = Decoder._decode

    def count(self: Decoder, entries: Any) -> None:
        decoded.append(len(entries))
        whole(self, entries)

    monkeypatch.setattr(Decoder, "_decode", count)
    loader = Loader()
    loader.load(str(model_file))
    events: list[Event] = []
    request = SchedulerRequest(str(model_file), [], None, threads=1)
    other = [{"role": "user", "content": "Hello"}]
    tasks = [Task(messages, max_tokens=1) for messages in (first, second, other, second)]
    WarmScheduler(loader, request, script(tasks), events.append).run()
    read = [event.tokens_in for event in events if isinstance(event, Finished)]
    assert decoded[0] == read[0]
    assert decoded[1] <= read[1] - read[0] + 8  # the template ends an open turn otherwise than a closed one


def test_sequences_share_their_passes_once_a_lane_holds_them_all(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single one beside the others would cost a pass over the weights of its own for each token."""
    from hybrid_cli.local.decode import Decoder
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.protocol import SchedulerRequest
    from hybrid_cli.local.scheduler import Inbox
    from hybrid_cli.local.warm_scheduler import WarmScheduler

    story = [
        Task([{"role": "user", "content": f"Tell story {number}."}], max_tokens=20) for number in range(8)
    ]
    waves = [story[:4], story[4:], story[:1]]
    steps: list[tuple[int, int]] = []
    whole = Decoder.step

    class Waves(Inbox):
        def poll(self) -> None:
            """Nothing arrives while others are answered."""

        def _wait(self) -> None:
            steps.append((0, 0))
            for number, task in enumerate(waves.pop(0) if waves else ()):
                self._begin(10 * len(waves) + number, task)
            self.ended = not self.waiting

    def count(self: Decoder) -> None:
        steps.append((id(self), len(self.active)))
        whole(self)

    monkeypatch.setattr(Decoder, "step", count)
    loader = Loader()
    loader.load(str(model_file))
    events: list[Event] = []
    WarmScheduler(loader, SchedulerRequest(str(model_file), [], 4, threads=1), Waves(), events.append).run()
    begins = [place for place, step in enumerate(steps) if step == (0, 0)]
    first, second, third = (steps[a + 1 : b] for a, b in itertools.pairwise(begins))
    assert len(dict.fromkeys(lane for lane, _ in first)) == 2, "the first one began alone"
    assert len(dict.fromkeys(lane for lane, _ in second)) == 1
    assert max(active for _, active in second) == 4
    assert {active for _, active in third} == {1}
    assert sum(isinstance(event, Finished) for event in events) == 9


def test_a_size_for_one_sequence_has_no_second() -> None:
    assert Size.for_scheduler(4096, 0, 1, None) == Size(1, False, False, 4096, 4096)
