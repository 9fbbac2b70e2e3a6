"""One type stands for all encodings of the same values."""

from __future__ import annotations

import uuid
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manygate.data.table import open_table
from manygate.data.types import cast, common_type, normal_field, normal_type


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        (pa.array(["a", None, "b"]).dictionary_encode(), pa.string()),
        (pa.array(["a", None, "b"], pa.large_string()), pa.string()),
        (pa.array(["a", None, "b"], pa.string_view()), pa.string()),
        (pa.array([["a"], None, []], pa.large_list(pa.large_string())), pa.list_(pa.string())),
        (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2)), pa.list_(pa.int32())),
        (pa.array([["a"], None, []], pa.list_(pa.dictionary(pa.int32(), pa.string()))), pa.list_(pa.string())),
        (pa.array([1, None, 2], pa.decimal128(12, 2)), pa.float64()),
        (pa.array([1, None, 2], pa.decimal128(19, 0)), pa.int64()),
        (pa.array([1, None, 2], pa.float16()), pa.float32()),
        (pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"]), pa.string()),
        (pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}", None, "1"])), pa.string()),
    ],
    ids=str,
)
def test_each_column_has_one_plain_type(stored: pa.Array, kind: pa.DataType) -> None:
    table = open_table(pa.table({"c": stored}))
    assert table.arrow_schema.field("c").type == kind
    [(_, batch)] = table.batches()
    assert batch.schema.field("c").type == kind
    assert batch.column("c").to_pylist() == stored.to_pylist()
    assert table.categorical == ({"c"} if pa.types.is_dictionary(stored.type) else set())


STAMP = pa.timestamp


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        (pa.int8(), pa.int8(), pa.int8()),
        (pa.null(), pa.string(), pa.string()),
        (pa.string(), pa.null(), pa.string()),
        (pa.int8(), pa.int32(), pa.int64()),
        (pa.uint64(), pa.int8(), pa.uint64()),
        (pa.int64(), pa.float32(), pa.float64()),
        (pa.list_(pa.int8()), pa.list_(pa.float32()), pa.list_(pa.float64())),
        (pa.list_(pa.int8()), pa.list_(pa.string()), None),
        (STAMP("s"), STAMP("us"), STAMP("us")),
        (STAMP("s"), STAMP("s", "UTC"), None),
        (pa.string(), pa.int64(), None),
        (pa.bool_(), pa.int64(), pa.bool_()),
        (pa.float32(), pa.bool_(), pa.bool_()),
        (pa.bool_(), pa.string(), None),
    ],
)
def test_the_type_that_holds_both(first: pa.DataType, second: pa.DataType, common: pa.DataType | None) -> None:
    assert common_type(first, second) == common


@pytest.mark.parametrize(
    ("kind", "normal"),
    [
        (pa.dictionary(pa.int8(), pa.large_string()), pa.string()),
        (pa.large_list(pa.string_view()), pa.list_(pa.string())),
        (pa.list_(pa.int8(), 3), pa.list_(pa.int8())),
        (pa.decimal128(9, 2), pa.float64()),
        (pa.decimal128(9, 0), pa.int64()),
        (pa.float16(), pa.float32()),
        (pa.date64(), pa.date32()),
        (pa.large_binary(), pa.string()),
        (pa.binary(16), pa.string()),
        (pa.uuid(), pa.string()),
        (pa.bool8(), pa.bool_()),
        (pa.list_view(pa.decimal128(9, 0)), pa.list_(pa.int64())),
        (pa.int8(), pa.int8()),
    ],
)
def test_the_type_of_every_encoding(kind: pa.DataType, normal: pa.DataType) -> None:
    assert normal_type(kind) == normal


def test_run_ends_are_decoded() -> None:
    runs = pc.run_end_encode(pa.array([7, 7, 8]))
    assert cast(runs, pa.int64()).to_pylist() == [7, 7, 8]
    values = pa.array([1])
    assert cast(values, pa.int64()) is values


def plain(stored: pa.Array) -> list[Any]:
    return cast(stored, normal_type(stored.type)).to_pylist()


LISTS = [[1, 2], None, [], [3], [None, 4]]


@pytest.mark.parametrize("kind", [pa.list_view, pa.large_list_view, pa.large_list, pa.list_])
def test_lists_of_every_form_keep_their_values_in_slices_too(kind: Any) -> None:
    stored = pa.array(LISTS, kind(pa.int64()))
    assert [plain(stored[first:]) for first in range(6)] == [LISTS[first:] for first in range(6)]
    assert plain(stored[1:4]) == LISTS[1:4]
    texts = [None if row is None else [None if value is None else str(value) for value in row] for row in LISTS]
    assert plain(pa.array(texts, kind(pa.string_view()))) == texts


def test_list_views_out_of_order_and_overlapping() -> None:
    views = pa.ListViewArray.from_arrays(
        pa.array([2, 0, 0], pa.int32()), pa.array([2, 1, 3], pa.int32()), pa.array([10, 20, 30, 40])
    )
    assert plain(views) == [[30, 40], [10], [10, 20, 30]]


IDS = [uuid.UUID(int=5), None, uuid.UUID("123e4567-e89b-12d3-a456-426614174000")]


def test_a_uuid_is_its_text_however_it_is_stored() -> None:
    stored = pa.array([None if value is None else value.bytes for value in IDS], pa.uuid())
    texts = [None if value is None else str(value) for value in IDS]
    assert plain(stored) == plain(stored.storage) == plain(stored.storage.dictionary_encode()) == texts
    assert plain(stored[1:]) == plain(stored.storage[1:]) == texts[1:]
    assert plain(stored[:0]) == []
    assert plain(pa.ListArray.from_arrays(pa.array([0, 1, 3], pa.int32()), stored)) == [texts[:1], texts[1:]]
    assert open_table(pd.DataFrame({"id": IDS})).sample(3)["id"].to_pylist() == texts


BYTES = [b"CH", None, b"", b"\xff\x01", b"\\xff01", "\N{SNOWMAN}".encode()]
BYTES_AS_TEXT = ["CH", None, "", "\\xff01", "\\x5c7866663031", "\N{SNOWMAN}"]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_bytes_are_their_text_or_their_digits(kind: pa.DataType) -> None:
    assert plain(pa.array(BYTES, kind)) == BYTES_AS_TEXT
    assert plain(pa.array([BYTES, None], pa.list_(kind))) == [BYTES_AS_TEXT, None]
    assert plain(pa.array([b"CHE", b"\xff00"], pa.binary(3))) == ["CHE", "\\xff3030"]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=8), st.binary(max_size=8), st.lists(st.binary(max_size=8), max_size=3))
def test_two_values_of_bytes_never_have_one_text_and_neighbours_do_not_matter(
    first: bytes, second: bytes, others: list[bytes]
) -> None:
    texts = plain(pa.array([first, second, *others], pa.binary()))
    assert (texts[0] == texts[1]) == (first == second)
    assert plain(pa.array([first], pa.binary())) == texts[:1]


@pytest.mark.parametrize("frequency", ["Y", "Q", "M", "D", "h", "min", "s"])
def test_periods_are_the_text_that_pandas_prints(frequency: str) -> None:
    periods = pd.Series(pd.period_range("2023-12-31", periods=4, freq=frequency))
    periods[1] = pd.NaT
    assert plain(pa.array(periods, from_pandas=True)) == [None if value is pd.NaT else str(value) for value in periods]


def test_periods_without_a_text_name_the_remedy() -> None:
    with pytest.raises(pa.ArrowInvalid, match=r"periods of frequency 'W-SUN'.*astype\(str\)"):
        plain(pa.array(pd.Series(pd.period_range("2024-01-01", periods=2, freq="W")), from_pandas=True))


@pytest.mark.parametrize("closed", ["left", "right", "both", "neither"])
def test_intervals_are_the_text_that_pandas_prints(closed: Any) -> None:
    intervals = pd.Series(pd.arrays.IntervalArray.from_breaks([0.1, 19.7, 30, 41.25], closed=closed))
    intervals[1] = float("nan")
    assert plain(pa.array(intervals, from_pandas=True)) == [None if pd.isna(value) else str(value) for value in intervals]


def test_a_file_of_periods_reads_alike_where_pandas_is_not_loaded() -> None:
    metadata = {"ARROW:extension:name": "pandas.period", "ARROW:extension:metadata": '{"freq": "M"}'}
    field = pa.field("month", pa.int64(), metadata=metadata)
    assert normal_field(field) == pa.string()
    assert cast(pa.array([648, None]), pa.string(), field).to_pylist() == ["2024-01", None]
