"""A sample space is read as comparisons."""

from __future__ import annotations

import pytest

from manygate.errors import InputError
from manygate.schema.where import OPERATORS, Clause, parse_where


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("space", ["", " "])
def test_every_operator(operator: str, space: str) -> None:
    assert parse_where(f"a{space}{operator}{space}1") == (Clause(column="a", operator=operator, value=1),)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-2", -2),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("'CH'", "CH"),
        ('"1"', "1"),
        ("CH", "CH"),
        ("'a<b'", "a<b"),
        ("brand or more", "brand or more"),
    ],
)
def test_values_of_every_type(text: str, value: object) -> None:
    (clause,) = parse_where(f"a == {text}")
    assert clause.value == value
    assert type(clause.value) is type(value)


def test_comparisons_are_joined_by_and() -> None:
    clauses = parse_where("click==1 and first name != 'x' & age>=18")
    assert [(clause.column, clause.operator, clause.value) for clause in clauses] == [
        ("click", "==", 1),
        ("first name", "!=", "x"),
        ("age", ">=", 18),
    ]
    assert parse_where(" and ".join(map(str, clauses))) == clauses


@pytest.mark.parametrize(
    "text",
    [
        "",
        "click",
        "click =",
        "click == 1 and",
        "and click == 1",
        "and",
        "== 1",
        "click == 1 or buy == 1",
        "country == 'CH' or country == 'DE'",
        "1 < age < 3",
    ],
)
def test_what_is_no_comparison(text: str) -> None:
    with pytest.raises(InputError, match=r"is not a comparison\. Write for example 'click == 1'"):
        parse_where(text)
