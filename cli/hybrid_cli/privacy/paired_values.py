"""Find secret values apart from their names: in a field beside them, in a call, in a column of a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from hybrid_cli.privacy.assignments import Span, is_secret_value, least_run_after, places_of_names

_NO_WORD = re.compile(r"[\d!#$%^~@]")
"""In every secret value that a name can announce: a digit or a sign."""


def paired_values(text: str, lowered: str) -> Iterator[Span]:
    """The spans of secret values that fields, calls or columns give to names; `lowered` is `text` in lower case."""
    yield from _value_fields(text, lowered)
    yield from _inserted(text, lowered)
    table_end = 0
    for place in sorted(set(places_of_names(text, lowered))):
        for pattern in _AFTER_NAME:
            found = pattern.match(text, place)
            if found is not None and _is_secret(text, place, found):
                yield found.span("value")
        line = text.rfind("\n", 0, place) + 1
        if line >= table_end:  # a row is no header of another table
            spans, table_end = _columns(text, line)
            yield from spans


# ---- fields beside each other: JSON, YAML, attributes of XML, blocks of Terraform ------------------------------

_VALUE_FIELD = re.compile(
    r"value[\"'\\]{0,4}\s{0,4}[:=]\s{0,4}(?:(?P<quote>\\{0,3}[\"'])(?P<quoted>[^\"'\\\n]{6,200})|(?P<bare>[^\s\"'\\,;{}\[\]<>]{6,200}))",
    re.IGNORECASE,
)
_NAME_FIELD = re.compile(
    r"(?<![A-Za-z])(?:name|key|id|type)[\"'\\]{0,4}\s{0,4}[:=]\s{0,4}[\"'\\]{0,4}(?P<name>[A-Za-z0-9_.-]{2,60})",
    re.IGNORECASE | re.ASCII,
)
_BORDER = re.compile(r"[{}<>]|\n[ \t]*(?=\n|-)")
"""Between two groups of fields."""
_NEAR = 200
"""Characters between a value and its name."""


def _value_fields(text: str, lowered: str) -> Iterator[Span]:
    place = lowered.find("value")
    while place >= 0:
        found = _VALUE_FIELD.match(text, place)
        if found is not None:
            group = "quoted" if found["quote"] else "bare"
            if _NO_WORD.search(found[group]) is not None and any(
                is_secret_value(found[group], run, is_quoted=True)
                for name in _names_near(text, place, found.end())
                if (run := least_run_after(name, 0, len(name))) is not None
            ):
                yield found.span(group)
        place = lowered.find("value", place + 5)


def _names_near(text: str, start: int, end: int) -> Iterator[str]:
    """The names in the group of fields around `start` to `end`."""
    before, after = text[max(0, start - _NEAR) : start], text[end : end + _NEAR]
    borders = [one.end() for one in _BORDER.finditer(before)]
    border = _BORDER.search(after)
    for part in (before[borders[-1] if borders else 0 :], after[: border.start() if border else _NEAR]):
        yield from (one["name"] for one in _NAME_FIELD.finditer(part))


# ---- calls and elements -----------------------------------------------------------------------------------------

_AFTER_NAME = (
    re.compile(r"[\w.-]{0,24}[\"']\s{0,4},\s{0,20}(?P<quote>[\"'])(?P<value>[^\"'\n]{6,200})(?P=quote)"),
    re.compile(r"[\w.-]{0,24}</key>\s{0,40}<string>(?P<value>[^<>\n]{6,200})"),
    re.compile(r"[\w.-]{0,24}\"\s{0,4}\{[^{}]{0,200}?\bdefault\s{0,9}=\s{0,9}\"(?P<value>[^\"\n]{6,200})\""),
)
"""A call with name and value, a property list, and a variable of Terraform."""
_BEFORE_NAME = re.compile(r"(?:\(\s{0,20}[\"']|<key>|variable\s{1,4}\")[\w.-]{0,40}\Z")
_MOST_OF_A_NAME = 60


def _is_secret(text: str, place: int, found: re.Match[str]) -> bool:
    start = max(0, place - _MOST_OF_A_NAME)
    if _BEFORE_NAME.search(text, start, place) is None:
        return False
    name = re.split(r"[^\w.-]", text[start:place])[-1] + re.split(r"[^\w.-]", text[place : place + 24])[0]
    least_run = least_run_after(name, 0, len(name))
    return least_run is not None and is_secret_value(found["value"], least_run, is_quoted=True)


# ---- rows of SQL ------------------------------------------------------------------------------------------------

_ROWS = re.compile(
    r"(?:into|copy)\s{1,20}(?:[\w$]|[.`\"\[\]]){1,120}\s{0,20}\((?P<names>[^()]{1,2000})\)\s{0,20}(?:values\s{0,20}(?=\()|from stdin;?\r?\n(?P<copy>))",
    re.IGNORECASE,
)
_ROW = re.compile(r"\s{0,200},?\s{0,200}\(")
_SQL_CELL = re.compile(
    r"\s{0,200}(?:(?:[NEBX]|_\w{1,20}\s?)?'(?P<quoted>(?:[^'\\]|''|\\.)*)'|(?P<plain>[^,()';]{0,400}(?:\([^()]{0,400}\))?[^,()';]{0,400}))\s{0,200}(?P<end>[,)])"
)


def _inserted(text: str, lowered: str) -> Iterator[Span]:
    """The spans of values that `INSERT INTO t (name, password) VALUES (...)`, or `COPY`, puts into such columns."""
    if " into " not in lowered and "copy " not in lowered:
        return
    covered = 0
    for rows in _ROWS.finditer(text):
        if rows.start() < covered:  # data of the rows before
            continue
        names = [name.strip(' `"[]\r\n\t') for name in rows["names"].split(",")]
        runs = [least_run_after(name, 0, len(name)) for name in names]
        if not any(runs):
            continue
        read = _copied if rows["copy"] is not None else _values
        for cells in read(text, rows.end()):
            covered = cells[-1][1] if cells else covered
            for run, (start, end) in zip(runs, cells):  # noqa: B905  a row may be cut
                if run is not None and is_secret_value(text[start:end], run, is_quoted=True):
                    yield start, end


def _values(text: str, place: int) -> Iterator[list[Span]]:
    """The spans of the cells of each row in brackets from `place` on."""
    while (row := _ROW.match(text, place)) is not None:
        cells: list[Span] = []
        place = row.end()
        while (cell := _SQL_CELL.match(text, place)) is not None:
            cells.append(cell.span("plain" if cell["quoted"] is None else "quoted"))
            place = cell.end()
            if cell["end"] == ")":
                break
        yield cells
        if cell is None:
            return


def _copied(text: str, place: int) -> Iterator[list[Span]]:
    """The spans of the cells of each line with tabs from `place` on, up to the line that ends them."""
    while place < len(text) and not text.startswith("\\.", place):
        end = text.find("\n", place)
        end = len(text) if end < 0 else end
        cells: list[Span] = []
        for cell in text[place:end].split("\t"):
            cells.append((place, place + len(cell)))
            place += len(cell) + 1
        yield cells
        place = end + 1


# ---- tables: CSV and TSV, Markdown, and what databases print ----------------------------------------------------

_CELLS = {
    mark: re.compile(
        rf'[ ]*(?:"(?P<quoted>(?:[^"\n]|""){{0,400}})"|(?P<plain>[^{mark}"\n]{{0,400}}?))[ \r]*(?=[{mark}\n]|\Z)'
    )
    for mark in (",", ";", r"\t", "|")
}
_HEADER = re.compile(r"[\w .()*`-]{1,40}", re.ASCII)
_MOST_COLUMNS = 60
_LONGEST_HEADER = 2_000
"""Characters."""
_TRIMMED = re.compile(r"[*`'\s]*")


def names_a_secret(line: str) -> bool:
    """Whether `line` is the header of a table with a column of secrets."""
    header = _header(line, 0, len(line))
    return header is not None and bool(header.runs)


class _Table(NamedTuple):
    mark: str
    """Separates the cells."""
    width: int
    runs: dict[int, int]
    """The least run of a secret in each column that holds secrets."""


def _header(text: str, line: int, end: int) -> _Table | None:
    """The table whose header is the line from `line` to `end`; None if it is no header."""
    mark = next((one for one in ("|", "\t", ";", ",") if text.find(one, line, end) >= 0), None)
    if mark is None or not 0 <= end - line <= _LONGEST_HEADER:
        return None
    names = [text[start:stop].strip("*` ") for start, stop in _cells(text, line, mark)]
    if len(names) < 2 or any(name and _HEADER.fullmatch(name) is None for name in names):
        return None
    runs = {
        column: run
        for column, name in enumerate(names)
        if (run := least_run_after(name.replace(" ", "_"), 0, len(name))) is not None
    }
    return _Table(mark, len(names), runs)


def _columns(text: str, line: int) -> tuple[list[Span], int]:
    """The spans of secrets in the rows below the table's header that begins at `line`, if it is one; and its end."""
    end = text.find("\n", line)
    table = _header(text, line, end)
    if table is None:
        return [], (end if end >= 0 else len(text)) + 1
    spans: list[Span] = []
    while table.runs and end < len(text):
        line = end + 1
        row = _cells(text, line, table.mark)
        next_end = text.find("\n", line)
        next_end = len(text) if next_end < 0 else next_end
        if len(row) != table.width and not _is_rule(text, line, next_end):
            break
        end = next_end
        spans += (
            row[column]
            for column, run in table.runs.items()
            if column < len(row) and is_secret_value(text[slice(*row[column])], run, is_quoted=True)
        )
    return spans, end + 1


def _cells(text: str, line: int, mark: str) -> list[Span]:
    """The spans of the cells of one line, without quotes, code marks and blanks around them."""
    pattern = _CELLS[r"\t" if mark == "\t" else mark]
    cells: list[Span] = []
    while len(cells) < _MOST_COLUMNS and (found := pattern.match(text, line)) is not None:
        start, end = found.span("plain" if found["quoted"] is None else "quoted")
        trimmed = _TRIMMED.match(text, start, end)
        start = trimmed.end() if trimmed is not None else start
        cells.append((start, start + len(text[start:end].rstrip("*`' \t"))))
        line = found.end()
        if text[line : line + 1] != mark:
            return cells
        line += 1
    return []


def _is_rule(text: str, line: int, end: int) -> bool:
    """Whether the line from `line` to `end` only separates the header from the rows."""
    return end - line <= _LONGEST_HEADER and not text[line:end].strip(" |:+-\r")
