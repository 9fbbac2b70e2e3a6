"""Decides the type of each column of a CSV file from all its values. A column of doubt is text, which keeps every byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from manygate.config.csv_settings import ColumnKind
from manygate.data.formats.words import (
    DECIMAL,
    EXPONENT,
    INFINITE,
    NULL_WORDS,
    OTHER_WHOLE,
    TRUTH,
    WHOLE,
    WHOLE_WITH_POINT,
    WITH_DECIMAL_COMMA,
    WITH_THOUSANDS,
    Wording,
)
from manygate.errors import setting

LONG_FIELD = 24
"""Lines that a quoted field may span before a stray quote is suspected."""
FIRST_LOOK = 1000
MOSTLY = 0.9
"""A column of text with at least this share of numbers is warned of."""
_PATTERNS = {
    "whole": WHOLE,
    "point": WHOLE_WITH_POINT,
    "decimal": DECIMAL,
    "exponent": EXPONENT,
    "spaced": r"^ +(?:0|-?[1-9][0-9]*)$",
    "odd": OTHER_WHOLE,
    "infinite": INFINITE,
    "thousands": WITH_THOUSANDS,
    "comma": WITH_DECIMAL_COMMA,
}
"""The forms of a number, in the order in which they are tried. ``spaced`` follows a separator and a blank; ``odd`` is 007."""
_TIMES = (
    pa.date32(),
    pa.timestamp("s"),
    pa.timestamp("ns"),
    pa.timestamp("s", "UTC"),
    pa.timestamp("ns", "UTC"),
)
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"


@dataclass
class Column:
    """The forms that the values of a column have, with an example of each and the row that it stands in."""

    name: str
    rows: int = 0
    nulls: int = 0
    quoted_empty: int = 0
    forms: Counter[str] = field(default_factory=Counter)
    examples: dict[str, tuple[str, str]] = field(default_factory=dict)
    words: Counter[str] = field(default_factory=Counter)
    uint64: bool = False
    negative: bool = False
    times: tuple[pa.DataType, ...] = _TIMES
    long_field: str | None = None

    def add(self, text: pa.Array, path: str) -> None:
        """Look at the next values of a file."""
        first, self.rows, self.nulls = self.rows, self.rows + len(text), self.nulls + text.null_count
        if pc.max(pc.binary_length(text)).as_py() in (None, 0):
            self.quoted_empty += len(text) - text.null_count
            return
        self._look_for_long_fields(text, path, first)
        if not self.forms and len(text) > FIRST_LOOK:  # most columns of text show that they are text
            glance = Column(self.name)
            glance._count_forms(text.slice(0, FIRST_LOOK), path, first)
            if "other" in glance.forms:
                self.forms, self.examples, self.words = glance.forms, glance.examples, glance.words
        if "other" not in self.forms:
            self._count_forms(text, path, first)

    def _look_for_long_fields(self, text: pa.Array, path: str, first: int) -> None:
        if self.long_field is None and pc.max(pc.binary_length(text)).as_py() > 2 * LONG_FIELD:
            lines = pc.count_substring(text, "\n")
            most = pc.max(lines).as_py()
            if most >= LONG_FIELD:
                row = first + pc.index(lines, most).as_py() + 1
                self.long_field = (
                    f"{path}, row {row:,}: a quoted field of column {self.name!r} spans {most + 1} lines. If a quote stands there "
                    f"by mistake, the rows inside it are lost: mend it, or say {setting('quote', 'none')}."
                )

    def _count_forms(self, text: pa.Array, path: str, first: int) -> None:
        if self.forms and self._is_as_before(text):
            return
        row: pa.Array | None = None
        rest = text
        for form, pattern in _PATTERNS.items():
            if len(rest) == rest.null_count:
                return
            rest, row = self._take(form, pc.match_substring_regex(rest, pattern), rest, row, path, first)
        if len(rest) == rest.null_count:
            return
        self._count_words(rest)
        rest, row = self._take("word", pc.is_in(rest, pa.array(NULL_WORDS)), rest, row, path, first)
        rest, row = self._take("truth", pc.is_in(rest, pa.array(TRUTH)), rest, row, path, first)
        if len(rest) == rest.null_count:
            return
        known = rest.drop_null()
        if pc.all(pc.match_substring_regex(known, _TIME)).as_py():
            self.times = tuple(kind for kind in self.times if _casts(known, kind))
            if self.times:
                self._take("time", pc.is_valid(rest), rest, row, path, first)
                return
        self._take("other", pc.is_valid(rest), rest, row, path, first)

    def _is_as_before(self, text: pa.Array) -> bool:
        """A quick look: True where all values have the form of the column so far, which most have."""
        known = len(text) - text.null_count
        if "decimal" in self.forms and _casts(text, pa.float64()):  # then the other forms of a number change nothing
            self.forms["decimal"] += known
            return True
        if "whole" in self.forms and pc.all(pc.ascii_is_decimal(text)).as_py():
            lengths, zeros = pc.binary_length(text), pc.starts_with(text, "0")
            if pc.max(lengths).as_py() < 19 and not pc.any(pc.and_(zeros, pc.greater(lengths, 1))).as_py():
                self.forms["whole"] += known
                return True
        return False

    def _count_words(self, rest: pa.Array) -> None:
        words = rest.filter(pc.is_in(rest, pa.array(NULL_WORDS)))
        self.words.update({count["values"]: count["counts"] for count in pc.value_counts(words).to_pylist()})

    def _take(
        self, form: str, matches: pa.Array, rest: pa.Array, row: pa.Array | None, path: str, first: int
    ) -> tuple[pa.Array, pa.Array | None]:
        """Count the values of a form and return the others, with their rows."""
        count = pc.sum(matches).as_py() or 0  # nulls match nothing, and filters leave them out
        if not count:
            return rest, row
        self.forms[form] += count
        if form not in self.examples:
            at = pc.indices_nonzero(matches)[0].as_py()
            number = first + (at if row is None else row[at].as_py()) + 1
            self.examples[form] = (rest[at].as_py(), f"row {number:,} of {path}")
        if form == "whole":
            self._note_range(rest.filter(matches))
        if count == len(rest) - rest.null_count:
            return rest.slice(0, 0), row
        others = pc.invert(matches)
        row = pa.array(np.arange(len(rest))) if row is None else row
        return rest.filter(others), row.filter(others)

    def _note_range(self, wholes: pa.Array) -> None:
        """Mark what int64 cannot hold; negative numbers matter only beside uint64."""
        self.negative = self.negative or bool(pc.any(pc.starts_with(wholes, "-")).as_py())
        long = wholes.filter(pc.greater_equal(pc.binary_length(wholes), 19))
        if len(long) and not _casts(long, pa.int64()):
            self.uint64 = True
            if not _casts(long, pa.uint64()):
                self._mark_beyond(long)

    def _mark_beyond(self, long: pa.Array) -> None:
        value = next(v for v in long.to_pylist() if len(v) > 20 or not -(2**63) <= int(v) < 2**64)
        self.forms["beyond"] += 1
        self.examples.setdefault("beyond", (value if len(value) <= 60 else f"{value[:60]}...", ""))

    def merge(self, other: Column) -> None:
        """Add what another file holds in the same column."""
        self.rows, self.nulls = self.rows + other.rows, self.nulls + other.nulls
        self.quoted_empty += other.quoted_empty
        self.forms.update(other.forms)
        self.words.update(other.words)
        self.examples = other.examples | self.examples
        self.uint64, self.negative = self.uint64 or other.uint64, self.negative or other.negative
        self.times = tuple(kind for kind in self.times if kind in other.times)
        self.long_field = self.long_field or other.long_field

    @property
    def _present(self) -> set[str]:
        return {form for form, count in self.forms.items() if count and form != "word"}

    @property
    def is_missing(self) -> bool:
        """True where no value stands for anything but a missing one."""
        return not self._present

    @property
    def kind(self) -> pa.DataType:
        """The type of the column by its own values."""
        present = self._present
        if not present:
            return pa.string() if self.words or self.quoted_empty else pa.null()
        if present == {"whole"}:
            return pa.string() if self.uint64 and self.negative else pa.uint64() if self.uint64 else pa.int64()
        if present == {"spaced"}:
            return pa.int64()
        if present == {"truth"}:
            return pa.bool_()
        if present == {"time"} and self.times:
            return self.times[0]
        numbers = present <= {"whole", "point", "decimal", "exponent", "spaced", "odd", "infinite", "beyond"}
        pointed = "decimal" in present or (present & {"point", "exponent"} and not present & {"odd", "spaced"})
        return pa.float64() if numbers and pointed else pa.string()

    @property
    def all_whole(self) -> bool:
        """True where every value is a whole number, though some may have been written with a point."""
        return bool(self._present) and self._present <= {"whole", "point"} and not self.uint64

    @property
    def needs_text(self) -> bool:
        """True where Arrow's reader of numbers would refuse what stands for a missing value, or a blank."""
        return bool(self.words or self.quoted_empty)

    def odd_value(self) -> str:
        """The first value that is neither a number nor a word for a missing value, and its row."""
        for form in ("other", "truth", "time", "thousands", "comma", "odd", "spaced", "beyond"):
            if form in self.examples:
                value, location = self.examples[form]
                return f"{value[:40]!r}{f' ({location})' if location else ''}"
        return ""

    def remark(self) -> str:
        """Words for the note of the column: what is read as missing."""
        words = [word for word in self.words if word]
        if not words or pt.is_string(self.kind):
            return ""
        shown = ", ".join(repr(word) for word in words[:3]) + (", ..." if len(words) > 3 else "")
        return f"{shown} read as missing"

    def warning(self, path: str) -> str | None:
        """The warning that a user must see; None where there is none."""
        if self.remark():
            share = sum(count for word, count in self.words.items() if word) / max(self.rows, 1)
            keep = setting("types", f"{self.name}=text")
            return f"{path}: column {self.name!r}: {self.remark()} ({share:.1%} of the rows). {keep} keeps the words as values."
        if self._present & {"thousands", "comma"} and self._present <= {*_PATTERNS, "beyond"}:
            kind = "decimal_comma" if "comma" in self._present else "thousands_comma"
            return (
                f"{path}: column {self.name!r} is read as text: {self.odd_value()} has a comma. If these are numbers, say "
                f"{setting('types', f'{self.name}={kind}')}."
            )
        numbers = sum(count for form, count in self.forms.items() if form in _PATTERNS)
        others = self.forms["other"]
        if others and numbers >= MOSTLY * (numbers + others):
            value = self.examples["other"][0]
            return (
                f"{path}: column {self.name!r} is read as text, since {self.odd_value()} is no number, though "
                f"{numbers / (numbers + others):.1%} of the values looked at are numbers. Mend the value, say that it stands for a "
                f"missing one ({setting('null_values', value[:40])}), or text is meant ({setting('types', f'{self.name}=text')})."
            )
        return None


def _casts(values: pa.Array, kind: pa.DataType) -> bool:
    try:
        values.slice(0, 100).cast(kind)  # Arrow is slow where many values fail
        values.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


@dataclass(frozen=True)
class Reading:
    """How a column is read: by Arrow's reader in the type ``stored``, and where ``wording`` is given from that text."""

    kind: pa.DataType
    wording: Wording | None = None

    @property
    def stored(self) -> pa.DataType:
        """The type for Arrow's reader."""
        return self.kind if self.wording is None else pa.string()


ASKED: dict[ColumnKind, Wording | None] = {
    "text": None,
    "integer": Wording(pa.int64()),
    "number": Wording(pa.float64()),
    "decimal_comma": Wording(pa.float64(), "decimal_comma"),
    "thousands_comma": Wording(pa.float64(), "thousands_comma"),
    "boolean": Wording(pa.bool_()),
}
"""How the kinds that a user may ask for are read from text; None leaves the text."""


def choose_reading(column: Column, asked: ColumnKind | None, fitted: pa.DataType | None) -> Reading:
    """How to read a column: as it is asked for, else in the type of training where the values allow it, else by its values."""
    if asked is not None:
        wording = ASKED[asked]
        return Reading(pa.string()) if wording is None else Reading(wording.kind, wording)
    kind = column.kind if fitted is None or pt.is_null(fitted) else _fitted_kind(column, fitted)
    if pt.is_string(kind):
        return Reading(kind)
    exact = pt.is_integer(kind) and "point" in column.forms
    return Reading(kind, Wording(kind) if exact or column.needs_text else None)


def _fitted_kind(column: Column, fitted: pa.DataType) -> pa.DataType:
    """The type of training, or what keeps the values where they do not fit it."""
    kind = column.kind
    if pt.is_string(fitted):
        return fitted
    if column.is_missing:
        return fitted if pt.is_primitive(fitted) else kind
    if pt.is_integer(fitted):
        if pt.is_floating(kind) and column.all_whole:
            return pa.int64()
        return kind
    if pt.is_floating(fitted) and (pt.is_integer(kind) or pt.is_floating(kind)):
        return fitted
    if pt.is_temporal(fitted) and pt.is_temporal(kind):
        return fitted
    return kind


def mismatches(columns: Mapping[str, Column], readings: Mapping[str, Reading], fitted: Mapping[str, pa.DataType]) -> dict[str, str]:
    """For each column that has another type than in training the value that made the difference."""
    return {
        name: columns[name].odd_value()
        for name, reading in readings.items()
        if name in fitted and pt.is_string(reading.kind) and not pt.is_string(fitted[name]) and columns[name].odd_value()
    }
