"""The documents are true: every command line in them parses, and every recipe is run."""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_cli.app import command_tree
from hybrid_cli.commands import options as options_module
from hybrid_cli.exit_status import ExitStatus
from hybrid_cli.help.command_tree import CommandNode, read_tree
from hybrid_cli.help.topics import TOPICS, topic
from hybrid_cli.ui.command_base import GLOBAL_OPTIONS
from hybrid_cli.ui.wrap import page_width, wrap_command
from hybrid_process import Hybrid, environment
from scripted_cloud import ScriptedCloud

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHERS = [
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "tests/benchmarks/README.md",
]
RECIPES = re.findall(
    r"<!-- prints: ([^\n]*) -->\n```sh\n(.*?)```", (ROOT / "docs/recipes.md").read_text("utf-8"), re.DOTALL
)
PUNCTUATION = set("|;&()<>")
GROUPS = {GLOBAL_OPTIONS, *(value for name, value in vars(options_module).items() if name.isupper())}


def command_lines(text: str) -> Iterator[list[str]]:
    """The words after each `hybrid` that stands where a shell reads a command."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [
        " ".join(span.split())
        for span in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    ]
    for language, block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            if language != "console":
                lines.append(line)
            elif line.startswith("$ "):
                lines.append(line.removeprefix("$ "))
    for line in lines:
        if not re.search(r"\bhybrid ", line):
            continue
        line = re.sub(r"(^|\s)#\s.*", "", line)  # noqa: PLW2901  a comment
        line = re.sub(r"(?<=[\w-])\|(?=[\w-])", "¦", line)  # noqa: PLW2901  words to choose from, no pipe
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, ""
        words = list(lexer)
        for start, word in enumerate(words):
            before = words[start - 1] if start else ";"
            if word == "hybrid" and (
                set(before) <= PUNCTUATION or before in ("do", "then", "{", "run:", "-")
            ):
                end = next((n for n in range(start, len(words)) if set(words[n]) <= PUNCTUATION), len(words))
                yield words[start + 1 : end]


def mistake(words: list[str], tree: CommandNode) -> str | None:
    """What the command tree does not know of `words`; words in capitals and ... stand for others."""
    command = tree
    rest = list(itertools.takewhile(lambda word: word != "--", words))  # only arguments follow
    while rest:
        word = rest.pop(0)
        if word.startswith("-") and word != "-":
            name, equals, value = word.partition("=")
            option = next((one for one in command.options if name in one.names), None)
            if option is None and name not in ("--help", "-h"):
                return f"no option {name} of hybrid {' '.join(command.path)}"
            if option is not None and option.kind is not None:
                value = value if equals else rest.pop(0) if rest else ""
                if (
                    option.choices
                    and not value.isupper()
                    and not set(value.split("¦")) <= set(option.choices)
                ):
                    return f"{name} takes no {value}"
        elif command.commands and not word.isupper() and word != "...":
            below = {one.path[-1]: one for one in command.commands}
            if not set(word.split("¦")) <= set(below):
                return f"no command {word} below hybrid {' '.join(command.path)}"
            command = below[word.split("¦")[0]]
        elif command.arguments and (known := command.arguments[0].choices) and not word.isupper():
            wrong = set(word.split("¦")) - set(known)
            if wrong:
                return f"hybrid {' '.join(command.path)} takes no {word}"
    return None


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "docs/agents/SKILL.md"], ids=lambda path: path.name)
def test_every_command_line_parses(path: Path) -> None:
    tree = read_tree(command_tree())
    lines = list(command_lines(path.read_text("utf-8")))
    assert [(line, wrong) for line in lines if (wrong := mistake(line, tree))] == []
    assert lines or path.name in ("comparison.md", "faults.md")


def test_a_stale_command_line_is_found() -> None:
    tree = read_tree(command_tree())
    for line in ("hybrid runs x", "hybrid run --shema x", "cat x | hybrid usage --by week", "hybrid help me"):
        (words,) = command_lines(f"```sh\n{line}\n```\n")
        assert mistake(words, tree), line


def anchors(page: str) -> set[str]:
    """The names that a link can point to: the headings of `page`, as GitHub writes them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [*DOCUMENTS, *OTHERS], ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        file, _, anchor = target.partition("#")
        if ":" not in target:
            leads_to = path.parent / file if file else path
            if not leads_to.is_file() or (anchor and anchor not in anchors(leads_to.read_text("utf-8"))):
                broken.append(target)
    assert broken == []


def test_the_index_lists_every_page() -> None:
    listed = re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs/README.md").read_text("utf-8"))
    assert set(listed) == {path.name for path in DOCUMENTS} - {"README.md"}


@pytest.mark.parametrize("path", [*DOCUMENTS, *OTHERS], ids=lambda path: path.name)
def test_every_file_of_the_checkout_that_is_named_exists(path: Path) -> None:
    named = re.findall(
        r"(?<![\w/.~])((?:tests|docs|cli|profiles|completions)/[\w./-]*\w)", path.read_text("utf-8")
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_contributing_maps_the_rooms_as_they_are() -> None:
    package = ROOT / "cli" / "hybrid_cli"
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    spans = re.findall(r"`([a-z_]+(?:/[a-z_]*)?)`", page)
    modules = [name for name in spans if "/" in name and not (ROOT / name).exists()]
    assert [
        name for name in modules if not any(package.glob(f"{name.rstrip('/')}{end}") for end in ("", ".py"))
    ] == []
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    rooms |= {path.stem for path in package.glob("*.py")} - {"__init__"}
    (table,) = re.findall(r"^\| room of .*?\n\n", page, re.MULTILINE | re.DOTALL)
    first_column = " ".join(row.split("|")[1] for row in table.strip().splitlines()[2:])
    assert set(re.findall(r"`(\w+)`", first_column)) == rooms


def test_troubleshooting_has_every_exit_code() -> None:
    headings = re.findall(
        r"^## (\d+): (.*)$", (ROOT / "docs/troubleshooting.md").read_text("utf-8"), re.MULTILINE
    )
    assert headings == [(str(status.value), status.meaning) for status in ExitStatus]


def test_there_are_twenty_recipes() -> None:
    assert len(RECIPES) >= 20


@pytest.mark.parametrize(
    ("form", "line"), RECIPES, ids=[str(number) for number in range(1, len(RECIPES) + 1)]
)
def test_a_recipe_does_what_it_says(
    form: str, line: str, search_path: str, home: Path, cloud: ScriptedCloud, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "notes.txt").write_text("The server was down from two to three. Nobody noticed.\n")
    (folder / "words.txt").write_text("apple\nriver\n")
    (folder / "app.log").write_text("start\nERROR: disk full\n")
    (folder / ".hybrid.yaml").write_text("version: 1\nlimits: {seconds: 60}\n")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "add", "notes.txt"], cwd=folder, check=True)
    profiles = home / "config" / "profiles"  # the user's own `cloud` comes before the shipped one
    profiles.mkdir(parents=True)
    prices = ", prices: {input: 1, output: 1}"
    (profiles / "cloud.yaml").write_text(f"version: 1\n{cloud.section(prices)}escalation: {{mode: force}}\n")
    variables = environment(home, HYBRID_CONSENT=cloud.origin, PATH=search_path)
    done = subprocess.run(
        ["bash", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=variables,
        cwd=folder,
        timeout=150,
        check=False,
    )
    assert re.search(form, done.stdout, re.MULTILINE), (done.stdout, done.stderr)
    assert done.returncode == 0, done.stderr


EVERY_COMMAND = read_tree(command_tree()).walk()


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=lambda command: " ".join(command.path) or "hybrid")
def test_a_command_has_groups_examples_and_help(command: CommandNode) -> None:
    tree = EVERY_COMMAND[0]
    assert [option.long for option in command.options if option.group not in GROUPS] == []
    assert [one.long for one in (*command.options, *command.arguments) if not one.help] == []
    assert len(command.examples) >= 2
    for example in command.examples:
        assert len(example) <= 78, example
        lines = list(command_lines(f"```sh\n{example}\n```\n"))
        assert any(line[: len(command.path)] == list(command.path) for line in lines), example
        assert [wrong for line in lines if (wrong := mistake(line, tree))] == [], example


@pytest.mark.parametrize("path", [one.path for one in EVERY_COMMAND], ids=" ".join)
def test_help_fits_a_terminal_of_80_columns(hybrid: Hybrid, path: tuple[str, ...]) -> None:
    told = hybrid(*path, "--help", COLUMNS="80").stdout.decode()
    assert [line for line in told.splitlines() if len(line) > 80] == []
    assert told.startswith(" ".join(["Usage: hybrid", *path]))
    assert "{" not in told.split("\n")[0] and "<=x<=" not in told


def test_help_shows_groups_in_order_and_the_examples(hybrid: Hybrid) -> None:
    told = hybrid("run", "--help").stdout.decode()
    headings = re.findall(r"^(\w[\w ]*):$", told, re.MULTILINE)
    assert headings == [
        "Arguments",
        "Model and profile",
        "Cloud",
        "Input",
        "Answer",
        "Output",
        "Global options",
        "Examples",
    ]
    assert '  hybrid run "Name three uses of vinegar."\n' in told
    assert hybrid("help", "run").stdout.decode() == told
    assert hybrid("help").stdout == hybrid("--help").stdout


def texts(columns: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """All help and its topics, for a terminal of that width."""
    monkeypatch.setenv("COLUMNS", str(columns))
    yield from (topic(name, page_width()) for name in TOPICS)
    root = command_tree()
    context = root.make_context("hybrid", [], resilient_parsing=True)
    for one in read_tree(root).walk():
        found = context
        for name in one.path:
            found = type(context)(found.command.get_command(found, name), info_name=name, parent=found)
        yield found.get_help()


@pytest.mark.parametrize("columns", [40, 59, 60, 80, 200])
def test_help_fits_the_terminal_and_cuts_no_word(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def words(text: str) -> str:
        return re.sub(r"[\s\\]", "", text)

    usual = list(texts(80, monkeypatch))
    for text, at_rest in zip(texts(columns, monkeypatch), usual, strict=True):
        assert words(text) == words(at_rest)
        for line in text.splitlines():
            word = line.strip().removesuffix(" \\")
            assert len(line) <= columns or len(shlex.split(word, posix=False)) == 1, line


def test_a_folded_command_is_the_same_to_a_shell() -> None:
    for one in read_tree(command_tree()).walk():
        for example in one.examples:
            lines = wrap_command(example, 30)
            assert shlex.split("\n".join(lines).replace("\\\n", "")) == shlex.split(example)
            assert len(lines) > 1 or len(example) <= 30


def test_a_prompt_without_a_command_is_told_where_it_stands(hybrid: Hybrid) -> None:
    done = hybrid("What is 2+2?")
    says = 'hybrid: no command `What is 2+2?`; to ask a question: hybrid run "..."\n'
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", says)


NO_DATE = "--since must be a date such as 2026-11-24, 2026-11 or 2026; see hybrid usage --help"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("rum", "no command `rum`; did you mean `run`?"),
        ("models lst", "no command `models lst`; did you mean `ls`?"),
        ("run --shema x", "run has no option `--shema`; did you mean `--schema`?"),
        ("run -m smollm2 x", "no model `smollm2`; did you mean `smollm2-135m`?"),
        ("run -p ofline x", "no profile `ofline`; did you mean `offline`?"),
        ("run --escalation forc x", "--escalation cannot be `forc`; did you mean `force`?"),
        ("usage --by week", "--by cannot be `week`; choose day, model, origin, profile, reason or outcome"),
        ("help exit-code", "no help for `exit-code`; did you mean `exit-codes`?"),
        ("help modls", "no help for `modls`; did you mean `models`?"),
        ("help models shw", "no help for `shw`; did you mean `show`?"),
        ("completion bsh", "SHELL cannot be `bsh`; did you mean `bash`?"),
        ("profile show privat", "no profile `privat`; did you mean `private`?"),
        ("models show smollm2", "no model `smollm2`; did you mean `smollm2-135m`?"),
        ("run two words", "unexpected argument `words`; quote arguments that contain spaces"),
        (
            "models",
            "models needs a command: ls, default, show, verify, import, rm, prune, ps, unload; see hybrid models --help",
        ),
        ("pipe", "pipe needs INSTRUCTION; see hybrid pipe --help"),
        ("-z", "hybrid has no option `-z`; see hybrid --help"),
        ("rnu", "no command `rnu`; did you mean `run`?"),
        ("run --no x", "run has no option `--no`; did you mean `--no-stdin`?"),
        ("run --nope x", "run has no option `--nope`; see hybrid run --help"),
        (
            "run '- [ ] milk?'",
            'text that begins with a dash looks like an option; put -- before it: hybrid run -- "- ..."',
        ),
        (
            "run '--find me'",
            'text that begins with a dash looks like an option; put -- before it: hybrid run -- "- ..."',
        ),
        ("run -p", "-p needs a value: NAME|PATH; see hybrid run --help"),
        (
            "usage --by",
            "--by needs a value: day|model|origin|profile|reason|outcome; see hybrid usage --help",
        ),
        ("usage --since foo", NO_DATE),
        ("usage --since 2026-02-30", NO_DATE),
        ("completion", "completion needs SHELL; see hybrid completion --help"),
    ],
)
def test_a_mistyped_word_is_told_with_the_nearest(hybrid: Hybrid, line: str, says: str) -> None:
    done = hybrid(*shlex.split(line))
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", f"hybrid: {says}\n")


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        (
            "HYBRID_CONSENT",
            "foo",
            "HYBRID_CONSENT: `foo` is not an origin; write it like https://api.openai.com",
        ),
        ("HYBRID_ESCALATION", "frbid", "HYBRID_ESCALATION: unknown mode `frbid`; did you mean `forbid`?"),
        (
            "HYBRID_ESCALATION",
            "x",
            "HYBRID_ESCALATION: unknown mode `x`; use one of forbid, auto, force, ask",
        ),
    ],
)
def test_a_variable_that_is_wrong_is_told_with_its_form(
    hybrid: Hybrid, variable: str, value: str, says: str
) -> None:
    done = hybrid("run", "hi", **{variable: value})
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", f"hybrid: {says}\n")


def test_the_screens_can_be_made_again() -> None:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    script = ROOT / "tests" / "benchmarks" / "screens.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, timeout=150, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    page = (ROOT / "docs" / "screens.md").read_text("utf-8")
    titles = re.findall(r"^## (.*)$", page, re.MULTILINE)
    tab = "A Tab in bash, with 50 models and 50 profiles"
    drafts = ["A draft that is kept", "A draft that is handed off"]
    assert titles == ["A first run", "A handoff", *drafts, "What was handed off", "What works here", tab]
    assert str(Path.home()) not in page and str(ROOT) not in page
