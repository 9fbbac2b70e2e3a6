"""Encoders of small logs, and comparisons of encoded rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from manygate.config import DataConfig
from manygate.data.encode import Encoder
from manygate.data.fit import fit_encoder
from manygate.data.rows import Rows
from manygate.schema import Feature, Schema, Task

KEEP_ALL = DataConfig(min_count=1)


def schema_of(*features: Feature, tasks: tuple[Task, ...] = (Task(name="click"),), **roles: Any) -> Schema:
    return Schema(features=features, tasks=tasks, **roles)


def sparse_encoder(values: pa.Array, config: DataConfig = KEEP_ALL, **changes: Any) -> Encoder:
    batch = pa.record_batch({"id": values, "click": np.arange(len(values)) % 2})
    return fit_encoder(schema_of(Feature(name="id", kind="sparse", **changes)), config, [("log", batch)])


def rows_of(encoder: Encoder, values: pa.Array) -> list[int]:
    rows: list[int] = encoder.encode(pa.record_batch({"id": values}), labels=False).id_BS[:, 0].tolist()
    return rows


def assert_same_rows(first: Rows, second: Rows) -> None:
    """All arrays are equal, bags and groups included, and have the same types."""
    for name in ("id_BS", "number_BM", "label_BT", "weight_BT"):
        a, b = getattr(first, name), getattr(second, name)
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name)
    for (ids, offset), (other_ids, other_offset) in zip(first.bags, second.bags, strict=True):
        np.testing.assert_array_equal(ids, other_ids)
        np.testing.assert_array_equal(offset, other_offset)
        assert ids.dtype == other_ids.dtype
        assert offset.dtype == other_offset.dtype
    assert (first.group_B is None) == (second.group_B is None)
    if first.group_B is not None:
        np.testing.assert_array_equal(first.group_B, second.group_B)
