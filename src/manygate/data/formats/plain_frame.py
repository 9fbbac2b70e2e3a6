"""Prepares dataframes for Arrow: named indexes, sparse columns and whole numbers of 128 bits."""

from __future__ import annotations

from typing import Any

import narwhals.stable.v2 as nw
import pyarrow as pa
from narwhals.exceptions import NarwhalsError

from manygate.errors import InputError, raise_all

_REMEDY = "Write ids as text and amounts as float64"


def frame_to_arrow(frame: nw.DataFrame[Any] | nw.LazyFrame[Any], name: str) -> pa.Table:
    """A dataframe of narwhals as an Arrow table.

    Named levels of a pandas index become columns at the end, as in the Parquet file that pandas writes; where a column has the same
    name, the column stays. Sparse columns are read as their values.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"user": ["a", "b"], "click": pd.arrays.SparseArray([0, 1])}).set_index("user")
    >>> frame_to_arrow(nw.from_native(frame), "log").to_pydict()
    {'click': [0, 1], 'user': ['a', 'b']}
    """
    if frame.implementation.is_pandas_like():
        frame = nw.from_native(_without_index(frame.to_native()))
    schema = frame.collect_schema()
    if frame.implementation.is_polars():
        wide = [column for column, kind in schema.items() if kind in (nw.Int128, nw.UInt128)]
        odd = {
            column: str(kind)
            for column, kind in schema.items()
            if "Object" in str(kind) or ("Int128" in str(kind) and column not in wide)
        }
        raise_all(f"{name}: column {column!r} is {kind}, which Arrow does not have. {_REMEDY}." for column, kind in odd.items())
        frame = frame.with_columns(nw.col(*wide).cast(nw.Decimal())) if wide else frame
    try:
        table: pa.Table = frame.to_arrow() if isinstance(frame, nw.DataFrame) else frame.collect(backend="pyarrow").to_native()
    except (pa.ArrowException, NarwhalsError, TypeError, ValueError, OverflowError, NotImplementedError) as error:
        raise_all(_column_problems(frame, name))
        raise InputError(f"{name}: {_words(error)}. Give each column values of one type.") from None
    return table


def _without_index(native: Any) -> Any:
    """A pandas dataframe with its named index levels as columns, and with dense columns alone; other columns are not copied."""
    plain = native.copy(deep=False)
    plain.index = range(len(native))
    for column, kind in native.dtypes.items():
        if str(kind).startswith("Sparse"):
            plain[column] = plain[column].sparse.to_dense()
    for k, level in enumerate(native.index.names):
        if level is not None and level not in native.columns:
            plain[str(level)] = native.index.get_level_values(k).array
    return plain


def _column_problems(frame: Any, name: str) -> list[str]:
    """The columns that Arrow cannot take, each with the reason."""
    if not frame.implementation.is_pandas_like():
        return []
    problems = []
    native = frame.to_native()
    for k, column in enumerate(native.columns):
        try:
            pa.array(native.iloc[:, k], from_pandas=True)
        except OverflowError:
            problems.append(f"{name}: column {str(column)!r} holds whole numbers beyond 64 bits. {_REMEDY}.")
        except (pa.ArrowException, TypeError, ValueError, NotImplementedError) as error:
            problems.append(f"{name}: column {str(column)!r} cannot be read: {_words(error)}. Give each column values of one type.")
    return problems


def _words(error: Exception) -> str:
    return " ".join(" ".join(str(argument) for argument in error.args).split())
