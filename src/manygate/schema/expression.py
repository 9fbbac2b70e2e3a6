"""The tree of a sample space: comparisons, joined by ``and``, ``or`` and ``not``. It needs no table library.

A tree is judged by a :class:`Judge`, which knows the rows. Every judgement has three values, as in SQL: true, false or unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import reduce
from typing import Protocol, TypeVar

KEYWORDS = frozenset({"and", "or", "not", "in", "is", "null", "none", "nan", "true", "false", "inf", "infinity"})
NAME = re.compile(r"[^\W\d][\w.:$@#]*")
"""A column's name that needs no backticks, unless it is a keyword."""
SWAPPED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""Each operator, and the operator that means the same with its sides exchanged."""

Truth = TypeVar("Truth")


@dataclass(frozen=True)
class Column:
    """The value of a column in a row. ``may_be_text`` is true for a word that may be text without its quotes."""

    name: str
    may_be_text: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        plain = NAME.fullmatch(self.name) is not None and self.name.lower() not in KEYWORDS
        return self.name if plain else "`" + self.name.replace("`", "``") + "`"


@dataclass(frozen=True)
class Constant:
    """A value that is written out: text, a number, true or false. A number is exact: an int, or a Decimal."""

    value: str | int | Decimal | bool

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return "'" + self.value.replace("'", "''") + "'"
        return str(self.value).lower()


Operand = Column | Constant


class Judge(Protocol[Truth]):
    """Judges comparisons on rows, with three values."""

    def compare(self, column: Column, operator: str, other: Operand) -> Truth:
        """Compare a column with a constant or a column; unknown where a side is null."""

    def is_null(self, column: Column) -> Truth:
        """Say where a column is null."""

    def both(self, first: Truth, second: Truth) -> Truth:
        """Join by ``and``: false wins over unknown, and unknown over true."""

    def either(self, first: Truth, second: Truth) -> Truth:
        """Join by ``or``: true wins over unknown, and unknown over false."""

    def opposite(self, truth: Truth) -> Truth:
        """Exchange true and false; unknown stays."""


class Expression(Protocol):
    """A tree that can be judged. ``str`` of it is text that is read as the same tree."""

    rank: int
    """How tightly the expression holds together: 0 ``or``, 1 ``and``, 2 ``not``, 3 a comparison."""

    def columns(self) -> Iterator[Column]:
        """Yield the columns, in the order of the text."""

    def judged_by(self, judge: Judge[Truth]) -> Truth:
        """Return the judgement on all rows."""


@dataclass(frozen=True)
class Comparison:
    """``column operator other``."""

    column: Column
    operator: str
    other: Operand
    rank = 3

    def columns(self) -> Iterator[Column]:
        """Yield the columns of both sides."""
        yield self.column
        if isinstance(self.other, Column):
            yield self.other

    def judged_by(self, judge: Judge[Truth]) -> Truth:
        """Return the judgement on all rows."""
        return judge.compare(self.column, self.operator, self.other)

    def __str__(self) -> str:
        return f"{self.column} {self.operator} {self.other}"


@dataclass(frozen=True)
class In:
    """``column in (a, b)``: equal to one of the values."""

    column: Column
    values: tuple[Operand, ...]
    negated: bool = False
    rank = 3

    def columns(self) -> Iterator[Column]:
        """Yield the column, and the columns among the values."""
        yield self.column
        yield from (value for value in self.values if isinstance(value, Column))

    def judged_by(self, judge: Judge[Truth]) -> Truth:
        """Return the judgement on all rows."""
        first, *rest = (judge.compare(self.column, "==", value) for value in self.values)
        for equal in rest:
            first = judge.either(first, equal)
        return judge.opposite(first) if self.negated else first

    def __str__(self) -> str:
        return f"{self.column} {'not ' if self.negated else ''}in ({', '.join(map(str, self.values))})"


@dataclass(frozen=True)
class IsNull:
    """``column is null``, which is never unknown."""

    column: Column
    negated: bool = False
    rank = 3

    def columns(self) -> Iterator[Column]:
        """Yield the column."""
        yield self.column

    def judged_by(self, judge: Judge[Truth]) -> Truth:
        """Return the judgement on all rows."""
        truth = judge.is_null(self.column)
        return judge.opposite(truth) if self.negated else truth

    def __str__(self) -> str:
        return f"{self.column} is {'not ' if self.negated else ''}null"


@dataclass(frozen=True)
class Not:
    """``not part``."""

    part: Expression
    rank = 2

    def columns(self) -> Iterator[Column]:
        """Yield the columns of the part."""
        yield from self.part.columns()

    def judged_by(self, judge: Judge[Truth]) -> Truth:
        """Return the judgement on all rows."""
        return judge.opposite(self.part.judged_by(judge))

    def __str__(self) -> str:
        return f"not {_within(self.part, self.rank)}"


@dataclass(frozen=True)
class _Joined:
    """Two or more parts joined by one word. ``rank`` says how tightly it binds."""

    parts: tuple[Expression, ...]
    word = "or"
    rank = 0

    def columns(self) -> Iterator[Column]:
        """Yield the columns of all parts."""
        for part in self.parts:
            yield from part.columns()

    def __str__(self) -> str:
        return f" {self.word} ".join(_within(part, self.rank + 1) for part in self.parts)


@dataclass(frozen=True)
class And(_Joined):
    """Two or more parts joined by ``and``."""

    word = "and"
    rank = 1

    def judged_by(self, judge: Judge[Truth]) -> Truth:
        """Return the judgement on all rows."""
        return reduce(judge.both, (part.judged_by(judge) for part in self.parts))


@dataclass(frozen=True)
class Or(_Joined):
    """Two or more parts joined by ``or``."""

    def judged_by(self, judge: Judge[Truth]) -> Truth:
        """Return the judgement on all rows."""
        return reduce(judge.either, (part.judged_by(judge) for part in self.parts))


def _within(part: Expression, rank: int) -> str:
    """The text of a part, in parentheses where it holds together less tightly than its surroundings."""
    return str(part) if part.rank >= rank else f"({part})"
