"""Reads a sample space: comparisons joined by ``and``."""

from __future__ import annotations

import re
from typing import Literal

from manygate.errors import InputError
from manygate.schema.reading import Frozen

OPERATORS = ("==", "!=", ">=", "<=", ">", "<")
_CLAUSE = re.compile(r"^\s*(?P<column>.+?)\s*(?P<operator>==|!=|>=|<=|>|<)\s*(?P<value>.+?)\s*$")


class Clause(Frozen):
    """One comparison of a sample space: ``column operator value``."""

    column: str
    operator: Literal["==", "!=", ">=", "<=", ">", "<"]
    value: bool | int | float | str

    def __str__(self) -> str:
        value = f"'{self.value}'" if isinstance(self.value, str) else self.value
        return f"{self.column} {self.operator} {value}"


def parse_where(text: str) -> tuple[Clause, ...]:
    """Read a sample space: comparisons joined by ``and``.

    >>> [str(clause) for clause in parse_where("click==1 and country == 'CH'")]
    ['click == 1', "country == 'CH'"]
    """
    clauses = []
    for part in re.split(r"\s+and\s+|&", text):
        match = _CLAUSE.match(part)
        if match is None:
            raise InputError(
                f"where = {text!r}: {part.strip()!r} is not a comparison. Write for example 'click == 1', with one of "
                f"{', '.join(OPERATORS)}; join several with 'and'."
            )
        clauses.append(Clause(column=match["column"], operator=match["operator"], value=_literal(match["value"])))
    return tuple(clauses)


def _literal(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text.strip("'\"")
