"""Trees of sample spaces: their columns, their text, and the three values of a judgement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.schema.expression import And, Column, Comparison, Constant, Expression, In, IsNull, Not, Operand, Or
from manygate.schema.where import parse_where

NAMES = st.sampled_from(["a", "first name", "and", "x`y", "user:id", "ä"])
COLUMNS = st.builds(Column, NAMES)
VALUES = st.one_of(st.text(max_size=5), st.integers(-(2**70), 2**70), st.decimals(-9, 9, places=2), st.booleans())
CONSTANTS = st.builds(Constant, VALUES)
OPERANDS: st.SearchStrategy[Operand] = st.one_of(COLUMNS, CONSTANTS)
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.builds(Comparison, COLUMNS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), OPERANDS),
    st.builds(In, COLUMNS, st.lists(OPERANDS, min_size=1, max_size=3).map(tuple), st.booleans()),
    st.builds(IsNull, COLUMNS, st.booleans()),
)


def _joined(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, parts), st.builds(And, several), st.builds(Or, several))


TREES: st.SearchStrategy[Any] = st.recursive(LEAVES, _joined, max_leaves=8)


@given(TREES)
def test_the_text_of_a_tree_is_read_as_the_same_tree(tree: Expression) -> None:
    again = parse_where(str(tree))
    assert str(again) == str(tree)
    assert [column.name for column in again.columns()] == [column.name for column in tree.columns()]


def test_columns_stand_in_the_order_of_the_text() -> None:
    tree = parse_where("b == 1 and (a < c or not d in (1, e)) and f is null")
    assert [column.name for column in tree.columns()] == ["b", "a", "c", "d", "e", "f"]


def test_a_word_on_the_right_may_be_text_without_quotes() -> None:
    assert [column.may_be_text for column in parse_where("country == CH").columns()] == [False, True]
    assert [column.may_be_text for column in parse_where("CH == country").columns()] == [False, True]
    assert [column.may_be_text for column in parse_where("country in (CH, `DE`)").columns()] == [False, True, False]


@dataclass(frozen=True)
class Row:
    """Judges a row by the values of its comparisons: true, false or None."""

    values: dict[str, bool | None]

    def compare(self, column: Column, operator: str, other: Operand) -> bool | None:
        """The value of the column."""
        return self.values[column.name]

    def is_null(self, column: Column) -> bool | None:
        """True where the column is None."""
        return self.values[column.name] is None

    def both(self, first: bool | None, second: bool | None) -> bool | None:
        """And."""
        return False if False in (first, second) else None if None in (first, second) else True

    def either(self, first: bool | None, second: bool | None) -> bool | None:
        """Or."""
        return True if True in (first, second) else None if None in (first, second) else False

    def opposite(self, truth: bool | None) -> bool | None:
        """Not."""
        return None if truth is None else not truth


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("t == 1 and u == 1", None),
        ("f == 1 and u == 1", False),
        ("t == 1 or u == 1", True),
        ("f == 1 or u == 1", None),
        ("not u == 1", None),
        ("not (f == 1 and u == 1)", True),
        ("u is null", True),
        ("u is not null", False),
        ("u in (1, 2)", None),
        ("f not in (1, 2)", True),
        ("f == 1 or f == 1 or t == 1", True),
        ("t == 1 and t == 1 and f == 1", False),
    ],
)
def test_three_values(text: str, truth: bool | None) -> None:
    assert parse_where(text).judged_by(Row({"t": True, "f": False, "u": None})) is truth
