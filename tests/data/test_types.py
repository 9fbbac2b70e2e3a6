"""One type stands for all encodings of the same values."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from manygate.data.table import open_table
from manygate.data.types import cast, common_type, normal_type


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
        (pa.bool_(), pa.int64(), None),
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
        (pa.large_binary(), pa.binary()),
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
