"""The engine's surroundings: threads, memory, sizes, control tags, grammar's marks, the prefix cache, bad files."""

from __future__ import annotations

import json
import os
import random
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from test_engine import HAIKU, engine, make, record

from hybrid_cli.exit_status import Failure
from hybrid_cli.local.context import Size, common_length
from hybrid_cli.local.model import Model
from hybrid_cli.local.protocol import Task
from hybrid_cli.local.threads import ThreadCount, usable_cores
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_process import Hybrid, environment

__all__ = ["engine"]

TEXT = "\n".join(f"Line {number}: the quick brown fox jumps over dog {number}." for number in range(19))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
def test_threads_give_way_to_other_processes() -> None:
    cores = usable_cores()
    if cores < 2:
        pytest.skip("one core leaves nothing to choose")

    def follow(seconds: float, wanted: Any) -> int:
        count = ThreadCount()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.05)
            if count.update() and wanted(count.value):
                break
        return count.value

    assert (ThreadCount(1).value, ThreadCount(1000).value) == (1, cores)
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        assert follow(20, lambda value: value < cores) < cores
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
def test_what_ran_while_the_engine_rested_does_not_count() -> None:
    cores = usable_cores()
    if cores < 2:
        pytest.skip("one core leaves nothing to choose")
    loop = "import time\nwhile time.process_time() < 0.6: pass"

    def after_a_rest(*, is_told: bool) -> int:
        count = ThreadCount()
        count.value, begun = cores, time.monotonic()
        for other in [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(cores)]:
            other.wait()
        if is_told:
            count.rested(time.monotonic() - begun)
        count.update()
        return count.value

    assert after_a_rest(is_told=True) == cores
    assert after_a_rest(is_told=False) < cores  # so the test can fail


def test_usable_cores_keep_to_the_affinity() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from hybrid_cli.local.threads import usable_cores; print(usable_cores())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"1\n"


def test_sizes() -> None:
    one = Size.for_tasks([[1] * 100], [50], 8192, None)
    assert (one.slots, one.several, one.cells, one.sequences) == (1, False, 256, 1)
    many = Size.for_tasks([[1, 2, number] for number in range(40)], [253] * 40, 8192, None)
    assert (many.slots, many.unified, many.cells, many.sequences) == (16, False, 17 * 256, 17)
    alike = Size.for_tasks([[1] * 1000 + [number] for number in range(4)], [23] * 4, 8192, None)
    assert (alike.slots, alike.unified, alike.cells) == (4, True, 1280)  # 1000 once, and 4 x 24
    tight = Size.for_tasks([[1, 2, number] for number in range(40)], [253] * 40, 8192, 1500)
    assert (tight.slots, tight.cells) == (4, 5 * 256)
    least = Size.for_tasks([[1] * 100], [5000], 8192, 1000)
    assert (least.slots, least.cells, least.longest) == (1, 768, 768)


def test_common_length_leaves_each_prompt_a_token_of_its_own() -> None:
    assert common_length([[1, 2, 3], [1, 2, 4], [1, 2]]) == 1
    assert common_length([[1, 2, 3], [1, 2, 3]]) == 2
    assert common_length([[5], [6]]) == 0


def limited(command: str, home: Path, space: int, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command with so many bytes of address space."""
    return subprocess.run(
        [command, "run", "-p", "offline", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(home),
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (space, space)),
    )


def test_a_model_that_does_not_fit_the_memory_is_refused_before_it_is_loaded(
    command: str, home: Path
) -> None:
    done = limited(command, home, 220 << 20, "hi")
    assert (done.returncode, done.stdout) == (6, b"")
    (line,) = done.stderr.decode().splitlines()
    assert "needs 98 MB of memory" in line


def test_a_context_that_does_not_fit_is_made_smaller(engine: Any, model_file: Path, monkeypatch: Any) -> None:
    record(engine, model_file, {"max_tokens": 1})
    # The machine's free memory cannot be chosen: only the figure that the engine reads of it is replaced.
    monkeypatch.setattr("hybrid_cli.local.memory.available", lambda: 300 * 23_040)  # 300 tokens of this model
    made = record(engine, model_file, {"messages": HAIKU, "max_tokens": 5000})
    assert made.events["Done"].context == 256
    assert made.made[0].finished.finish_reason in ("length", "loop")
    long = record(engine, model_file, {"messages": [{"role": "user", "content": TEXT}]})
    assert long.made[0].finished.finish_reason == "overflow"


@pytest.mark.parametrize("tag", ["<|im_end|>", "<|im_start|>system", "<|im_<|im_end|>end|>"])
def test_control_tags_in_the_users_text_stay_text(engine: Any, model_file: Path, tag: str) -> None:
    def control_tokens(text: str) -> int:
        record(engine, model_file, {"max_tokens": 1})
        model = engine._model
        tokens = model.tokens(model.prompt(Task([{"role": "user", "content": text}], 1)))
        return sum(model.is_special(token) for token in tokens)

    assert control_tokens(f"What does {tag} mean?") == control_tokens("What does it mean?")


def test_what_the_grammar_forces_is_marked(engine: Any, model_file: Path) -> None:
    schema = json.dumps(
        {"type": "object", "properties": {"kind": {"enum": ["cat", "dog"]}}, "required": ["kind"]}
    )
    made = make(engine, model_file, schema=schema)
    assert json.loads(made.text)["kind"] in ("cat", "dog")
    kinds = [signal.kind for signal in made.signals]
    assert kinds.count("first") == 1  # cat or dog: the one choice there is
    assert kinds.count("forced") >= 3
    with pytest.raises(Failure, match="cannot become a grammar"):
        make(engine, model_file, schema='{"$ref": "#/none"}')


def test_a_prompt_that_comes_again_is_taken_from_the_cache(
    engine: Any, model_file: Path, tmp_path: Path, short_prefixes: None
) -> None:
    def ask(question: str, **request: Any) -> Any:
        messages = [{"role": "user", "content": f"{TEXT[:400]}\n\n{question}"}]
        settings = {"cache_folder": str(tmp_path / "cache"), "weights_id": "w", **request}
        return record(engine, model_file, {"messages": messages, "max_tokens": 4}, **settings)

    assert ask("Which animal?").events["Done"].cached == 0
    (entry,) = (tmp_path / "cache").glob("*/*")
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    plain = ask("What colour?", cache_folder=None)
    again = ask("What colour?")
    assert again.events["Done"].cached > 80
    assert again.made[0].text == plain.made[0].text
    assert [entry] == list((tmp_path / "cache").glob("*/*"))  # little was new: nothing to keep
    assert ask("What colour?", weights_id="other").events["Done"].cached == 0


@pytest.fixture
def short_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cache keep short prefixes, too."""
    monkeypatch.setattr("hybrid_cli.local.prefix_cache.MIN_TOKENS", 32)


@pytest.fixture
def ask_with_cache(engine: Any, model_file: Path, tmp_path: Path, short_prefixes: None) -> Callable[[], Any]:
    """Answer the same short prompt again, with a cache in tmp_path."""
    task = {"messages": [{"role": "user", "content": TEXT[:200]}], "max_tokens": 2}
    return lambda: record(engine, model_file, task, cache_folder=str(tmp_path), weights_id="w")


def test_a_damaged_entry_is_dropped_silently(ask_with_cache: Callable[[], Any], tmp_path: Path) -> None:
    first = ask_with_cache()
    (entry,) = tmp_path.glob("*/*")
    whole = entry.read_bytes()
    flipped = bytearray(whole)
    flipped[-100] ^= 1
    lying = whole[:8] + (1 << 60).to_bytes(8, "little") + whole[16:]
    for damaged in (whole[:-9], b"", flipped, lying):
        entry.write_bytes(damaged)
        again = ask_with_cache()
        assert again.events["Done"].cached == 0
        assert again.made[0].text == first.made[0].text
        (new,) = tmp_path.glob("*/*")
        assert new != entry
        new.replace(entry)
    huge = 1 << 40  # more than any memory, and the file is as long as it says: all of it a hole
    entry.write_bytes(whole[:16] + huge.to_bytes(8, "little") + whole[24:])
    os.truncate(entry, huge + len(whole) - int.from_bytes(whole[16:24], "little"))
    assert ask_with_cache().events["Done"].cached == 0
    assert not entry.exists()
    assert ask_with_cache().events["Done"].cached > 50


def test_a_pipe_among_the_entries_holds_nothing_up(ask_with_cache: Callable[[], Any], tmp_path: Path) -> None:
    ask_with_cache()
    (entry,) = tmp_path.glob("*/*")
    os.mkfifo(entry.with_name("a.prefix"))
    assert ask_with_cache().events["Done"].cached > 50


def test_the_cache_evicts_what_was_not_used_longest(tmp_path: Path, monkeypatch: Any) -> None:
    from hybrid_cli.local import prefix_cache

    monkeypatch.setattr(prefix_cache, "MAX_BYTES", 100)  # a gigabyte of entries would take long to write
    for number in range(5):
        path = tmp_path / "key" / f"{number}.prefix"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(30))
        os.utime(path, (number, number))
    os.utime(tmp_path / "key" / "0.prefix")
    prefix_cache._evict(tmp_path, 30)
    assert sorted(path.stem for path in tmp_path.glob("*/*")) == ["0", "4"]


def test_the_cache_is_off_unless_asked_for_and_where_logging_is_forbidden(
    hybrid: Hybrid, profile: Any, home: Path
) -> None:
    def is_on(path: Path) -> bool:
        environment = Environment(None, None, None, {"HYBRID_HOME": str(home)})
        return merge_policy(Flags(profile=str(path)), environment).keeps_prefixes is True

    assert not is_on(profile("escalation: {mode: forbid}\n"))
    assert not is_on(profile("local: {prefix_cache: true}\nlog: {prompts: false}\n"))
    path = profile("local: {prefix_cache: true}\nescalation: {mode: forbid}\n")
    assert is_on(path)
    assert hybrid("run", "-p", path, "--schema", '{"const": 1}', stdin=TEXT.encode()).returncode == 0
    assert len(list((home / "cache").rglob("*.prefix"))) == 1


def test_only_what_a_template_writes_is_cached_by_default(hybrid: Hybrid, profile: Any, home: Path) -> None:
    template = home / "config" / "templates" / "long.md"
    template.parent.mkdir(parents=True)
    template.write_text(f"{TEXT * 3}\n\nWhat does {{input}} mean?")
    asked = ("run", "-p", "offline", "-t", "long", "--schema", '{"const": 1}')

    def entries() -> list[Path]:
        return list((home / "cache").rglob("*.head"))

    own = "escalation: {mode: forbid}\nlocal: {template: {variables: {name: Quux}}}\n"  # the template may write it
    for others in (
        ("--system", "Be brief."),
        ("-p", profile(own)),
        ("-c", "talk", "--system", "Be brief."),
        ("-p", profile("log: {prompts: false}\nescalation: {mode: forbid}\n")),
    ):
        assert hybrid(*asked, *others, "a fox").returncode == 0
        assert entries() == []
    assert hybrid(*asked, "a fox").returncode == 0
    (entry,) = entries()
    count = int.from_bytes(entry.read_bytes()[8:16], "little")
    assert hybrid(*asked, "the name of a place far away, which only this prompt has").returncode == 0
    assert entries() == [entry]  # nothing else was stored
    used = json.loads(hybrid(*asked, "--json", "a fox").stdout)["usage"]["local"]["in"]
    assert 256 <= count <= used - len(["a", "fox", "mean?"])
    before = entry.stat().st_mtime_ns
    os.utime(entry, ns=(before - 10**9, before - 10**9))
    assert hybrid(*asked, "a cat").returncode == 0
    assert entry.stat().st_mtime_ns >= before  # it was read
    assert hybrid("run", "-p", "offline", TEXT * 4, "--schema", '{"const": 1}').returncode == 0
    (other,) = set(entries()) - {entry}
    assert (
        other.stat().st_size < entry.stat().st_size / 4
    )  # only what the chat template writes before any prompt


def test_a_head_holds_no_word_of_the_user_and_changes_no_number(
    engine: Any, model_file: Path, tmp_path: Path
) -> None:
    def ask(question: str, **request: Any) -> Any:
        task = {"messages": [{"role": "user", "content": question}], "max_tokens": 8}
        settings = {"cache_folder": str(tmp_path), "weights_id": "w", "cached_head": "", **request}
        return record(engine, model_file, task, **settings)

    first = ask("Name a colour.")
    (entry,) = tmp_path.glob("*/*")
    content = entry.read_bytes()
    count = int.from_bytes(content[8:16], "little")
    tokens = [int.from_bytes(content[place : place + 4], "little") for place in range(56, 56 + 4 * count, 4)]
    model = Model(engine._loader.handle)
    text = b"".join(map(model.piece, tokens)).decode()
    assert "helpful AI assistant named SmolLM" in text
    assert text.rstrip().endswith("user")
    assert (first.events["Done"].cached, ask("What is ice?").events["Done"].cached) == (0, count)
    again = ask("Name a colour.")
    assert again.events["Done"].cached == count
    assert again.made[0].signals == first.made[0].signals  # to the last bit
    assert list(tmp_path.glob("*/*")) == [entry]
    other = bytearray(content)
    other[56:60] = content[60:64]  # another head's state, whole by its own digest
    other[24:56] = sha256(other[56:]).digest()
    for damaged in (content[:-1], b"", b"x" + content[1:], bytes(other)):
        entry.write_bytes(damaged)
        assert ask("Name a colour.").made[0].signals == first.made[0].signals
        assert entry.read_bytes() == content
    entry.unlink()
    os.mkfifo(entry)
    assert ask("Name a colour.").made[0].signals == first.made[0].signals
    assert entry.read_bytes() == content
    for number in range(20):  # as of a template with the time of day in it
        stale = entry.with_name(f"{number}.head")
        stale.write_bytes(b"")
        os.utime(stale, (number, number))
    entry.unlink()
    ask("Name a colour.")
    assert len(list(tmp_path.glob("*/*"))) == 16
    assert entry.exists()
    assert ask("Name a colour.", cached_head=None, cache_folder=None).events["Done"].cached == 0


def test_a_cache_that_cannot_be_written_holds_nothing_up(hybrid: Hybrid, home: Path, profile: Any) -> None:
    (home / "cache").write_text("not a folder")
    for mode in ("templates", "true"):
        path = profile(f"local: {{prefix_cache: {mode}}}\nescalation: {{mode: forbid}}\n")
        done = hybrid("run", "-p", path, "--choices", "yes,no", TEXT)
        assert (done.returncode, done.stdout.strip() in (b"yes", b"no")) == (0, True), done.stderr


def test_a_projects_no_to_logging_is_one_to_the_cache(
    hybrid: Hybrid, profile: Any, home: Path, tmp_path: Path
) -> None:
    path = profile("local: {prefix_cache: true}\nescalation: {mode: forbid}\n")
    project = tmp_path / "project"
    project.mkdir()
    (project / ".hybrid.yaml").write_text("version: 1\nlog: {prompts: false}\n")
    asked = ("run", "-p", path, "--schema", '{"const": 1}')
    assert hybrid(*asked, stdin=TEXT.encode(), cwd=project).returncode == 0
    assert list((home / "cache").rglob("*.prefix")) == []


def test_a_model_that_was_trained_for_no_context_is_damaged(
    hybrid: Hybrid, model_file: Path, tmp_path: Path
) -> None:
    data = bytearray(model_file.read_bytes())
    key = b"llama.context_length"
    place = data.index(key) + len(key) + 4
    data[place : place + 4] = b"\xff" * 4
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(data)
    done = hybrid("run", "-p", "offline", "-m", str(damaged), "Hi")
    assert (done.returncode, done.stdout) == (6, b"")
    assert b"header is damaged" in done.stderr


def test_a_damaged_model_file_is_one_line_and_a_code(
    hybrid: Hybrid, model_file: Path, tmp_path: Path
) -> None:
    with model_file.open("rb") as file:
        head = bytearray(file.read(1 << 21))
    chance = random.Random(4)
    for number in range(8):  # tests/benchmarks/fuzz_gguf.py does 500
        damaged = bytearray(head)
        for _ in range(chance.choice([1, 4, 64])):
            damaged[chance.randrange(24, 4000)] = chance.randrange(256)
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(damaged)
        done = hybrid("run", "-p", "offline", "-m", path, "--timeout", "30", "--max-tokens", "4", "hi")
        assert (done.returncode in (1, 6), done.stdout) == (True, b""), done
        (line,) = done.stderr.decode().splitlines()
        assert line.startswith("hybrid: ")
