"""Recognises how a CSV file is written: its encoding, separator, escapes and line of names; or says which setting to give."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from pathlib import Path

import pyarrow as pa

from manygate.config.csv_settings import CsvConfig
from manygate.data.formats.words import NULL_WORDS, NUMBER
from manygate.errors import InputError, either, setting

HEAD = 1 << 18
"""Bytes at the start of a file that are looked at."""
ROWS = 1000
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "pipes"}
_MARKS = {b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_BLANK = re.compile(r"(?:\r?\n)*")
_EXCEL = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written. None for ``quote`` or ``escape`` means that there is none."""

    separator: str
    quote: str | None
    escape: str | None
    encoding: str
    header: bool
    skip: int
    names: tuple[str, ...]
    quoted_names: bool
    only_names: bool


def find_dialect(path: str, settings: CsvConfig) -> Dialect:
    """The dialect of a file; raises :class:`InputError` with the setting to give where it cannot be told."""
    with pa.input_stream(path) as stream:
        head = stream.read(HEAD)
    whole = len(head) < HEAD
    encoding = settings.file_encoding or _encoding(head)
    text = _text(path, head, encoding, whole)
    if not text.strip():
        raise InputError(f"{path}: the file holds no line of text. Check what wrote it.")
    told = _EXCEL.match(text)
    text = text[told.end() :] if told else text
    blank = _BLANK.match(text)[0]  # type: ignore[index]
    text = text[len(blank) :]
    quote = None if settings.quote == "none" else settings.quote or '"'
    given = settings.separator or (told[1] if told else None)
    escape = None if settings.escape == "none" else settings.escape
    separator = given or _separator(path, text, quote, escape)
    rows = _rows(text, separator, quote, escape)
    if not rows:
        raise InputError(f"{path}: the first line cannot be read as CSV: a field of over 128 kB. Say {setting('quote', 'none')}?")
    if settings.escape is None and quote == '"' and _is_escaped(path, separator, encoding, len(rows[0])):
        escape = "\\"
        rows = _rows(text, separator, quote, escape)
    header = _has_names(path, rows, settings.header)
    names = tuple(rows[0]) if header else tuple(f"column_{n}" for n in range(1, len(rows[0]) + 1))
    first = re.split(r"[\r\n]", text, maxsplit=1)[0]
    quoted = quote is not None and first == separator.join(f"{quote}{name}{quote}" for name in rows[0])
    skip = int(told is not None) + blank.count("\n")
    return Dialect(
        separator, quote, escape, encoding, header, skip, names, quoted, header and whole and text.strip() == first.strip()
    )


def _encoding(head: bytes) -> str:
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) > len(head) / 5:  # Western text in UTF-16 without its mark
        return "utf-16-be" if even > odd else "utf-16-le"
    return "utf-8"


def _text(path: str, head: bytes, encoding: str, whole: bool) -> str:
    """The first lines; the last one is left out where it may be cut."""
    name = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    try:
        text = head.decode(name, errors="strict")
    except UnicodeDecodeError as error:
        if whole or error.start < len(head) - 8:
            raise InputError(not_in_encoding(path, encoding, head[: error.start].count(b"\n") + 1)) from None
        text = head[: error.start].decode(name)
    return text if whole else text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text


def not_in_encoding(path: str, encoding: str, line: int | None = None) -> str:
    """The problem of a file whose bytes are no text of an encoding."""
    location = path if line is None else f"{path}, line {line}"
    return (
        f"{location}: not {encoding.upper()} text. Name the encoding, for example {setting('file_encoding', 'cp1252')} (Windows) "
        f"or {setting('file_encoding', 'utf-16')}, or convert the file with 'iconv -t UTF-8'."
    )


def _rows(text: str, separator: str, quote: str | None, escape: str | None) -> list[list[str]]:
    """The first rows as Python's reader sees them, up to one that it cannot read."""
    reader = csv.reader(
        StringIO(text, newline=""),
        delimiter=separator,
        quotechar=quote,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        escapechar=escape,
    )
    rows: list[list[str]] = []
    try:
        rows.extend(row for row in islice(reader, ROWS) if row)
    except csv.Error:
        return rows
    return rows


def _separator(path: str, text: str, quote: str | None, escape: str | None) -> str:
    usual = "\t" if ".tsv" in Path(path).name.lower() else ","
    read = {character: _rows(text, character, quote, escape) for character in SEPARATORS}
    widths = {character: len(rows[0]) if rows else 0 for character, rows in read.items()}
    even = [c for c, rows in read.items() if widths[c] > 1 and all(len(row) == widths[c] for row in rows)]
    best = max(even, key=lambda c: (widths[c], c == usual), default=usual)
    if usual in even and widths[usual] >= widths[best]:
        return usual
    if len(even) > 1:
        counts = " or ".join(f"{widths[c]} columns separated by {SEPARATORS[c]}" for c in even)
        raise InputError(f"{path}: the file may have {counts}. Say which, for example {setting('separator', _shown(best))}.")
    if not even and widths[usual] == 1:
        best = max(widths, key=lambda c: (widths[c], c == usual))
        words = text.splitlines()[0].split()
        if widths[best] == 1 and len(words) > 1 and all(len(line.split()) == len(words) for line in text.splitlines()[:ROWS]):
            raise InputError(f"{path}: the fields look separated by spaces. If they are, say {setting('separator', 'space')}.")
    return best


def _shown(separator: str) -> str:
    return {"\t": "tab", "|": "pipe", ";": "semicolon", ",": "comma"}[separator]


def _is_escaped(path: str, separator: str, encoding: str, width: int) -> bool:
    r"""True where quotes inside quoted fields stand behind a backslash, as Spark and MySQL write them: "a \"b\" c"."""
    bare = rf'(?:[^"{re.escape(separator)}][^{re.escape(separator)}]*)?'
    plain = _line_of(rf'(?:"(?:[^"]|"")*"|{bare})', separator)
    escaped = _line_of(rf'(?:"(?:[^"\\]|\\.)*"|{bare})', separator, width)
    lines = islice(_lines_with(path, b'\\"', encoding), 1000)
    return any(not plain.fullmatch(line) and escaped.fullmatch(line) for line in lines)


def _line_of(field: str, separator: str, width: int | None = None) -> re.Pattern[str]:
    count = "*" if width is None else f"{{{width - 1}}}"
    return re.compile(f"{field}(?:{re.escape(separator)}{field}){count}")


def _lines_with(path: str, mark: bytes, encoding: str) -> Iterator[str]:
    """Lines of the whole file that hold a mark, at the speed of a search in memory."""
    wide = encoding.lower().startswith(("utf-16", "utf-32"))
    with pa.input_stream(path) as stream:
        left = b""
        while block := stream.read(1 << 22):
            if wide:
                block = block.replace(b"\0", b"")
            block = left + block
            end = block.rfind(b"\n") + 1 or len(block)
            block, left = block[:end], block[end:]
            yield from _found(block, mark, encoding)
        yield from _found(left, mark, encoding)


def _found(block: bytes, mark: bytes, encoding: str) -> Iterator[str]:
    start = block.find(mark) if b'"' in block else -1
    while start >= 0:
        first, last = block.rfind(b"\n", 0, start) + 1, block.find(b"\n", start)
        last = len(block) if last < 0 else last
        yield block[first:last].decode("latin-1").rstrip("\r")
        start = block.find(mark, last)


def _has_names(path: str, rows: list[list[str]], given: bool | None) -> bool:
    if given is not None:
        return given
    names, body = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    no_header, has_header = either("header=False", "--no-header"), either("header=True", "--header")
    values = bool(body) and _named_like_values(names, body)
    if not values and len(names) > 1 and names in body:
        raise InputError(
            f"{path}: row {body.index(names) + 1} repeats the first line. If the file has no line of names, say {no_header}; if "
            "files were joined with their lines of names, take the later ones out."
        )
    if values or _names_among_values(names, body):
        shown = ", ".join(repr(name[:20]) for name in names[:4]) + (", ..." if len(names) > 4 else "")
        raise InputError(
            f"{path}: the first line looks like values and not like names: {shown}. If the file has no line of names, say "
            f"{no_header}: its columns are then column_1, column_2, ...; if these are names, say {has_header}."
        )
    return True


def _named_like_values(names: list[str], body: list[list[str]]) -> bool:
    """True where every column of numbers has a number for its name, as in a file without a line of names.

    Names 0, 1, 2, 3 and so on are those that pandas gives the columns of an array.
    """
    numbered = [name for name in names if name]
    if len(numbered) >= 4 and numbered == [str(n) for n in range(len(numbered))]:
        return False
    numbers = []
    for column, name in enumerate(names):
        values = [row[column] for row in body if row[column] not in NULL_WORDS]
        if values and all(NUMBER.fullmatch(value) for value in values):
            numbers.append(name)
    known = [name for name in numbers if name not in NULL_WORDS]
    return bool(known) and all(NUMBER.fullmatch(name) for name in known)


def _names_among_values(names: list[str], body: list[list[str]]) -> bool:
    """True where two names or more stand among the values of their own columns."""
    return sum(bool(name) and any(row[column] == name for row in body) for column, name in enumerate(names)) >= 2
