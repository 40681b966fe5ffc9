"""Files in the prompt: their encodings, what else a name may stand for, folders, and what leaves."""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_cli.egress.prompt_rules import RequestFacts
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.prompt import Question, Request, prompt_of, read_question
from hybrid_cli.prompt_files import folders
from hybrid_cli.prompt_files.collect import as_context, read_files
from hybrid_cli.prompt_files.decoding import BinaryContentError, decode
from hybrid_cli.prompt_files.prompt_file import PromptFile
from hybrid_cli.ui.environment import Environment
from hybrid_process import Hybrid
from made_pdf import made_pdf
from scripted_cloud import ScriptedCloud

TEXT = "Grüße, “Anna”\nzwei\n"
UNICODE = {
    "UTF-8": TEXT.encode(),
    "UTF-8 with a mark": TEXT.encode("utf-8-sig"),
    "UTF-16 with a mark": TEXT.encode("utf-16"),
    "UTF-16BE with a mark": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    "UTF-16LE": TEXT.encode("utf-16-le"),
    "UTF-16BE": TEXT.encode("utf-16-be"),
    "UTF-32 with a mark": TEXT.encode("utf-32"),
}
NOTED = {
    "Windows-1252": (TEXT.encode("cp1252"), TEXT, "reading it as Windows-1252"),
    "Latin-1": ("Grüße\n".encode("latin-1"), "Grüße\n", "reading it as Latin-1"),
    "damaged": ("Grüße\n".encode() + b"\xff", "Grüße\n\ufffd", "has 1 damaged"),
}
PROGRAMS = Path(sys.executable).read_bytes()[:4096]
BINARY = {
    "png": b"\x89PNG\r\n\x1a\n and so on",
    "jpeg": b"\xff\xd8\xff\xe0 and so on",
    "zip": b"PK\x03\x04 and so on",
    "zeros": b"text, and then\0",
    "program": PROGRAMS,
    "samples": bytes(range(256)) * 4,
    "control characters": b"\x01\x02\xff\xfe\x03",
    "a mark alone": b"\xff\xfe\x00",
}


def world(**variables: str) -> Environment:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return Environment(None, None, io.StringIO(), {**kept, **variables})


def said(environment: Environment) -> str:
    return environment.stderr.getvalue()  # type: ignore[union-attr]


def question_about(*paths: Path | str, environment: Environment | None = None) -> Question:
    return read_question("Sum up.", environment or world(), may_read=False, files=[*map(str, paths)])


@pytest.mark.parametrize("encoding", UNICODE)
def test_unicode_is_read_without_a_word(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(UNICODE[encoding])
    found = world()
    assert [file.text for file in question_about(path, environment=found).files] == [TEXT]
    assert said(found) == ""


@pytest.mark.parametrize("encoding", NOTED)
def test_other_encodings_are_read_with_a_note(tmp_path: Path, encoding: str) -> None:
    data, text, note = NOTED[encoding]
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    found = world()
    assert [file.text for file in question_about(path, environment=found).files] == [text]
    assert note in said(found)
    assert said(found).count("\n") == 1


@pytest.mark.parametrize("kind", BINARY)
def test_binary_content_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    with pytest.raises(BinaryContentError):
        decode(BINARY[kind])
    path = tmp_path / "a.dat"
    path.write_bytes(BINARY[kind])
    with pytest.raises(Failure, match=r"a\.dat is ") as failure:
        question_about(path)
    assert failure.value.status is ExitStatus.USAGE


def test_fifteen_files_of_five_encodings_and_a_pdf(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    encodings = ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"]
    names = []
    for number in range(14):
        path = tmp_path / f"{number}.txt"
        path.write_bytes(f"Größe {number}: “klein”".encode(encodings[number % 5]))
        names.append(path)
    (tmp_path / "14.pdf").write_bytes(made_pdf("the first page", "the second page"))
    context = question_about(*names, tmp_path / "14.pdf").context
    for number in range(14):
        assert f"File `{number}.txt`:\n```\nGröße {number}: “klein”\n```" in context
    assert "File `14.pdf`:\n```\nthe first page\n\nthe second page\n```" in context
    assert str(tmp_path) not in context
    (tmp_path / "15.bin").write_bytes(PROGRAMS)
    with pytest.raises(Failure, match=r"15\.bin is a program"):
        question_about(*names, tmp_path / "15.bin")


def test_pdfs_that_hold_no_text_or_are_damaged_are_one_line(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    for name, data, why in (
        ("scan.pdf", made_pdf(""), "has no text; its pages may be scanned"),
        ("cut.pdf", made_pdf("hi")[:200], "this PDF is damaged"),
        ("bomb.pdf", b"%PDF-1.4\n" + b"1 0 obj\n" * 99, "this PDF is damaged"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Failure, match=f"{re.escape(name)} .*{why}") as failure:
            question_about(tmp_path / name)
        assert failure.value.status is ExitStatus.USAGE
    (tmp_path / "half.pdf").write_bytes(made_pdf("some text", ""))
    found = world()
    assert "some text" in question_about(tmp_path / "half.pdf", environment=found).context
    assert "has no text on 1 of 2 pages" in said(found)


def test_without_the_extra_a_pdf_names_it(tmp_path: Path) -> None:
    from hybrid_cli.prompt_files import pdf_process

    script = (
        "import sys; sys.modules['pypdf'] = None\n"  # as if it was not installed
        "from hybrid_cli.prompt_files import pdf_process\nprint(pdf_process.read_pages(b'%PDF-')['problem'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    assert done.stdout == b"is a PDF; to read it, run: pip install 'hybrid-cli[pdf]'\n"
    assert Path(pdf_process.__file__).exists()


@given(st.lists(st.text("`~ab\n\r\u2028 File:", max_size=40), min_size=1, max_size=4))
def test_no_text_can_end_its_fence(texts: list[str]) -> None:
    """A reader of Markdown finds each file whole, whatever it holds."""
    files = [PromptFile(f"{place}.md", text) for place, text in enumerate(texts)]
    found: list[tuple[str, str]] = []
    inside: list[str] | None = None
    name = fence = ""
    for line in as_context(files).split("\n"):
        if inside is None and line.startswith("```"):
            inside, fence = [], line
        elif inside is not None and re.fullmatch(rf" {{0,3}}`{{{len(fence)},}}\s*", line):
            found.append((name, "\n".join(inside)))
            inside = None
        elif inside is not None:
            inside.append(line)
        elif line:
            name = re.fullmatch(r"File `(.*)`:", line)[1]  # type: ignore[index]
    assert inside is None
    assert found == [(file.name, file.text.removesuffix("\n")) for file in files]


@pytest.mark.parametrize(
    "kind", ["device", "pipe", "loop", "missing", "socket", "folder without files", "locked", "zero"]
)
def test_what_is_no_file_is_one_line_and_never_a_wait(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thing"
    if kind == "device":
        path = Path("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    elif kind == "folder without files":
        (path / ".hidden").mkdir(parents=True)
        (path / ".hidden" / "a.txt").write_text("hidden")
    elif kind == "locked":
        path.write_text("secret")
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("root reads every file")
    name = f"{path}\0" if kind == "zero" else str(path)
    found = world()
    with pytest.raises(Failure, match=r"thing|/dev/zero") as failure:
        read_files([name], found)
    assert failure.value.status is ExitStatus.USAGE
    assert "\n" not in str(failure.value)
    assert said(found) == ""


def test_a_pipe_is_read_to_its_end_however_slow_its_writer_is(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with path.open("w") as pipe:
            for piece in ("one ", "two ", "three"):
                pipe.write(piece)
                pipe.flush()
                threading.Event().wait(0.1)

    writer = threading.Thread(target=write)
    writer.start()
    assert read_files([str(path)], world()) == [PromptFile("pipe", "one two three")]
    writer.join()


def test_a_file_that_vanishes_or_becomes_a_pipe_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mock, because the moment between listing and reading cannot be met."""
    for change in (Path.unlink, lambda path: (path.unlink(), os.mkfifo(path))):
        path = tmp_path / "a.txt"
        path.write_text("here")

        def listed(_folder: str, _environment: Environment) -> list[str]:
            change(path)  # noqa: B023
            return [str(path)]  # noqa: B023

        monkeypatch.setattr("hybrid_cli.prompt_files.collect.files_in", listed)
        with pytest.raises(Failure, match=r"a\.txt"):
            read_files([str(tmp_path)], world())
    path.unlink()


def test_files_over_the_limit_together_are_refused(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(b"a" * 9_000_000)
    for paths in (["a.txt", "b.txt"], ["."]):
        with pytest.raises(Failure, match="over 16 MB together"):
            read_files([str(tmp_path / path) for path in paths], world())
    (tmp_path / "b.txt").write_bytes(bytes(17_000_000))
    (file,) = read_files([str(tmp_path)], world())  # a large file that is no text is skipped
    assert file.name == "a.txt"


def test_names_are_basenames_on_one_line_and_unique(tmp_path: Path) -> None:
    for name in ("one/a.py", "two/a.py", "two/b`\n.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    files = read_files([str(tmp_path / "one" / "a.py"), str(tmp_path / "two")], world())
    assert [file.name for file in files] == ["a.py", "a.py (2)", "b' .py"]


def test_a_pattern_gives_the_files_that_it_matches(hybrid: Hybrid, tmp_path: Path) -> None:
    for name in ("a/one.py", "a/b/two.py", "a/three.txt", "[x].py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "a" / "folder.py").mkdir()

    def names(pattern: str) -> list[str]:
        return [file.name for file in read_files([str(tmp_path / pattern)], world())]

    assert names("a/**/*.py") == ["two.py", "one.py"]
    assert names("[x].py") == ["[x].py"]  # a file of this name is meant
    with pytest.raises(Failure, match=r"\*\.md matches no file"):
        names("*.md")
    done = hybrid("run", "-f", "one.py", "two.py", "Explain.")  # as a shell expands a pattern without quotes
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"unexpected argument `Explain.`; give each file its own -f, or quote a pattern" in done.stderr


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def test_a_folder_of_a_repository_gives_what_git_tracks(tmp_path: Path) -> None:
    secret, mark = tmp_path / "secret", tmp_path / "ran"
    secret.write_text("not for the prompt")
    root = tmp_path / "repository"
    (root / "src").mkdir(parents=True)
    git(root, "init", "-q")
    for name in ("a.py", "ü.py", "gone.py", ".github.yaml"):
        (root / "src" / name).write_text(name)
    (root / "src" / "logo.png").write_bytes(BINARY["png"])
    (root / "src" / "link.py").symlink_to(secret)
    (root / "src" / "inner").mkdir()
    (root / "src" / "inner" / "b.py").write_text("b")
    git(root, "add", ".")
    (root / "src" / "new.py").write_text("not tracked")
    (root / "src" / "gone.py").unlink()
    (root / "src" / "inner" / "b.py").unlink()
    (root / "src" / "inner").rmdir()
    (tmp_path / "b.py").write_text("outside")
    (root / "src" / "inner").symlink_to(tmp_path)  # b.py is tracked there
    hook = root / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    for key in ("core.fsmonitor", "core.sshCommand", "core.pager"):
        git(root, "config", key, str(hook))
    mark.unlink(missing_ok=True)
    found = world()
    names = [file.name for file in read_files([str(root / "src")], found)]
    assert names == [".github.yaml", "a.py", "ü.py"]
    assert "skipped, because they are not text: logo.png" in said(found)
    assert not mark.exists()
    (root / "other").mkdir()
    with pytest.raises(Failure, match="no files that Git tracks"):
        read_files([str(root / "other")], found)


def test_a_folder_elsewhere_gives_what_is_not_hidden(tmp_path: Path) -> None:
    for name in ("b.txt", "a/c.txt", ".hidden", ".git-like/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "link.txt").symlink_to(tmp_path / ".hidden")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert [file.name for file in read_files([str(tmp_path)], world())] == ["c.txt", "b.txt"]
    found = world(PATH=str(tmp_path))  # without Git
    assert len(read_files([str(tmp_path)], found)) == 2
    assert "Git is not installed" in said(found)


def test_a_folder_of_very_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_MAX_FILES", 3)  # ten thousand files take a while to write
    for number in range(4):
        (tmp_path / str(number)).write_text("a")
    with pytest.raises(Failure, match="over 3 files"):
        read_files([str(tmp_path)], world())


def test_the_prompt_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "prompt.md"
    path.write_bytes("Wie heißt er?".encode("utf-16"))
    assert prompt_of(f"@{path}", world()) == "Wie heißt er?"
    assert prompt_of("@@anna, who are you?", world()) == "@anna, who are you?"
    assert prompt_of("mail anna@example.com", world()) == "mail anna@example.com"
    for argument in ("@anna, who are you?", "@", f"@{tmp_path}"):
        with pytest.raises(Failure, match="to begin a prompt with @, write @@"):
            prompt_of(argument, world())


def test_a_rule_sees_each_file_alone() -> None:
    """`^` and `$` of a rule that protects hold for a file as they do for the same text on stdin."""
    files = (PromptFile("a.txt", "public"), PromptFile("b.txt", "SECRET PLAN\nmore"))
    facts = RequestFacts(Request(Question("Sum up.", as_context(files), files=files), None), frozenset())
    assert facts.matches("^SECRET PLAN")
    assert facts.matches("public$")
    assert facts.matches("public(?s:.*)SECRET")


def test_stdin_as_a_file_and_beside_files(hybrid: Hybrid, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")

    def context_of(*arguments: str, stdin: bytes) -> str:
        done = hybrid("run", "-p", "cloud", "--dry-run", "--json", *arguments, stdin=stdin, cwd=tmp_path)
        payload = json.loads(json.loads(done.stdout)["payload"])
        content: str = payload["messages"][-1]["content"]
        return content

    one = "File `a.txt`:\n```\none\n```"
    assert context_of("-f", "a.txt", "Why?", stdin=b"two\n") == f"{one}\n\ntwo\n\nWhy?"
    two = "File `stdin`:\n```\ntwo\n```"
    utf_16 = "two\n".encode("utf-16")
    assert context_of("-f", "-", "-f", "a.txt", "Why?", stdin=utf_16) == f"{two}\n\n{one}\n\nWhy?"
    assert context_of("-f", "a.txt", stdin=b"Why?") == f"{one}\n\nWhy?"
    for arguments in (["-f", "-", "-f", "-", "hi"], ["-f", "-"], ["-f", "-", "--no-stdin", "hi"], ["-f", ""]):
        done = hybrid("run", *arguments, stdin=b"text")
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1), arguments


def test_what_leaves_is_what_the_dry_run_showed(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path], tmp_path: Path
) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    (tmp_path / "notes.txt").write_bytes("Grüße an anna".encode("latin-1"))
    (tmp_path / "keys.txt").write_text(f"one\ntwo\nghp_{'a1B2' * 9}\n")
    arguments = ("run", "-p", path, "-f", tmp_path / "notes.txt", "Sum up.")
    plan = json.loads(hybrid(*arguments, "--dry-run", "--json").stdout)
    assert hybrid(*arguments, HYBRID_CONSENT=cloud.origin).returncode == 0
    (sent,) = cloud.received
    assert sent.content.decode() == plan["payload"]
    assert str(tmp_path) not in plan["payload"]
    assert sent.body["messages"][-1]["content"] == "File `notes.txt`:\n```\nGrüße an anna\n```\n\nSum up."
    done = hybrid(*arguments, "-f", tmp_path / "keys.txt", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, len(cloud.received)) == (3, 1)
    assert b"blocked: line 3 of `keys.txt` looks like a GitHub token" in done.stderr


def test_the_local_model_reads_a_file(hybrid: Hybrid, tmp_path: Path) -> None:
    (tmp_path / "tower.txt").write_text("The Eiffel Tower is in Paris. It is tall.\n")
    done = hybrid("run", "-p", "offline", "-f", tmp_path / "tower.txt", "Which city is it in? One word.")
    assert done.returncode == 0
    assert b"Paris" in done.stdout
