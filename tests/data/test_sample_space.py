"""The rows of a sample space: by hand, and against a naive evaluator that reads a pandas frame row by row."""

from __future__ import annotations

import datetime as dt
import operator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.data.sample_space import sample_space
from manygate.data.table import open_table
from manygate.errors import InputError
from manygate.schema import Task
from manygate.schema.expression import And, Column, Comparison, Constant, Expression, In, IsNull, Not, Or

NAN = float("nan")
BATCH = pa.record_batch({"click": pa.array([1, 0, None, 1]), "price": [5.0, 50.0, 5.0, 50.0], "free": [True, True, True, None]})


@pytest.mark.parametrize(
    ("where", "inside"),
    [
        ("click == 1", [True, False, False, True]),
        ("click != 1", [False, True, False, False]),
        ("not click == 1", [False, True, False, False]),
        ("click == 1 and price < 10", [True, False, False, False]),
        ("click == 1 or price < 10", [True, False, True, True]),
        ("price >= 50", [False, True, False, True]),
        ("price > 5", [False, True, False, True]),
        ("price <= 5", [True, False, True, False]),
        ("price in (5, 7)", [True, False, True, False]),
        ("click not in (0)", [True, False, False, True]),
        ("click is null or free is null", [False, False, True, True]),
        ("free == 1", [True, True, True, False]),
        ("free != true", [False] * 4),
        ("click == true", [True, False, False, True]),
        ("click == free", [True, False, False, False]),
        ("click < price", [True, True, False, True]),
        (None, [True] * 4),
    ],
)
def test_a_sample_space_row_by_row(where: str | None, inside: list[bool]) -> None:
    assert sample_space(Task(name="buy", where=where), BATCH, "log").tolist() == inside


@pytest.mark.parametrize(
    ("where", "remedy"),
    [
        ("price == 'x'", r"column 'price' \(double\) with 'x': the column holds numbers; .* without quotes"),
        ("price == true", r"column 'price' \(double\) with true: the column holds 5.0, which is neither true nor false"),
        ("free == 2", r"column 'free' \(bool\) with 2: the column holds true and false"),
    ],
)
def test_a_comparison_that_means_nothing_names_task_column_and_remedy(where: str, remedy: str) -> None:
    with pytest.raises(InputError, match="log: task 'buy': where = .*compares " + remedy):
        sample_space(Task(name="buy", where=where), BATCH, "log")


def test_nan_is_null() -> None:
    batch = pa.record_batch({"a": [1.0, NAN, None]})
    assert sample_space(Task(name="x", where="a != 2"), batch, "log").tolist() == [True, False, False]
    assert sample_space(Task(name="x", where="a is null"), batch, "log").tolist() == [False, True, True]


# A naive evaluator: the values of a row as Python objects, None for null, and None for unknown.

COMPARE = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
WHOLE = [-(2**63), -1, 0, 1, 2, 2**53, 2**53 + 1, 2**63 - 1]
UNSIGNED = [0, 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]
FLOATS = [-1.0, 0.0, 0.1, 0.5, 1.0, 2.0**53, 2.0**63, -(2.0**63), 1e300, float("inf")]
FLOATS_32 = [0.0, 0.1, 1.0, 16_777_216.0, 3e38]
TEXTS = ["", "a", "A,B", "Home & Kitchen", "it's", "a == 1 or", "ä", "null"]
DAYS = [dt.date(1969, 12, 31), dt.date(2026, 1, 31), dt.date(2026, 2, 1)]
TIMES = [dt.datetime(1969, 12, 31, 23, 59), dt.datetime(2026, 1, 31), dt.datetime(2026, 1, 31, 12, 30, 0, 250_000)]
NUMBERS = ("n", "u", "f", "g", "b")


def _rows(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.sampled_from(values))


ROW = st.fixed_dictionaries(
    {"n": _rows(WHOLE), "u": _rows(UNSIGNED), "f": _rows(FLOATS), "g": _rows(FLOATS_32), "b": _rows([True, False])}
    | {"first name": _rows(TEXTS), "s": _rows(TEXTS), "d": _rows(DAYS), "t": _rows(TIMES), "z": _rows(TIMES)}
)


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A pandas frame with one column of each type."""
    kinds = {"n": "Int64", "u": "UInt64", "f": "float64", "g": "float32", "b": "boolean", "t": "datetime64[us]"}
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    frame = pd.DataFrame({name: pd.Series(values, dtype=kinds.get(name, "object")) for name, values in columns.items()})
    frame["z"] = pd.Series(columns["z"], dtype="datetime64[us]").dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    return frame


def value_of(row: dict[str, Any], name: str) -> Any:
    """A row's value as a Python object; float32 values as NumPy's."""
    value = row[name]
    if value is None:
        return None
    if name == "g":
        return np.float32(value)
    return value.replace(tzinfo=dt.UTC) if name == "z" else value


def constant_for(value: Any, constant: Any) -> Any:
    """A constant in the type of a value: moments from text, fractions in the float type of the column."""
    if isinstance(constant, str) and isinstance(value, dt.datetime):
        moment = dt.datetime.fromisoformat(constant)
        return moment.replace(tzinfo=dt.timezone(dt.timedelta(hours=9))) if value.tzinfo and not moment.tzinfo else moment
    if isinstance(constant, str) and isinstance(value, dt.date):
        return dt.date.fromisoformat(constant)
    return type(value)(float(constant)) if isinstance(constant, Decimal) and isinstance(value, float | np.float32) else constant


def naive(tree: Expression, row: dict[str, Any]) -> bool | None:
    """The truth of a tree in one row."""
    match tree:
        case Comparison(column, symbol, other):
            left = value_of(row, column.name)
            right = value_of(row, other.name) if isinstance(other, Column) else constant_for(left, other.value)
            if left is None or right is None:
                return None
            left, right = (float(v) if isinstance(v, np.float32) and type(left) is not type(right) else v for v in (left, right))
            if isinstance(left, dt.datetime) != isinstance(right, dt.datetime) and isinstance(left, dt.date):
                left, right = (dt.datetime.combine(v, dt.time()) if type(v) is dt.date else v for v in (left, right))
            return bool(COMPARE[symbol](left, right))
        case In(column, values, negated):
            truth = naive(Or(tuple(Comparison(column, "==", value) for value in values)), row)
            return truth if truth is None else truth != negated
        case IsNull(column, negated):
            return (row[column.name] is None) != negated
        case Not(part):
            truth = naive(part, row)
            return None if truth is None else not truth
        case And(parts):
            truths = [naive(part, row) for part in parts]
            return False if False in truths else None if None in truths else True
        case Or(parts):
            truths = [naive(part, row) for part in parts]
            return True if True in truths else None if None in truths else False
    raise AssertionError(tree)


OPERATORS = st.sampled_from(list(COMPARE))
FRACTIONS = [Decimal(text) for text in ("0.1", "0.5", "1.0", "-0.5", "1e300", "Infinity", "-Infinity", "9007199254740993.0")]
NUMBER = st.sampled_from([*WHOLE, *UNSIGNED, 3, -5, 2**53 - 1, 2**64, 10**40, 16_777_217, *FRACTIONS])


def _compared(names: list[str], constants: st.SearchStrategy[Any], others: list[str] | None = None) -> st.SearchStrategy[Any]:
    columns = st.sampled_from([Column(name) for name in names])
    other = st.one_of(st.builds(Constant, constants), st.sampled_from([Column(name) for name in others or names]))
    listed = st.builds(In, columns, st.lists(other, min_size=1, max_size=3).map(tuple), st.booleans())
    return st.one_of(st.builds(Comparison, columns, OPERATORS, other), listed, st.builds(IsNull, columns, st.booleans()))


MOMENTS = st.sampled_from(["2026-01-31 12:30", "2026-01-31T12:30:00.25", "1969-12-31 23:59:00"])
ZONED = st.sampled_from(["2026-01-31 12:30:00.25Z", "2026-01-31 21:30:00.25", "2026-01-31T12:30+00:00"])
LEAVES = st.one_of(
    _compared(["n", "u", "f"], NUMBER, ["n", "u", "f", "g", "b"]),
    _compared(["g"], st.sampled_from([0, 1, 16_777_217, 10**40, Decimal("0.1")])),
    _compared(["b"], st.sampled_from([True, False, 0, 1])),
    _compared(["first name", "s"], st.sampled_from(TEXTS)),
    _compared(["d"], st.sampled_from([day.isoformat() for day in DAYS]), ["d", "t"]),
    _compared(["t"], MOMENTS, ["d", "t"]),
    _compared(["z"], ZONED),
    st.builds(Comparison, st.just(Column("t")), st.sampled_from([">=", "<"]), st.just(Constant("2026-01-31"))),
)


def _joined(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, parts), st.builds(And, several), st.builds(Or, several))


TREES = st.recursive(LEAVES, _joined, max_leaves=6)


@given(st.lists(ROW, min_size=1, max_size=8), TREES)
def test_a_sample_space_equals_a_naive_evaluation_of_a_frame(rows: list[dict[str, Any]], tree: Expression) -> None:
    batches = list(open_table(frame_of(rows)).batches())
    task = Task(name="x", where=str(tree))
    inside = np.concatenate([sample_space(task, batch, location) for location, batch in batches])
    assert inside.tolist() == [naive(tree, row) is True for row in rows], str(tree)
