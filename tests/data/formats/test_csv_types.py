"""Looking at a column in pieces gives what looking at it whole gives."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from manygate.data.formats.csv_types import Column, Reading, choose_reading, mismatches
from manygate.data.formats.words import Wording

VALUES = st.sampled_from(
    ["7", "-1", "0", "007", "3.0", "2.5", "1e5", " 8", "NULL", "?", "", "true", "2024-01-31", "x", "inf", str(2**63), str(2**70)]
)


@given(st.lists(VALUES | st.none(), max_size=12), st.data())
def test_pieces_files_and_order_change_nothing(values: list[str | None], data: st.DataObject) -> None:
    whole = Column("c")
    whole.add(pa.array(values, pa.string()), "a.csv")
    cut = data.draw(st.integers(0, len(values)))
    pieces, first, second = Column("c"), Column("c"), Column("c")
    for part, file in ((values[:cut], first), (values[cut:], second)):
        pieces.add(pa.array(part, pa.string()), "a.csv")
        file.add(pa.array(part, pa.string()), "a.csv")
    shuffled = Column("c")
    shuffled.add(pa.array(data.draw(st.permutations(values)), pa.string()), "a.csv")
    first.merge(second)
    assert whole.kind == pieces.kind == first.kind == shuffled.kind
    assert whole.rows == pieces.rows == first.rows
    assert whole.nulls == first.nulls


@given(st.lists(VALUES | st.none(), max_size=12), st.sampled_from([None, pa.int64(), pa.float64(), pa.string(), pa.bool_()]))
def test_the_chosen_reading_reads_every_value(values: list[str | None], fitted: pa.DataType | None) -> None:
    column = Column("c")
    column.add(pa.array(values, pa.string()), "a.csv")
    reading = choose_reading(column, None, fitted)
    text = pa.array(values, pa.string())
    if pa.types.is_string(reading.kind):
        assert reading == Reading(pa.string())
    elif not pa.types.is_null(reading.kind):
        got = Wording(reading.kind).read(text)
        nulls = [value in (None, "", "NULL", "?") for value in values]
        assert got.is_null().to_pylist() == nulls


def test_a_mismatch_names_the_value() -> None:
    column = Column("c")
    column.add(pa.array(["7", "x7"]), "a.csv")
    reading = choose_reading(column, None, pa.int64())
    assert mismatches({"c": column}, {"c": reading}, {"c": pa.int64()}) == {"c": "'x7' (row 2 of a.csv)"}
    assert mismatches({"c": column}, {"c": reading}, {"c": pa.string()}) == {}
