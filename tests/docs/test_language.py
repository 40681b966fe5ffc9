"""The documents are short and plain: the README's words, paragraphs, sentences, and words that read as riddles.

python tests/docs/test_language.py    prints the figures
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
OTHERS = [
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "tests/benchmarks/README.md",
]
"""Held to the same limits as the documents, but not counted with them."""

README_WORDS = 700
PARAGRAPH_WORDS = 60
SENTENCE_WORDS = 25
BANNED = (
    *("told", "bears?", "stands?", "lest", "save where", "but for", "be it", "as is done"),
    *("comes of", "goes on", "is heard", "are heard", "has no use for", "layer's word"),
    *("that which", "one that", "all that", "in the place of", "has it that"),
)
_BANNED = re.compile(rf"\b(?:{'|'.join(BANNED)})\b", re.IGNORECASE)
_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.)\s+")


@dataclass(frozen=True)
class Figures:
    """The sizes of one page's prose, in words, and its banned words."""

    words: int
    longest_paragraph: int
    sentences: int
    long_sentences: tuple[str, ...]
    banned: tuple[str, ...]


def without_code(page: str) -> str:
    """`page` without code blocks and HTML comments."""
    return re.sub(r"^```.*?^```\n|<!--.*?-->\n", "\n", page, flags=re.MULTILINE | re.DOTALL)


def paragraphs(page: str) -> Iterator[str]:
    """Each paragraph and list item of `page`; headings, tables and code left out."""
    lines: list[str] = []
    for line in [*without_code(page).splitlines(), ""]:
        is_prose = bool(line.strip()) and not line.startswith(("#", "|", "!["))
        if lines and (not is_prose or _ITEM.match(line)):
            yield " ".join(lines)
            lines = []
        if is_prose:
            lines.append(_ITEM.sub("", line).strip())


def sentences(paragraph: str) -> list[str]:
    """The sentences of `paragraph`, without the targets of links. Some begin in lower case: `hybrid`, `stdout`."""
    text = re.sub(r"\]\([^)]*\)", "]", paragraph)
    return [one for one in re.split(r"(?<=[.!?])[\")*]*\s+", text) if one]


def figures(path: Path) -> Figures:
    """The figures of the page at `path`."""
    page = path.read_text("utf-8")
    found = list(paragraphs(page))
    every = [sentence for paragraph in found for sentence in sentences(paragraph)]
    return Figures(
        words=sum(map(words, found)),
        longest_paragraph=max(map(words, found), default=0),
        sentences=len(every),
        long_sentences=tuple(one for one in every if words(one) > SENTENCE_WORDS),
        banned=tuple(one.group() for one in _BANNED.finditer(without_code(page))),
    )


def words(text: str) -> int:
    """The number of words of `text`, split at spaces; a word has a letter or a digit."""
    return sum(1 for word in text.split() if re.search(r"\w", word))


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").split()) <= README_WORDS  # code and tables included


@pytest.mark.parametrize("path", [*PAGES, *OTHERS], ids=lambda path: path.name)
def test_paragraphs_and_sentences_are_short(path: Path) -> None:
    found = figures(path)
    assert found.longest_paragraph <= PARAGRAPH_WORDS
    assert found.long_sentences == ()


@pytest.mark.parametrize("path", [*PAGES, *OTHERS], ids=lambda path: path.name)
def test_no_page_has_a_banned_word(path: Path) -> None:
    assert figures(path).banned == ()


def test_the_measure_finds_what_it_looks_for() -> None:
    page = (
        "# One\n\nA short one. " + "word " * 26 + "end.\n\n- an item\n- it stands here\n\n```sh\ntold\n```\n"
    )
    found = list(paragraphs(page))
    assert [words(paragraph) for paragraph in found] == [30, 2, 3]
    assert [words(sentence) for sentence in sentences(found[0])] == [3, 27]
    assert _BANNED.findall(without_code(page)) == ["stands"]


if __name__ == "__main__":
    total = [figures(path) for path in PAGES]
    show = sys.stdout.write
    show(f"README: {len(README.read_text('utf-8').split())} words, {total[0].words} of them prose\n")
    show(f"longest paragraph: {max(one.longest_paragraph for one in total)} words\n")
    over = sum(len(one.long_sentences) for one in total)
    every = sum(one.sentences for one in total)
    show(f"sentences over {SENTENCE_WORDS} words: {over} of {every} ({over / every:.1%})\n")
    for path, one in zip(PAGES, total, strict=True):
        show(f"{path.relative_to(ROOT)}: {one.words} words, longest paragraph {one.longest_paragraph}\n")
        for sentence in (*one.long_sentences, *one.banned):
            show(f"    {sentence}\n")
