"""The server's process: its end, its engine's end, its sockets, its token."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import uvicorn

from hybrid_cli.serve import server
from hybrid_cli.serve.listening import listen
from hybrid_process import Hybrid, environment
from scripted_cloud import ScriptedCloud
from served_hybrid import Served, is_alive, kill, loaded_engines, serving, write_profiles

COLOUR = [{"role": "user", "content": "Name a colour."}]
ENDLESS: dict[str, Any] = {
    "model": "hybrid/offline",
    "messages": [{"role": "user", "content": "Tell a story."}],
    "max_tokens": 4000,
    "temperature": 3.0,
}


def ask(served: Served, **settings: Any) -> str:
    done = served.client().chat.completions.create(
        **{"model": "hybrid/offline", "messages": COLOUR, "max_tokens": 8, **settings}
    )
    return str(done.choices[0].message.content)


# ---- the engine's end ---------------------------------------------------------------------------------------


def test_the_engine_may_be_killed_between_requests(served: Served) -> None:
    before = ask(served)
    (engine,) = loaded_engines(served.home)
    kill(engine["pid"])
    assert ask(served) == before
    (engine,) = loaded_engines(served.home)
    os.kill(engine["pid"], signal.SIGTERM)
    assert ask(served) == before


def test_the_engine_may_be_killed_during_requests(served: Served) -> None:
    before = ask(served)
    stream = served.client().chat.completions.create(**ENDLESS, stream=True)
    next(iter(stream))
    (engine,) = loaded_engines(served.home)
    kill(engine["pid"])
    with pytest.raises(openai.APIError, match="the warm engine ended"):
        list(stream)
    assert ask(served) == before
    served.until_idle(10)


def test_an_engine_that_cannot_stay_is_a_worker_of_the_server(
    command: str, home: Path, cloud: ScriptedCloud
) -> None:
    """Where the folder for sockets is not private, the server has its own guarded process, and starts it again."""
    (home / "state" / "run").mkdir(parents=True, mode=0o755)
    with serving(command, home, cloud) as served:
        before = ask(served)
        (worker,) = children(served.process.pid)
        assert "Seccomp:\t2" in Path(f"/proc/{worker}/status").read_text("utf-8")
        kill(worker)
        assert ask(served) == before
        (worker,) = children(served.process.pid)
        served.close_clients()
    assert not is_alive(worker), "an engine outlives its server"


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(one) for one in (task / "children").read_text().split()]
    return [one for one in found if is_alive(one)]


# ---- the server's end ---------------------------------------------------------------------------------------


def test_sigterm_lets_an_answer_finish(command: str, served: Served) -> None:
    outcome: list[str] = []
    with serving(command, served.home, served.cloud, "--grace", "20") as ending:
        ask(ending)
        thread = threading.Thread(target=lambda: outcome.append(ask(ending, max_tokens=60)))
        thread.start()
        while not ending.metric("hybrid_requests_in_flight"):
            time.sleep(0.01)
        ending.process.send_signal(signal.SIGTERM)
        thread.join(20)
        assert ending.process.wait(20) == 143
        ending.close_clients()
    assert outcome
    assert outcome[0]


def test_sigterm_ends_an_endless_answer_within_two_seconds(command: str, served: Served) -> None:
    with serving(command, served.home, served.cloud) as ending:
        stream = ending.client().chat.completions.create(**ENDLESS, stream=True)
        next(iter(stream))
        begun = time.monotonic()
        ending.process.send_signal(signal.SIGTERM)
        assert ending.process.wait(10) == 143
        assert time.monotonic() - begun < 2.5
        with pytest.raises(openai.APIError, match="the server ends; send the request again"):
            list(stream)
        ending.close_clients()


def test_sigterm_answers_a_whole_request_with_an_error_object(command: str, served: Served) -> None:
    caught: list[openai.APIStatusError] = []

    def ask_whole(server: Served) -> None:
        try:
            server.client().chat.completions.create(**ENDLESS)
        except openai.APIStatusError as error:
            caught.append(error)

    with serving(command, served.home, served.cloud) as ending:
        thread = threading.Thread(target=ask_whole, args=(ending,))
        thread.start()
        while not ending.metric("hybrid_requests_in_flight"):
            time.sleep(0.01)
        ending.process.send_signal(signal.SIGTERM)
        assert ending.process.wait(10) == 143
        thread.join(10)
        ending.close_clients()
    assert [(error.status_code, error.code) for error in caught] == [(503, "terminated")]


def test_a_killed_server_leaves_no_process(command: str, served: Served) -> None:
    with serving(command, served.home, served.cloud) as ending:
        ask(ending, model="hybrid/offline")
        before = {engine["pid"] for engine in loaded_engines(served.home)}
        ending.process.kill()
        ending.process.wait(5)
        ending.close_clients()
    assert before == {engine["pid"] for engine in loaded_engines(served.home)}  # the module's server uses it
    assert ask(served)


def test_a_server_that_forbids_is_guarded_by_the_kernel(
    command: str, home: Path, cloud: ScriptedCloud
) -> None:
    """It accepts and answers, starts its engine again, and has no way out for any profile."""
    write_profiles(home, cloud)
    address = f"@hybrid-guarded-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(address.replace("@", "\0"))
        notified.settimeout(20)
        with serving(command, home, cloud, "--escalation", "forbid", NOTIFY_SOCKET=address) as guarded:
            assert notified.recv(100) == b"READY=1"
            assert "Seccomp:\t2" in Path(f"/proc/{guarded.process.pid}/status").read_text("utf-8")
            done = guarded.client().chat.completions.create(
                model="hybrid/unsure", messages=COLOUR, max_tokens=8
            )
            answer = done.model_extra["hybrid"]
            assert (answer["policy"]["enforcement"], answer["policy"]["decided_by"]) == (
                "seccomp",
                "--escalation",
            )
            (worker,) = children(guarded.process.pid)
            kill(worker)
            assert ask(guarded) == ask(guarded)
            with pytest.raises(openai.PermissionDeniedError):
                ask(guarded, model="hybrid/always")
            guarded.close_clients()
        assert notified.recv(100) == b"STOPPING=1"
    assert cloud.received == []


# ---- sockets ------------------------------------------------------------------------------------------------


def test_a_unix_socket(command: str, served: Served, tmp_path: Path) -> None:
    path = Path(f"/tmp/hybrid-test-{os.getpid()}.sock")  # noqa: S108  a Unix socket's path must be short
    for _ in range(2):
        process = subprocess.Popen(
            [command, "serve", "--listen", f"unix:{path}"],
            env=environment(served.home),
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        assert b"listening on unix:" in process.stderr.readline()
        assert path.stat().st_mode & 0o777 == 0o600
        transport = httpx2.HTTPTransport(uds=str(path))
        headers = {"authorization": f"Bearer {served.token}"}
        with httpx2.Client(transport=transport, headers=headers, timeout=60) as client:
            assert client.get("http://localhost/v1/models").status_code == 200
        process.kill()  # leaves the socket, which the next one replaces
        process.communicate()
    assert path.exists()
    path.unlink()


def test_an_address_in_use_and_other_mistakes_are_told(hybrid: Hybrid, served: Served) -> None:
    for address, code, why in (
        (f"127.0.0.1:{served.port}", 1, b"address already in use; use another --listen"),
        ("127.0.0.1", 2, b"neither HOST:PORT nor unix:PATH"),
        ("127.0.0.1:99999", 2, b"neither HOST:PORT nor unix:PATH"),
        ("unix:/no/such/folder/x", 1, b"No such file or directory"),
        ("unix:/etc/hostname", 2, b"is no socket"),
    ):
        done = hybrid("serve", "--listen", address)
        assert (done.returncode, why.lower() in done.stderr.lower()) == (code, True), done.stderr


def test_systemd_passes_the_socket_and_is_told(command: str, served: Served, tmp_path: Path) -> None:
    """As systemd does it: a listening socket at descriptor 3, LISTEN_PID of the program itself, and NOTIFY_SOCKET."""
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(f"\0hybrid-test-{os.getpid()}")
    notified.settimeout(20)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    activate = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True);"
        "os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[2], sys.argv[2:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", activate, str(listener.fileno()), command, "serve"],
        env=environment(served.home, LISTEN_FDS="1", NOTIFY_SOCKET=f"@hybrid-test-{os.getpid()}"),
        pass_fds=[listener.fileno()],
        stderr=subprocess.PIPE,
    )
    listener.close()
    assert notified.recv(100) == b"READY=1"
    headers = {"authorization": f"Bearer {served.token}"}
    assert httpx2.get(f"http://127.0.0.1:{port}/v1/models", headers=headers).status_code == 200
    process.terminate()
    assert notified.recv(100) == b"STOPPING=1"
    assert process.wait(10) == 143
    process.communicate()
    notified.close()


def test_a_request_that_does_not_arrive_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a silent connection, nor half a head, nor one byte after another keeps a place; a whole head does."""
    monkeypatch.setattr(server, "_HEAD_SECONDS", 0.3)

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.6)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def ended(port: int, *pieces: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.1)
        try:
            return await asyncio.wait_for(reader.read(20), 3)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def main() -> list[bytes]:
        config = uvicorn.Config(answer, http=server._Protocol, lifespan="off", log_config=None)
        running = server._Server(config, server.Notifier({}), lambda: None, 1)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        task = asyncio.ensure_future(running._serve([listener]))
        half = b"GET / HTTP/1.1\r\nHost: x"
        found = await asyncio.gather(
            ended(port), ended(port, half), ended(port, *[b"G", b"E"] * 5), ended(port, half, b"\r\n\r\n")
        )
        running.should_exit = True
        await task
        return list(found)

    *silent, whole = asyncio.run(main())
    assert silent == [b"", b"", b""]
    assert whole.startswith(b"HTTP/1.1 204")


# ---- token, origins, logs -----------------------------------------------------------------------------------


def test_the_token_is_made_once_and_private(hybrid: Hybrid, home: Path) -> None:
    first = hybrid("serve", "--show-token")
    path = home / "config" / "serve-token"
    assert first.stdout == hybrid("serve", "--show-token").stdout == path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(first.stdout) > 40
    path.chmod(0o644)
    done = hybrid("serve", "--show-token")
    assert done.returncode == 1
    assert b"others can read" in done.stderr


def test_pages_of_an_allowed_origin_may_use_it(command: str, served: Served) -> None:
    with serving(command, served.home, served.cloud, "--allow-origin", "https://app.example") as open_server:
        url = f"{open_server.origin}/v1/models"
        asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
        allowed = httpx2.options(url, headers={"origin": "https://app.example", **asked})
        refused = httpx2.options(url, headers={"origin": "https://evil.example", **asked})
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-origin" not in refused.headers
        headers = {"authorization": f"Bearer {open_server.token}", "origin": "https://app.example"}
        assert (
            httpx2.get(url, headers=headers).headers["access-control-allow-origin"] == "https://app.example"
        )
        assert httpx2.get(url, headers={"origin": "https://app.example"}).status_code == 401


def test_no_text_is_logged(command: str, home: Path, cloud: ScriptedCloud) -> None:
    write_profiles(home, cloud)
    with serving(command, home, cloud, "-v") as verbose:
        body = {"model": "hybrid/always", "messages": [{"role": "user", "content": "swordfish?"}]}
        url = f"{verbose.origin}/v1/chat/completions?swordfish"
        headers = {"authorization": f"Bearer {verbose.token}"}
        for change in ({}, {"stream": True}, {"n": 2}, {"model": "hybrid/none"}):
            httpx2.post(url, json={**body, **change}, headers=headers, timeout=30)
        verbose.process.terminate()
        assert verbose.process.stderr is not None
        lines = verbose.process.stderr.read().decode().splitlines()
    assert [line.rsplit(" ", 2)[0] for line in lines] == [
        f"hybrid: POST /v1/chat/completions {status}" for status in (200, 200, 400, 404)
    ]
    kept = [path for path in home.rglob("*") if path.is_file() and "data" not in path.parts]
    assert not [path for path in kept if b"swordfish" in path.read_bytes()]


def test_a_client_that_leaves_is_no_failure_of_the_server(
    command: str, home: Path, cloud: ScriptedCloud
) -> None:
    with serving(command, home, cloud, "-v") as verbose:
        body = json.dumps(ENDLESS).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {verbose.token}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        for sent in (head + body[:20], head + body):
            with socket.create_connection(("127.0.0.1", verbose.port)) as door:
                door.sendall(sent)
                while not verbose.metric("hybrid_requests_in_flight"):
                    time.sleep(0.02)
            verbose.until_idle()
        stream = verbose.client().chat.completions.create(**ENDLESS, stream=True)
        next(iter(stream))
        stream.close()
        verbose.until_idle()
        assert verbose.metric('hybrid_failures_total{code="client_left"}') == 3
        verbose.close_clients()
        verbose.process.terminate()
        assert verbose.process.stderr is not None
        lines = verbose.process.stderr.read().decode().splitlines()
    assert [line.split()[3] for line in lines] == ["499", "499", "200"]


def test_the_key_is_not_in_the_environment_of_what_it_starts(
    command: str, home: Path, cloud: ScriptedCloud
) -> None:
    write_profiles(home, cloud)
    path = home / "config" / "profiles" / "keyed.yaml"
    path.write_text(
        f"version: 1\n{cloud.section(', key: {env: MY_KEY}')}escalation: {{mode: force}}\n", "utf-8"
    )
    with serving(command, home, cloud, MY_KEY="key-for-this-cloud") as keyed:
        for _ in range(2):
            ask(keyed, model="hybrid/keyed")
        ask(keyed)
        engines = [engine["pid"] for engine in loaded_engines(home)] + children(keyed.process.pid)
        assert engines
        for pid in (keyed.process.pid, *engines):
            assert b"key-for-this-cloud" not in Path(f"/proc/{pid}/environ").read_bytes()
        keyed.close_clients()
    assert [one.headers["authorization"] for one in cloud.received] == ["Bearer key-for-this-cloud"] * 2


def test_without_the_extra_one_line_names_it(installed: Hybrid, tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ImportError('no', name='uvicorn')\n", "utf-8")
    done = installed("serve", "--show-token", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert b"pip install 'hybrid-cli[serve]'" in done.stderr


def test_a_listener_is_never_taken_from_another_process() -> None:
    variables = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid() + 1)}
    listener = listen("127.0.0.1:0", variables)
    listener.close()
    assert listener.where.startswith("http://127.0.0.1:")
    assert json.dumps(variables) == "{}"
