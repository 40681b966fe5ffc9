"""Output on a terminal, in CI and under --quiet, tried in real pseudo-terminals."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from hybrid_cli.app import command_tree
from hybrid_cli.help.command_tree import read_tree
from hybrid_cli.ledger.report import UsageGroup, as_table
from hybrid_cli.ui.markdown import MarkdownWriter
from hybrid_cli.ui.table import align_columns, width
from hybrid_cli.ui.terminal import fit_columns, wants_colour
from hybrid_process import Hybrid, environment
from scripted_cloud import Reply, ScriptedCloud

RED = "\x1b[1;31mhybrid:\x1b[0m"
CLEARED = "\r\x1b[K"

Screen = Callable[..., str]


@pytest.fixture
def on_terminal(shim: str, home: Path, tmp_path: Path) -> Screen:
    """Run the command with all streams on a terminal of 80 columns and return its output."""

    def run(*arguments: str | Path, code: int = 0, columns: int = 80, **variables: str) -> str:
        child = pexpect.spawn(
            shim,
            [str(argument) for argument in arguments],
            env=environment(home, **{"TERM": "xterm-256color", "LANG": "C.UTF-8", **variables}),  # type: ignore[arg-type]
            dimensions=(40, columns),
            encoding="utf-8",
            cwd=str(tmp_path),
            timeout=60,
        )
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == code, child.before
        return str(child.before).replace("\r\n", "\n")

    return run


@pytest.fixture
def to_cloud(cloud: ScriptedCloud, profile: Callable[..., Path]) -> tuple[str, ...]:
    """Arguments of `run` that let the scripted cloud answer."""
    prices = ", prices: {input: 1, output: 1}"
    return ("-p", str(profile(f"{cloud.section(prices)}escalation: {{mode: force}}\n")), "hi")


@pytest.mark.parametrize(
    ("choice", "variables", "on_a_terminal", "in_a_pipe"),
    [
        ("auto", {}, True, False),
        ("auto", {"TERM": "dumb"}, False, False),
        ("auto", {"NO_COLOR": "1"}, False, False),
        ("auto", {"NO_COLOR": ""}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, True, True),
        ("auto", {"FORCE_COLOR": "0"}, True, False),
        ("auto", {"FORCE_COLOR": "1", "TERM": "dumb"}, True, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ("always", {"NO_COLOR": "1"}, True, True),
        ("never", {"FORCE_COLOR": "1"}, False, False),
    ],
)
def test_colour_by_option_variables_and_terminal(
    choice: str, variables: dict[str, str], on_a_terminal: bool, in_a_pipe: bool
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert wants_colour(Terminal(), choice, variables) is on_a_terminal  # type: ignore[arg-type]
    assert wants_colour(io.StringIO(), choice, variables) is in_a_pipe  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "variables", "coloured"),
    [
        ("models lst", {}, True),
        ("models lst", {"NO_COLOR": "1"}, False),
        ("models lst", {"TERM": "dumb"}, False),
        ("--color never models lst", {}, False),
        ("--color always models lst", {"NO_COLOR": "1"}, True),
        ("models --color never lst", {}, False),
        ("models verify --color never ./none.gguf", {}, False),
        ("run --nope --color never", {}, False),
        ("run --color=always --nope", {"NO_COLOR": "1"}, True),
        ("--color never models verify --color always ./none.gguf", {}, True),
    ],
)
def test_errors_are_coloured_on_a_terminal(
    on_terminal: Screen, line: str, variables: dict[str, str], coloured: bool
) -> None:
    text = on_terminal(*line.split(), code=6 if "verify" in line else 2, **variables)
    assert (RED in text) is coloured
    assert ("\x1b" in text) is coloured


def test_help_is_coloured_by_the_same_rules(hybrid: Hybrid, on_terminal: Screen) -> None:
    assert "\x1b[1mUsage\x1b[0m: hybrid run" in on_terminal("run", "--help")
    assert "\x1b" not in on_terminal("run", "--color", "never", "--help")
    assert b"\x1b" not in hybrid("run", "--help").stdout
    assert b"\x1b[1mUsage\x1b[0m" in hybrid("--color", "always", "run", "--help").stdout


HOSTILE = ("The file is \u202etxt.exe\u202c, \u2066safe\u2069\u200f.", "\x1b]0;title\x07\x1b[2J")
SHOWN = "The file is \\u202etxt.exe\\u202c, \\u2066safe\\u2069."


def test_bidi_controls_are_visible_on_a_terminal(
    hybrid: Hybrid, on_terminal: Screen, cloud: ScriptedCloud, to_cloud: tuple[str, ...], tmp_path: Path
) -> None:
    cloud.replies = [Reply(pieces=HOSTILE)]
    consent = {"HYBRID_CONSENT": cloud.origin}
    assert on_terminal("run", "-q", *to_cloud, **consent) == f"{SHOWN}\n"
    assert on_terminal("run", "-q", "--render", *to_cloud, **consent) == f"{SHOWN}\n"
    assert on_terminal("run", "-q", "--raw", *to_cloud, **consent) == f"{HOSTILE[0]}\n"
    assert hybrid("run", "-q", *to_cloud, **consent).stdout.decode() == f"{HOSTILE[0]}\n"
    hybrid("run", "-q", "-o", tmp_path / "answer", *to_cloud, **consent)
    assert (tmp_path / "answer").read_text("utf-8") == f"{HOSTILE[0]}\n"


def test_names_are_escaped_on_a_terminal_and_exact_in_a_pipe(
    hybrid: Hybrid, on_terminal: Screen, home: Path
) -> None:
    folder = home / "config" / "profiles"
    folder.mkdir(parents=True)
    (folder / "evil\u202e\x1b[31m.yaml").write_text("version: 1\n# \u202e\x1b[31m\n")
    listed = on_terminal("profile", "ls")
    assert "evil\\u202e [31m  " in listed
    assert "\x1b" not in listed and "\u202e" not in listed
    assert "evil\u202e\x1b[31m\t" in hybrid("profile", "ls").stdout.decode()


def test_a_table_wraps_between_words(on_terminal: Screen) -> None:
    wide = on_terminal("models", "ls", "--all", columns=200)
    for columns in (40, 80, 120):
        table = on_terminal("models", "ls", "--all", columns=columns)
        assert max(len(line) for line in table.splitlines()) <= columns
        assert without_rates(table).split() == without_rates(wide).split()


def without_rates(table: str) -> str:
    """The table without the measured speeds, which differ between runs, and without the header of a wide terminal."""
    return re.sub(r"about\s+\d+|NAME .* STATUS", "about", table).removeprefix("about")


MARKDOWN = (
    "# Title\n\nSome **bold** words.\n\n1. one\n\n2. two\n\n```python\nx = 1\n\ny = 2\n```\n\n[a](http://b.c)"
)


def test_markdown_is_rendered_on_a_terminal_and_only_there(
    hybrid: Hybrid, on_terminal: Screen, cloud: ScriptedCloud, to_cloud: tuple[str, ...]
) -> None:
    cloud.replies = [Reply(pieces=tuple(MARKDOWN[at : at + 7] for at in range(0, len(MARKDOWN), 7)))]
    consent = {"HYBRID_CONSENT": cloud.origin}
    plain = on_terminal("run", "-q", "--render", *to_cloud, NO_COLOR="1", **consent)
    text = re.sub(r"\x1b\[[0-9;]*m", "", plain)
    assert "**" not in text and "```" not in text and "# Title" not in text
    for words in ("Title", "Some bold words.", " 1 one", " 2 two", "x = 1", "y = 2", "a (http://b.c)"):
        assert words in text
    assert text.index("Title") < text.index("bold") < text.index("two") < text.index("y = 2")
    assert "\x1b[1mbold\x1b[0m" in plain
    assert on_terminal("run", "-q", *to_cloud, **consent) == f"{MARKDOWN}\n"
    for more in ({}, {"FORCE_COLOR": "1"}):
        piped = hybrid("run", "-q", "--render", *to_cloud, **consent, **more)
        assert piped.stdout.decode() == f"{MARKDOWN}\n"
    assert on_terminal("run", "-q", "--render", *to_cloud, CI="1", **consent) == f"{MARKDOWN}\n"


def test_a_block_of_markdown_is_shown_once_the_next_one_begins() -> None:
    shown: list[str] = []
    writer = MarkdownWriter(shown.append, columns=40, colour=False)
    writer.feed("One.\n\nTw")
    assert len(shown) == 1 and "One." in shown[0]
    writer.feed("o.\n\n    code\n\n```\na\n\nb\n")
    assert len(shown) == 2 and "Two." in shown[1] and "code" in shown[1]
    writer.feed("```\n")
    writer.flush()
    assert len(shown) == 3 and "a" in shown[2] and "b" in shown[2]


def test_a_spinner_shows_while_a_cloud_is_slow(
    on_terminal: Screen, cloud: ScriptedCloud, to_cloud: tuple[str, ...]
) -> None:
    def slow(_body: object) -> Reply:
        cloud.released.wait(1.2)
        return Reply()

    cloud.respond = slow
    consent = {"HYBRID_CONSENT": cloud.origin}
    text = on_terminal("run", *to_cloud, **consent)
    drawn, _, answer = text.rpartition(CLEARED)
    assert re.search(rf"\r[⠋⠙⠹⠸] waiting for scripted at {cloud.origin}", drawn)
    assert answer == "The cloud says hello.\n"
    assert text.count("handed off to scripted") == 1
    for still in ({"CI": "1"}, {"TERM": "dumb"}):
        assert "\x1b[K" not in on_terminal("run", *to_cloud, **consent, **still)
    assert on_terminal("run", "-q", *to_cloud, **consent) == "The cloud says hello.\n"


def test_the_spinner_stays_on_one_line_of_a_narrow_terminal(
    on_terminal: Screen, cloud: ScriptedCloud, to_cloud: tuple[str, ...]
) -> None:
    def slow(_body: object) -> Reply:
        cloud.released.wait(1)
        return Reply()

    cloud.respond = slow
    text = on_terminal("run", *to_cloud, columns=20, HYBRID_CONSENT=cloud.origin)
    drawn = re.findall(r"\r([⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] [^\x1b]*)\x1b\[K", text)
    assert drawn and set(map(len, drawn)) == {19}
    assert [fit_columns("日本語 a", columns) for columns in (7, 6, 5, 0)] == [
        "日本語 ",
        "日本語",
        "日本",
        "日本語 a",
    ]


def test_import_shows_no_progress_bar_in_ci(on_terminal: Screen, model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "home" / "data").unlink()
    for number, variables in enumerate(({"CI": "1"}, {"TERM": "dumb"})):
        text = on_terminal("models", "import", model_file, "--name", f"m{number}", **variables)
        assert "\x1b[K" not in text


@pytest.mark.parametrize(
    "line", ["run -p offline Hi", "pull --small", "models verify", "doctor -p offline", "usage"]
)
def test_nothing_is_animated_in_ci(on_terminal: Screen, line: str) -> None:
    text = on_terminal(*line.split(), CI="1", NO_COLOR="1")
    assert "\x1b" not in text and "\r" not in text
    assert text.strip()


def test_nobody_is_asked_in_ci(
    on_terminal: Screen, home: Path, cloud: ScriptedCloud, profile: Callable[..., Path], tmp_path: Path
) -> None:
    ask = profile(
        f"{cloud.section()}escalation: {{mode: ask, rules: [{{when: {{matches: x}}, then: force}}]}}\n"
    )
    (tmp_path / ".hybrid.yaml").write_text(f"version: 1\n{cloud.section()}")
    loose = tmp_path / ".hybrid.yaml"
    for arguments, code in (
        (("run", "-p", ask, "x"), 0),
        (("run", "Hi"), 3),
        (("profile", "explain"), 3),
        (("usage", "purge"), 2),
    ):
        if arguments[:2] == ("run", "-p"):
            loose.rename(tmp_path / "aside")
        text = on_terminal(*arguments, code=code, CI="true")
        if arguments[:2] == ("run", "-p"):
            (tmp_path / "aside").rename(loose)
        assert "[y/N]" not in text
    assert cloud.received == []


def test_no_output_contains_a_workflow_command(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Callable[..., Path], tmp_path: Path
) -> None:
    folder = home / "config" / "profiles"
    folder.mkdir(parents=True)
    rule = 'escalation: {rules: [{when: {matches: "a\n  ::error::b"}, then: local}]}'
    loud = f"version: 1\n{rule}\n##[group]c\n# ##vso[d]e\n"
    (folder / "loud.yaml").write_text(loud)
    (folder / "::error::name.yaml").write_text("version: 1\n")
    (tmp_path / "::error file=x::bad.yaml").write_text("verson: 1\n")
    forced = profile(f"{cloud.section()}escalation: {{mode: force}}\n")
    in_ci = {"CI": "true", "HYBRID_CONSENT": cloud.origin}
    for line in (
        "profile show loud",
        "profile ls",
        f"profile explain -p {folder}/##[x].yaml",
        "profile check ::error\tfile=x::bad.yaml",
        "models verify ./##vso[x].gguf",
        "models show ##[x]",
        f"run --dry-run -p {forced} ##[debug]",
        "doctor -p ##[y]",
        "##[z]",
    ):
        words = [word.replace("\t", " ") for word in line.split(" ")]
        done = hybrid(*words, cwd=tmp_path, **in_ci)
        for text in (done.stdout.decode(), done.stderr.decode()):
            assert not re.search(r"(^|\r)\s*::|##\w*\[", text, re.MULTILINE), (line, text)
        assert b"\\" in done.stdout + done.stderr, line
    assert hybrid("profile", "show", "loud").stdout.decode() == loud
    listed = hybrid("models", "ls", "--json", **in_ci).stdout
    assert listed == hybrid("models", "ls", "--json").stdout


QUIET_LINES = [
    "run -p offline Hi",
    "models ls",
    "models ls --all",
    "models show smollm2-135m",
    "models verify",
    "profile ls",
    "profile show offline",
    "profile check fine.yaml",
    "profile explain",
    "profile schema",
    "profile trust fine.yaml",
    "consent ls",
    "consent grant https://a.example",
    "consent revoke https://a.example",
    "usage",
    "usage purge --yes",
    "doctor -p offline",
    "completion bash",
    "help privacy",
]


def test_quiet_prints_only_errors_in_every_command(hybrid: Hybrid, tmp_path: Path) -> None:
    (tmp_path / "fine.yaml").write_text("version: 1\nlimits: {seconds: 60}\n")
    for number, line in enumerate(QUIET_LINES):
        words = ["-q", *line.split()] if number % 2 else [*line.split(), "-q"]
        done = hybrid(*words, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, b""), line
    for command in read_tree(command_tree()).walk():
        assert any("--quiet" in option.names for option in command.options), command.path
    assert hybrid("-q", "models", "rm", "none").stderr != b""


def test_a_quiet_pipe_reports_only_failures(hybrid: Hybrid) -> None:
    line = ("pipe", "-q", "-p", "offline", "Is it a letter?", "--choices", "yes,no")
    done = hybrid(*line, stdin=b"a\n")
    assert (done.returncode, done.stdout.count(b"\n"), done.stderr) == (0, 1, b"")
    done = hybrid(*line, stdin=b"a\n\xff\n")
    assert (done.returncode, done.stdout.count(b"\n")) == (2, 2)
    told = ["hybrid: record 2: not UTF-8 (byte 0)", "hybrid: 1 of 2 records failed"]
    assert done.stderr.decode().splitlines() == told


def test_quiet_in_commands_that_change_weights(hybrid: Hybrid, model_file: Path, home: Path) -> None:
    (home / "data").unlink()
    for line in (
        f"models import {model_file} --name mine",
        f"pull {model_file} --name other",
        "models rm mine",
        "models prune",
    ):
        done = hybrid(*line.split(), "-q")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), line


def test_markdown_keeps_every_word_on_a_narrow_terminal() -> None:
    shown: list[str] = []
    writer = MarkdownWriter(shown.append, columns=24, colour=False)
    writer.feed(
        "see ![the house](http://a.b/c) and the garden that follow it, 日本語の, [there](http://d.e)\n"
    )
    writer.flush()
    text = re.sub(r"\s", "", re.sub(r"\x1b\[[0-9;]*m", "", "".join(shown)))
    assert text == "seethehouse(http://a.b/c)andthegardenthatfollowit,日本語の,there(http://d.e)"
    assert max(map(width, shown[0].splitlines())) <= 24


def test_columns_are_as_wide_as_a_terminal_shows_them() -> None:
    assert [width(text) for text in ("abc", "日本", "e\u0301", "🙂")] == [3, 4, 1, 2]
    lines = align_columns([("日本", "1"), ("abc", "20"), ("", "3")], right=[1])
    assert lines == ["日本   1", "abc   20", "       3"]


def test_bars_fit_the_terminal() -> None:
    groups = [UsageGroup("日本の模型", requests=2, usd=0.5), UsageGroup("gpt", requests=1, usd=0.25)]
    wide = as_table(groups, bars=True, columns=80)
    assert wide[1].count("█") == 24 and wide[2].count("█") == 12
    for columns in (45, 50, 60):
        assert max(map(width, as_table(groups, bars=True, columns=columns))) <= columns
    narrow = as_table(groups, bars=True, columns=10)
    assert narrow == [line.rstrip() for line in as_table(groups, bars=False)]


def screen_of(raw: str) -> list[str]:
    """The lines that stand on a terminal in the end: text, line ends, and the sequences that hybrid draws with."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[\d*[A-Za-z]|\r|\n|[^\x1b\r\n]+", raw.replace("\r\n", "\n")):
        sequence = part[-1] if part.startswith("\x1b") else ""
        if part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif sequence == "A":
            row -= int(part[2:-1])
        elif sequence == "K":
            lines[row] = lines[row][:column]
        elif sequence == "J":
            lines[row:] = [lines[row][:column]]
        elif not sequence:
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return [line for line in lines if line]


STORY = ("run", "Write three sentences about a fox.", "--max-tokens", "90", "--allow-truncated")


@pytest.mark.parametrize("columns", [30, 80])
def test_a_kept_draft_gives_way_to_the_answer(
    columns: int, on_terminal: Screen, hybrid: Hybrid, profile: Callable[..., Path], cloud: ScriptedCloud
) -> None:
    """The draft is dimmed while it is undecided, and the screen ends with the answer alone."""
    path = profile(f"{cloud.section()}escalation: {{target: {{threshold: 0.0}}}}\n")
    consent = {"HYBRID_CONSENT": cloud.origin}
    raw = on_terminal(*STORY, "-p", path, columns=columns, **consent)
    piped = hybrid(*STORY, "-p", path, **consent)
    expected = piped.stdout.decode().split("\n")
    assert raw.count("\x1b[2m") > 2
    shown = [line for line in screen_of(raw) if not line.startswith("hybrid: ")]
    assert shown == [line for line in expected if line]
    assert b"\x1b" not in piped.stdout + piped.stderr


def test_a_draft_that_is_handed_off_leaves_one_line_and_the_clouds_answer(
    on_terminal: Screen, profile: Callable[..., Path], cloud: ScriptedCloud
) -> None:
    path = profile(f"{cloud.section()}escalation: {{target: {{threshold: 0.99}}}}\n")
    raw = on_terminal(*STORY, "-p", path, HYBRID_CONSENT=cloud.origin)
    assert "\x1b[2m" in raw
    first, *answer = screen_of(raw)
    assert re.fullmatch(r"hybrid: handed off to scripted: unsure .*\(0\.\d\d < 0\.99\)", first), first
    assert answer == ["The cloud says hello."]
