"""Reads numbers, whole numbers and missing values that are written as text."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

NULL_WORDS = (
    "",
    "NULL",
    "null",
    "Null",
    "NA",
    "N/A",
    "n/a",
    "nan",
    "NaN",
    "NAN",
    "None",
    "none",
    "\\N",
    "?",
    "-",
    "<NA>",
    "#N/A",
    "NaT",
    "--",
    ".",
    "nil",
    "(null)",
    "<null>",
    "n.a.",
    "N.A.",
)
"""Words that stand for a missing value in a column of numbers, truth values or times. In a column of text they are values."""
WHOLE = r"^(?:0|-?[1-9][0-9]*)$"
"""A whole number in the one form that it has, so that 07, +7 and 7.0 are no whole numbers."""
WHOLE_WITH_POINT = r"^(?:0|-?[1-9][0-9]*)\.0*$"
DECIMAL = r"^\s*-?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*$"
EXPONENT = r"^\s*-?[0-9]+[eE][+-]?[0-9]+\s*$"
OTHER_WHOLE = r"^\s*-?[0-9]+\s*$"
INFINITE = r"^-?(?:inf|Inf|INF|infinity|Infinity|INFINITY)$"
NUMBER = re.compile(r"\s*-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
NUMBER_OF_ARROW = rf"^(?:{NUMBER.pattern})$"
WITH_THOUSANDS = r"^-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?$"
WITH_DECIMAL_COMMA = r"^-?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+),[0-9]+$"
DECIMAL_COMMA = r"^-?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+)(?:,[0-9]+)?$"
THOUSANDS_COMMA = r"^-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?$"
LIST = r"^[^|]+(?:\|[^|]+)+$"
TRUTH = ("true", "True", "TRUE", "false", "False", "FALSE")


@dataclass(frozen=True)
class Wording:
    """How the values of a column are read from text: the type, and what the numbers look like.

    >>> Wording(pa.int64()).read(pa.array(["7", "NULL", "3.0"])).to_pylist()
    [7, None, 3]
    >>> Wording(pa.float64(), "decimal_comma").read(pa.array(["1.234,5", "3,14", None])).to_pylist()
    [1234.5, 3.14, None]
    """

    kind: pa.DataType
    marks: str = ""

    def read(self, text: pa.Array) -> pa.Array:
        """Text as values; raises :class:`pyarrow.ArrowInvalid`, which quotes it, at a word that is none."""
        text = pc.utf8_trim_whitespace(text)
        text = pc.if_else(pc.is_in(text, pa.array(NULL_WORDS)), None, text)
        if self.marks:
            pattern, unused, point = _MARKS[self.marks]
            wrong = text.filter(pc.invert(pc.match_substring_regex(text, pattern)))
            if len(wrong):
                raise pa.ArrowInvalid(f"Failed to parse string: '{wrong[0].as_py()}' as a number")
            text = pc.replace_substring(pc.replace_substring(text, unused, ""), point, ".")
        if pt.is_integer(self.kind):
            text = pc.replace_substring_regex(text, r"^(-?[0-9]+)\.0*$", r"\1")
        elif pt.is_boolean(self.kind):
            text = pc.utf8_lower(text)
        return text.cast(self.kind)


_MARKS = {"decimal_comma": (DECIMAL_COMMA, ".", ","), "thousands_comma": (THOUSANDS_COMMA, ",", ".")}
"""For each way of writing numbers: its pattern, the character that separates thousands, and the one before decimals."""
