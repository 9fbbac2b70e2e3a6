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
    for part in re.split(r"(?:^|\s+)and(?:\s+|$)|&", text):
        match = _CLAUSE.match(part)
        if match is None or _holds_an_operator(match["value"]):
            raise InputError(
                f"where = {text!r}: {part.strip()!r} is not a comparison. Write for example 'click == 1', with one of "
                f"{', '.join(OPERATORS)}; join several with 'and'."
            )
        clauses.append(Clause(column=match["column"], operator=match["operator"], value=_literal(match["value"])))
    return tuple(clauses)


def _holds_an_operator(value: str) -> bool:
    """True where a value that is not in quotes holds another comparison, as in ``a == 1 or b == 2``."""
    quoted = len(value) > 1 and value[0] in "'\"" and value[0] == value[-1] and value[0] not in value[1:-1]
    return not quoted and any(operator in value for operator in OPERATORS)


def _literal(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text.strip("'\"")
