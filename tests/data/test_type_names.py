"""Types come back from their names; what has no plain name is text."""

from __future__ import annotations

import pyarrow as pa
import pytest

from manygate.data.type_names import type_name, type_named


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float16(), pa.string(), pa.bool_(), pa.null(), pa.date32()])
def test_a_plain_type_and_a_list_of_it_come_back(kind: pa.DataType) -> None:
    assert type_named(type_name(kind)) == kind
    assert type_named(type_name(pa.list_(kind))) == pa.list_(kind)


@pytest.mark.parametrize("kind", [pa.dictionary(pa.int32(), pa.string()), pa.large_string(), pa.timestamp("us")])
def test_other_types_are_text(kind: pa.DataType) -> None:
    assert type_named(type_name(kind)) == pa.string()
