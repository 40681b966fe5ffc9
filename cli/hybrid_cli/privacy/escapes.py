"""Escapes of characters: of JSON and most languages, URLs, HTML, and quoted-printable mail."""

from __future__ import annotations

import html
import re
import unicodedata
from urllib.parse import unquote_to_bytes

_TAIL = "[89ABab][0-9A-Fa-f]"
ESCAPE = re.compile(
    r"\\u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}"  # one character in two halves
    rf"|%[C-Fc-f][0-9A-Fa-f](?:%{_TAIL}){{1,3}}|=[C-F][0-9A-F](?:=[89AB][0-9A-F]){{1,3}}"
    rf"|\\x[C-Fc-f][0-9A-Fa-f](?:\\x{_TAIL}){{1,3}}|\\3[0-7]{{2}}(?:\\2[0-7]{{2}}){{1,3}}"  # bytes of UTF-8
    r"|\\N\{[A-Z][A-Z0-9 -]{1,80}\}|\\[01][0-7]{2}|\\(?:u[0-9A-Fa-f]{4}|u\{[0-9A-Fa-f]{1,6}\}|x[0-9A-Fa-f]{2}|U[0-9A-Fa-f]{8}|[\\/\"'nrtbf])"
    r"|%[0-9A-Fa-f]{2}|=[0-9A-F]{2}|=\r?\n|&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});"
)
"""The escape of one character."""
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "b": " ", "f": " "}
_BYTE = re.compile(r"[%=]([0-9A-Fa-f]{2})|\\x([0-9A-Fa-f]{2})|\\([0-7]{3})")


def decoded(escape: str) -> str:
    """The text that `escape` stands for; at most one character, or else `escape` itself."""
    if escape[0] == "&":
        character = html.unescape(escape)
    elif (escape[0] in "%=" and len(escape) > 3) or (_BYTE.match(escape, 0, 4) and len(escape) > 4):
        character = _of_utf_8(escape)
    elif escape[0] == "%":
        character = unquote_to_bytes(escape).decode("latin-1")
    elif escape[0] == "=":
        character = chr(int(escape[1:], 16)) if escape[1] not in "\r\n" else ""
    elif escape[1] == "N":
        character = _of_name(escape[3:-1])
    elif escape[1] in "01":
        character = chr(int(escape[1:], 8))
    elif len(escape) == 2:
        character = _CONTROLS.get(escape[1], escape[1])
    elif len(escape) == 12:
        character = bytes.fromhex(escape[2:6] + escape[8:]).decode("utf-16-be", "replace")
    else:
        character = _of_number(escape[2:].strip("{}"))
    return character if len(character) < 2 else escape


def _of_utf_8(escape: str) -> str:
    """The character, or else the characters, that the bytes in `escape` encode."""
    data = bytes(
        int(octal, 8) if octal else int(first or second, 16) for first, second, octal in _BYTE.findall(escape)
    )
    return data.decode("utf-8", "replace")


def _of_name(name: str) -> str:
    try:
        return unicodedata.lookup(name)
    except KeyError:
        return name


def _of_number(hexadecimal: str) -> str:
    number = int(hexadecimal, 16)
    return chr(number) if number < 0x110000 else ""
